import assert from "node:assert/strict";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { Random, randomCase } from "../wasm/testing/random-program.ts";
import { WasmEngine } from "../wasm/wasm.ts";

type Mutant = { readonly name: string; readonly file: string; readonly from: string; readonly to: string };

/** Each is one slip that would break an invariant of docs/decisions/0014; the comparison with the serial run must see it. */
const MUTANTS: readonly Mutant[] = [
  {
    name: "debits are not checked against the sum of what is below (I8)",
    file: "key-versions.ts",
    from: "cell.balanceAt(index) < effect.balanceAtLeastWei",
    to: "false",
  },
  {
    name: "nonces are not checked (I9)",
    file: "key-versions.ts",
    from: "cell.nonceAt(index) !== effect.nonceBefore",
    to: "false",
  },
  {
    name: "balances that were looked at are not checked",
    file: "key-versions.ts",
    from: "cell.balanceAt(index) !== effect.balanceBeforeWei",
    to: "false",
  },
  {
    name: "code is not checked",
    file: "key-versions.ts",
    from: "!sameBytes(cell.codeHashAt(index), effect.codeHashBefore)",
    to: "false",
  },
  {
    name: "slots are not checked",
    file: "key-versions.ts",
    from: "if (!sameBytes(cell.slotAt(this.#slot(cell, key), index), before)) return key;",
    to: "void [before, this.#slot(cell, key)];",
  },
  {
    name: "a replaced result does not take the frontier back (I4)",
    file: "key-versions.ts",
    from: "this.#frontier = Math.min(this.#frontier, index);",
    to: "",
  },
  {
    name: "a replaced result leaves its slots behind",
    file: "key-versions.ts",
    from: "if (value !== undefined) this.#slot(cell, key).versions.remove(index);",
    to: "void [key, value];",
  },
  {
    name: "a transaction reads its own write",
    file: "versions.ts",
    from: "const i = lowerBound(this.#at, index) - 1;\n    return i < 0 ? undefined : this.#values[i];",
    to: "const i = lowerBound(this.#at, index + 1) - 1;\n    return i < 0 ? undefined : this.#values[i];",
  },
  {
    name: "prefix sums are kept over a change below",
    file: "versions.ts",
    from: "if (this.#sums.length > i + 1) this.#sums.length = i + 1;",
    to: "",
  },
  {
    name: "the gas left in the block is not looked at",
    file: "epoch.ts",
    from: "if (gasLimit !== undefined && gasLimit <= this.#gasLeft) return true;",
    to: "if (gasLimit !== undefined) return true;",
  },
  {
    name: "results below the watermark are replaced (I4)",
    file: "epoch.ts",
    from: "index < this.#watermark ||\n      phase === INSTALLED ||\n      phase === EXACT ||",
    to: "",
  },
  {
    name: "parts of a result go to one shard only",
    file: "epoch.ts",
    from: "parts[this.#ownerIndex(record.hex(at + ACCOUNT.address, 20))]?.push(at);",
    to: "parts[0]?.push(at);",
  },
  {
    name: "a part is not sent to a shard elsewhere",
    file: "remote-shard.ts",
    from: "this.#unsent.set(index, { index, record, accounts: consequentialAccounts({ record, accounts }) });",
    to: "this.#unsent.set(index, { index, record: undefined, accounts: [] });",
  },
  {
    name: "a frontier is believed beyond results on their way",
    file: "remote-shard.ts",
    from: "return Math.min(this.#frontier, this.#unansweredFrom());",
    to: "return this.#frontier;",
  },
  {
    name: "a frontier is believed beyond results not sent yet",
    file: "remote-shard.ts",
    from: "let from = this.#unsentFrom;",
    to: "let from = Number.POSITIVE_INFINITY;",
  },
  {
    name: "reads a lost shard has not answered are forgotten",
    file: "epoch.ts",
    from: "for (const read of remote.unansweredReads()) local.read(read);",
    to: "",
  },
  {
    name: "a shard answers reads for the transaction after",
    file: "shard-epochs.ts",
    from: "shard.read({ index, key, done",
    to: "shard.read({ index: index + 1, key, done",
  },
  {
    name: "a shard goes on when a round is missing",
    file: "shard-epochs.ts",
    from: "if (round.round > this.#next)",
    to: "if (round.round < 0)",
  },
  {
    name: "a round that comes twice is taken twice, and answered under the next number",
    file: "shard-epochs.ts",
    from: "if (round.round < this.#next) return undefined;",
    to: "if (round.round < this.#next) this.#next = round.round;",
  },
  {
    name: "corrections are those of the transaction after",
    file: "shard-epochs.ts",
    from: "if (this.#shard.settle(index, record, at))",
    to: "if (this.#shard.settle(index + 1, record, at))",
  },
  {
    name: "corrections go to another account",
    file: "shard-messages.ts",
    from: "view.setUint32(at + ORIGIN, from, true);",
    to: "view.setUint32(at + ORIGIN, own[0] as number, true);",
  },
  {
    name: "corrections are not made",
    file: "shard-epochs.ts",
    from: "const corrections = this.#settle(Math.min(round.watermark, frontier));",
    to: "this.#settle(Math.min(round.watermark, frontier));\n    const corrections: Correction[] = [];",
  },
  {
    name: "values before the epoch are not sent along for slots",
    file: "remote-shard.ts",
    from: 'base.push({ kind: "slot", address, slot, value: state.storage(address, slot) });',
    to: 'base.push({ kind: "slot", address, slot, value: new Uint8Array(32) });',
  },
  {
    name: "the net effect leaves out what was wiped",
    file: "shard-messages.ts",
    from: "w.fixed(fromHex(key)).byte(cleared ? 1 : 0);",
    to: "w.fixed(fromHex(key)).byte(0);",
  },
  {
    name: "a shard taken over begins without what it had",
    file: "epoch.ts",
    from: "if (this.#phases[index] !== MISSING) {",
    to: "if (this.#phases[index] === EXACT) {",
  },
  {
    name: "an exact run does not see what shards elsewhere hold final",
    file: "epoch.ts",
    from: "if (record !== undefined) this.#finals.install(this.#finalsTo, effectsOf(record));",
    to: "void [record, effectsOf];",
  },
];

/** A copy of this folder with one slip, beside links to what it imports; its adversary. */
async function importMutant(mutant: Mutant): Promise<{
  readonly adversary: typeof import("./testing/adversary.ts");
  readonly remove: () => void;
}> {
  const root = resolve(import.meta.dirname, "../../..");
  const folder = mkdtempSync(join(tmpdir(), "sheaf-mutant-"));
  const execution = join(folder, "src/execution");
  mkdirSync(execution, { recursive: true });
  writeFileSync(join(folder, "package.json"), `{ "type": "module" }`);
  for (const name of ["base", "protocol", "link"]) symlinkSync(join(root, "src", name), join(folder, "src", name));
  for (const name of readdirSync(join(root, "src/execution")))
    if (name !== "sharded") symlinkSync(join(root, "src/execution", name), join(execution, name));
  cpSync(import.meta.dirname, join(execution, "sharded"), { recursive: true });
  const path = join(execution, "sharded", mutant.file);
  const source = readFileSync(path, "utf8");
  assert.ok(source.includes(mutant.from), `${mutant.file} holds what the mutant changes: ${mutant.name}`);
  writeFileSync(path, source.replaceAll(mutant.from, mutant.to));
  const adversary = (await import(
    pathToFileURL(join(execution, "sharded/testing/adversary.ts")).href
  )) as typeof import("./testing/adversary.ts");
  return { adversary, remove: () => rmSync(folder, { recursive: true }) };
}

/** The copy without a slip: nothing may be caught there, or the copying itself is what is caught. */
const CONTROL: Mutant = { name: "none", file: "epoch.ts", from: "advance(): number {", to: "advance(): number {" };

test("each seeded slip in the core is caught by the comparison with the serial run", async (t) => {
  const engine = await WasmEngine.create();
  for (const mutant of [CONTROL, ...MUTANTS]) {
    const { adversary, remove } = await importMutant(mutant);
    let caught: string | undefined;
    const cases = mutant === CONTROL ? 60 : 2_000;
    let i = 0;
    for (; i < cases && caught === undefined; i++) {
      const random = new Random(41, i);
      const c = { ...randomCase(41, i, 4 + (i % 20)), gasAvailable: i % 3 === 0 ? 1_000_000 : 30_000_000 };
      const adversity = {
        executors: 4,
        shards: i % 2 === 0 ? 1 + (i % 3) : 3 + (i % 4),
        staleness: 60,
        lies: 20,
        losses: 5,
        repeats: 10,
        deaths: 0,
        // Where shards are is what every other case is about.
        ...(i % 2 === 1 && {
          shardChaos: { elsewhere: 100, losses: i % 4 === 1 ? 0 : 2, repeats: 50, deaths: i % 4 === 1 ? 0 : 2 },
        }),
      };
      try {
        caught = adversary.differenceFromSerial(engine, c, adversary.runAdversely(engine, c, adversity, random));
      } catch (error) {
        caught = String(error);
      }
    }
    remove();
    if (mutant === CONTROL) assert.equal(caught, undefined);
    else assert.ok(caught !== undefined, `not caught: ${mutant.name}`);
    t.diagnostic(`${mutant.name}: ${caught ?? "nothing to catch"} (case ${i})`);
  }
});
