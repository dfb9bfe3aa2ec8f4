import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Reader, Writer } from "../base/binary.ts";
import { hasCode } from "../base/error.ts";
import { bigUint, byteString, fixedBytes, flag, listOf, maybe, nothing, record, string, uint } from "../base/shape.ts";
import { logError } from "../log/record.ts";
import { type Call, Calls } from "./calls.ts";

const DOUBLE: Call<{ readonly n: number }, number> = { code: 0, args: record({ n: uint }), result: uint };
const FAIL: Call<void, void> = { code: 1, args: nothing, result: nothing };
const NOTE: Call<{ readonly text: string }, void> = { code: 2, args: record({ text: string }), result: nothing };

/** Two ends; what is sent arrives in a later turn. */
function ends(): [Calls, Calls] {
  const a: Calls = new Calls((message) => setImmediate(() => b.receive(message)));
  const b: Calls = new Calls((message) => setImmediate(() => a.receive(message)));
  return [a, b];
}

test("questions go both ways, and each gets its own answer whatever the order of the answers", async () => {
  const [a, b] = ends();
  b.serve(DOUBLE, async ({ n }) => {
    // The later ones are answered first.
    for (let i = n; i < 10; i++) await new Promise((resolve) => setImmediate(resolve));
    return 2 * n;
  });
  a.serve(DOUBLE, ({ n }) => n * n);
  const answers = await Promise.all(Array.from({ length: 10 }, (_, n) => a.ask(DOUBLE, { n })));
  assert.deepEqual(
    answers,
    Array.from({ length: 10 }, (_, n) => 2 * n),
  );
  assert.equal(await b.ask(DOUBLE, { n: 9 }), 81);
});

test("a fault comes back as the coded error it was; one without a code keeps its words", async () => {
  const [a, b] = ends();
  let coded = true;
  b.serve(FAIL, () => {
    throw coded ? logError("LOG_CONFLICT", "the log ends at 7") : new Error("out of luck");
  });
  await assert.rejects(a.ask(FAIL, undefined), (error) => {
    assert.ok(hasCode(error, "LOG_CONFLICT"));
    assert.equal(error.message, "LOG_CONFLICT: the log ends at 7");
    assert.equal(error.name, "LogError");
    return true;
  });
  coded = false;
  await assert.rejects(a.ask(FAIL, undefined), /^Error: out of luck$/);
});

test("what is told arrives in order; a lost link ends every question, now and later", async () => {
  const [a, b] = ends();
  const heard: string[] = [];
  b.serve(NOTE, ({ text }) => {
    heard.push(text);
  });
  b.serve(FAIL, () => new Promise(() => undefined));
  for (const text of ["one", "two", "three"]) a.tell(NOTE, { text });
  const never = a.ask(FAIL, undefined);
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(heard, ["one", "two", "three"]);
  a.lose(new Error("gone"));
  await assert.rejects(never, /gone/);
  await assert.rejects(a.ask(FAIL, undefined), /gone/);
});

test("what a shape writes it reads again", () => {
  const shape = record({
    name: string,
    count: uint,
    amount: bigUint,
    isOpen: flag,
    hash: fixedBytes(4),
    parts: listOf(record({ raw: byteString, next: maybe(uint) })),
  });
  const value = fc.record(
    {
      name: fc.string({ unit: "binary-ascii" }),
      count: fc.maxSafeNat(),
      amount: fc.bigInt(0n, 2n ** 256n - 1n),
      isOpen: fc.boolean(),
      hash: fc.uint8Array({ minLength: 4, maxLength: 4 }),
      parts: fc.array(
        fc.record(
          { raw: fc.uint8Array({ maxLength: 40 }), next: fc.option(fc.nat(), { nil: undefined }) },
          { noNullPrototype: true },
        ),
      ),
    },
    { noNullPrototype: true },
  );
  fc.assert(
    fc.property(value, (v) => {
      const w = new Writer();
      shape.write(w, v);
      const r = new Reader(w.finish());
      assert.deepEqual(shape.read(r), v);
      r.end();
    }),
  );
});
