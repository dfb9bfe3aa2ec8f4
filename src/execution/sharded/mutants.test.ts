import assert from "node:assert/strict";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { VERSIONS as CORE, compile } from "../../../scripts/vm/compile.ts";
import { Random, randomCase } from "../wasm/testing/random-program.ts";
import { WasmEngine } from "../wasm/wasm.ts";

/** `file`: in this folder, or of the core in vm/src. */
type Mutant = { readonly name: string; readonly file: string; readonly from: string; readonly to: string };

const VERSIONS = "vm/src/versions.ts";
const VERSION_KEYS = "vm/src/version-keys.ts";

/** Each is one slip that would break an invariant of docs/decisions/0014; the comparison with the serial run must see it. */
const MUTANTS: readonly Mutant[] = [
  {
    name: "debits are not checked against the sum of what is below (I8)",
    file: VERSIONS,
    from: "if (upper < 0 || (upper == 0 && less(balance, a + RA_AT_LEAST))) return false;",
    to: "",
  },
  {
    name: "nonces are not checked (I9)",
    file: VERSIONS,
    from: "nonceAt(k, index) != load<u64>(a, RA_NONCE_BEFORE)) return false;",
    to: "false) return false;",
  },
  {
    name: "balances that were looked at are not checked",
    file: VERSIONS,
    from: "if (load<u64>(balance, 32) != 0 || !equal32(balance, a + RA_BALANCE_BEFORE)) return false;",
    to: "",
  },
  {
    name: "code is not checked",
    file: VERSIONS,
    from: "if ((flags & TF_READ_CODE) != 0 && !equal32(codeHashAt(k, index), a + RA_CODE_BEFORE)) return false;",
    to: "",
  },
  {
    name: "slots are not checked",
    file: VERSIONS,
    from: "if (!equal32(slotAt(k, load<u32>(slot, RS_CELL), index), slot + RS_BEFORE)) {",
    to: "if (index == 0xffffffff) {",
  },
  {
    name: "a replaced result does not take the frontier back (I4)",
    file: VERSIONS,
    from: "frontier = min(frontier, index);",
    to: "",
  },
  {
    name: "a replaced result leaves its slots behind",
    file: VERSIONS,
    from: "remove(<usize>load<u32>(slot, RS_CELL) + V_WRITES, index);",
    to: "continue;",
  },
  {
    name: "a replaced result leaves its nonces behind",
    file: VERSIONS,
    from: "remove(k + K_NONCES, index);",
    to: "continue;",
  },
  {
    name: "another change of a balance is taken for the same (cut-off)",
    file: VERSIONS,
    from: "if (!equal32(CHANGE, OTHER_CHANGE) || load<u64>(CHANGE, 32) != load<u64>(OTHER_CHANGE, 32)) return false;",
    to: "",
  },
  {
    name: "a transaction reads its own write",
    file: VERSION_KEYS,
    from: "const count = countBelow(slot + V_WRITES, index);",
    to: "const count = countBelow(slot + V_WRITES, index + 1);",
  },
  {
    name: "prefix sums are kept over a change below",
    file: VERSION_KEYS,
    from: "if (load<u32>(account, K_SUMMED) > place) store<u32>(account, place, K_SUMMED);",
    to: "",
  },
  {
    name: "balances are not settled",
    file: VERSIONS,
    from: "if (!equal32(balance, a + RA_BALANCE_BEFORE)) {",
    to: "if (index == 0xffffffff) {",
  },
  {
    name: "the net effect leaves out slots",
    file: VERSIONS,
    from: "if (writerBelow(v + V_WRITES, txCount) <= wiped) continue;",
    to: "continue;",
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
    from: "for (const read of remote.unansweredReads()) here.read(read);",
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
    from: "this.#shard.settlePart(index, record)",
    to: "this.#shard.settlePart(Math.min(index + 1, this.#count - 1), record)",
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
    from: "if (record !== undefined) this.#finals.install(this.#finalsTo, record, undefined);",
    to: "void record;",
  },
];

/** A copy of this folder and of the core with one slip, beside links to what they import; its adversary. */
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
  cpSync(join(root, "vm"), join(folder, "vm"), { recursive: true });
  const isCore = mutant.file.startsWith("vm/");
  const path = isCore ? join(folder, mutant.file) : join(execution, "sharded", mutant.file);
  const source = readFileSync(path, "utf8");
  assert.ok(source.includes(mutant.from), `${mutant.file} holds what the mutant changes: ${mutant.name}`);
  writeFileSync(path, source.replaceAll(mutant.from, mutant.to));
  if (isCore) assert.equal(await compile(folder, CORE), undefined, mutant.name);
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
