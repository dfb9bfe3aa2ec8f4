/**
 * The database against a sorted map: transactions, aborts, reads and ranges at every stage of their way to disk, and
 * restarts.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import fc from "fast-check";
import { Database, type Range, type Table } from "./database.ts";

const keyArb = fc.uint8Array({ minLength: 1, maxLength: 3, max: 5 });
const valueArb = fc.oneof(
  fc.uint8Array({ maxLength: 40 }),
  fc.nat(9000).map((n) => new Uint8Array(n).fill(n)),
);

type Write = { readonly key: Uint8Array; readonly value: Uint8Array | undefined };
type Step =
  | { readonly kind: "write"; readonly table: number; readonly writes: readonly Write[]; readonly clear: boolean }
  | { readonly kind: "abort"; readonly table: number; readonly writes: readonly Write[] }
  | {
      readonly kind: "range";
      readonly table: number;
      readonly a: Uint8Array;
      readonly b: Uint8Array;
      readonly limit: number;
      readonly reverse: boolean;
    }
  | { readonly kind: "turn" }
  | { readonly kind: "flush" }
  | { readonly kind: "reopen" };

const writesArb = fc.array(fc.record({ key: keyArb, value: fc.option(valueArb, { nil: undefined, freq: 3 }) }), {
  maxLength: 30,
});
const tableArb = fc.nat(1);
const stepArb: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant("write" as const),
      table: tableArb,
      writes: writesArb,
      clear: fc.nat(9).map((n) => n === 0),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("abort" as const), table: tableArb, writes: writesArb }) },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("range" as const),
      table: tableArb,
      a: keyArb,
      b: keyArb,
      limit: fc.integer({ min: 1, max: 20 }),
      reverse: fc.boolean(),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("turn" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("flush" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("reopen" as const) }) },
);

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

class Model {
  entries = new Map<string, string>();

  apply(writes: readonly Write[], clear: boolean): void {
    if (clear) this.entries.clear();
    for (const { key, value } of writes) {
      if (value === undefined) this.entries.delete(hex(key));
      else this.entries.set(hex(key), hex(value));
    }
  }

  /** Hex of whole bytes sorts as the bytes do. */
  range({ start, end, limit, reverse }: Range): [string, string][] {
    const inside = [...this.entries].filter(([key]) =>
      reverse === true
        ? key <= hex(start) && (end === undefined || key > hex(end))
        : key >= hex(start) && (end === undefined || key < hex(end)),
    );
    inside.sort(([a], [b]) => (a < b ? -1 : 1));
    return (reverse === true ? inside.toReversed() : inside).slice(0, limit);
  }
}

function write(table: Table, writes: readonly Write[], clear: boolean): void {
  if (clear) table.clear();
  for (const { key, value } of writes) {
    if (value === undefined) table.remove(key);
    else table.put(key, value);
  }
}

test("the database reads as a sorted map at every moment, and after every restart", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(stepArb, { minLength: 10, maxLength: 60 }), fc.boolean(), async (steps, durable) => {
      const folder = mkdtempSync(join(tmpdir(), "sheaf-database-"));
      const open = (): { database: Database; tables: [Table, Table] } => {
        const database = Database.open(folder, { durable });
        return { database, tables: [database.table("one"), database.table("two")] };
      };
      let { database, tables } = open();
      const models = [new Model(), new Model()] as const;
      const whole: Range = { start: new Uint8Array(1) };
      try {
        for (const step of steps) {
          if (step.kind === "write") {
            database.transaction(() => write(tables[step.table] as Table, step.writes, step.clear));
            (models[step.table] as Model).apply(step.writes, step.clear);
          } else if (step.kind === "abort") {
            assert.throws(() =>
              database.transaction(() => {
                write(tables[step.table] as Table, step.writes, true);
                throw new Error("changed its mind");
              }),
            );
          } else if (step.kind === "range") {
            const { a, b, limit, reverse } = step;
            const range: Range = { start: a, end: b, limit, reverse };
            const found = (tables[step.table] as Table).range(range).map(({ key, value }) => [hex(key), hex(value)]);
            assert.deepEqual(found, (models[step.table] as Model).range(range));
            assert.deepEqual(
              (tables[step.table] as Table).keys(range).map(hex),
              found.map(([key]) => key),
            );
          } else if (step.kind === "turn") await nextTurn();
          else if (step.kind === "flush") {
            await database.flushed();
            assert.equal(database.backlogBytes, 0);
          } else {
            await database.close();
            ({ database, tables } = open());
          }
          for (let i = 0; i < 2; i++) {
            const table = tables[i] as Table;
            const model = models[i] as Model;
            for (const key of [[0], [1, 2], [3, 3, 3], [5]].map((k) => Uint8Array.from(k))) {
              const value = table.get(key);
              assert.equal(value && hex(value), model.entries.get(hex(key)));
            }
          }
        }
        for (let i = 0; i < 2; i++)
          assert.deepEqual(
            (tables[i] as Table).range(whole).map(({ key, value }) => [hex(key), hex(value)]),
            (models[i] as Model).range(whole),
          );
      } finally {
        await database.close();
        rmSync(folder, { recursive: true });
      }
    }),
    { numRuns: 150 },
  );
});
