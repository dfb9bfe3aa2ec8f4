/** The engine on incomplete and stale versions of the state: suspended reads, assumed nonces, reads and effects. */
import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { test } from "node:test";
import { fromHex, toHexKey } from "../../base/bytes.ts";
import { keccak256 } from "../../protocol/keccak.ts";
import { emptyWrites, mergeWrites } from "../../protocol/state-writes.ts";
import { type MissingKey, MissingRead, type StateReader, type TxResult } from "../execution.ts";
import { OverlayReader } from "../overlay.ts";
import { CONTRACTS, type RandomCase, randomCase } from "./testing/random-program.ts";
import type { World } from "./testing/world.ts";
import { WasmEngine } from "./wasm.ts";

/** Answers only what was fetched; the code of a fetched account too comes on its own. */
class PartialReader implements StateReader {
  readonly #world: World;
  readonly #known = new Set<string>();

  constructor(world: World) {
    this.#world = world;
  }
  fetch(missing: MissingKey): void {
    const key = keyText(missing);
    assert.ok(!this.#known.has(key), `${key} is asked for again after it was fetched`);
    this.#known.add(key);
  }
  account(address: Uint8Array): ReturnType<World["account"]> {
    this.#need({ kind: "account", address });
    return this.#world.account(address);
  }
  storage(address: Uint8Array, slot: Uint8Array): Uint8Array {
    this.#need({ kind: "slot", address, slot });
    return this.#world.storage(address, slot);
  }
  code(codeHash: Uint8Array): Uint8Array {
    this.#need({ kind: "code", codeHash });
    return this.#world.code(codeHash);
  }
  blockHash(number: number): Uint8Array {
    this.#need({ kind: "blockHash", number });
    return this.#world.blockHash(number);
  }
  #need(key: MissingKey): void {
    if (!this.#known.has(keyText(key))) throw new MissingRead();
  }
}

const keyText = (key: MissingKey): string =>
  Object.values(key)
    .map((value) => (value instanceof Uint8Array ? toHexKey(value) : String(value)))
    .join(" ");

const text = (results: readonly TxResult[]): string =>
  JSON.stringify(
    results.map((result) =>
      result.included
        ? {
            ...result.writes,
            status: result.status,
            gasUsed: result.gasUsed,
            reads: result.reads,
            deltas: result.deltas,
          }
        : { reason: result.reason, reads: result.reads },
    ),
    (_, value: unknown) =>
      typeof value === "bigint"
        ? String(value)
        : value instanceof Map
          ? [...(value as Map<string, unknown>)]
          : value instanceof Uint8Array
            ? toHexKey(value)
            : value,
  );

/** Runs with a suspension for every key; how many there were of each kind. */
function runSuspended(engine: WasmEngine, { env, world, txs }: RandomCase, kinds: Map<string, number>): TxResult[] {
  const reader = new PartialReader(world);
  const results: TxResult[] = [];
  const written = emptyWrites();
  let gasLeft = env.gasLimit;
  for (let round = 0; results.length < txs.length; round++) {
    assert.ok(round < 5_000, "every round fetches a key or ends");
    const part = engine.executePartial(env, txs.slice(results.length), new OverlayReader(reader, [written]), gasLeft);
    for (const result of part.results) if (result.included) gasLeft -= result.gasUsed;
    results.push(...part.results);
    mergeWrites(written, part.results.writes ?? emptyWrites());
    if (part.missing === undefined) break;
    kinds.set(part.missing.kind, (kinds.get(part.missing.kind) ?? 0) + 1);
    reader.fetch(part.missing);
  }
  return results;
}

test("a transaction suspended at each of its reads ends as if everything had been there", async (t) => {
  const seed = randomInt(2 ** 31);
  t.diagnostic(`seed ${seed}`);
  const kinds = new Map<string, number>();
  const whole = await WasmEngine.create();
  for (let i = 0; i < 300; i++) {
    const random = randomCase(seed, i);
    // Code that an engine has seen is not asked for again: a fresh one now and then asks for all of it.
    const engine = i % 20 === 0 ? await WasmEngine.create() : whole;
    const suspended = runSuspended(engine, random, kinds);
    const direct = whole.execute(random.env, random.txs, random.world, random.env.gasLimit);
    assert.equal(text(suspended), text(direct), `case ${i}`);
  }
  for (const kind of ["account", "slot", "code", "blockHash"])
    assert.ok((kinds.get(kind) ?? 0) > 0, `some ${kind} was missing`);
});

test("with assumed nonces a transaction runs on a version behind, and says which nonce it needs", async () => {
  const engine = await WasmEngine.create();
  let compared = 0;
  for (let i = 0; i < 200 && compared < 20; i++) {
    const { env, world, txs } = randomCase(99, i);
    const tx = txs[0];
    if (tx === undefined || tx.raw[0] === 0x7e || world.account(tx.sender)?.nonce !== 2n) continue;
    const [serial] = engine.execute(env, [tx], world, env.gasLimit);
    if (serial === undefined || !serial.included) continue;
    const stale = world.copy();
    const account = stale.accounts.get(toHexKey(tx.sender));
    assert.ok(account !== undefined);
    account.nonce = 0n;
    const refused = engine.execute(env, [tx], stale, env.gasLimit)[0];
    assert.ok(refused !== undefined && !refused.included && refused.reason === "NONCE_TOO_HIGH");
    const read = refused.reads?.find((r) => r.slot === undefined && toHexKey(r.address) === toHexKey(tx.sender));
    assert.ok(read?.slot === undefined && read?.fields.nonce === true && read.value.nonce === 0n);
    const { results } = engine.executePartial(env, [tx], stale, env.gasLimit, { assumeNonce: true });
    assert.equal(text(results), text([serial]), `case ${i}`);
    const [result] = results;
    assert.ok(result?.included);
    const delta = result.deltas?.find((d) => toHexKey(d.address) === toHexKey(tx.sender));
    assert.equal(delta?.nonceBefore, 2n);
    compared++;
  }
  assert.equal(compared, 20);
});

test("storage, code and the account itself: written, created and destroyed show in the effects", async () => {
  const engine = await WasmEngine.create();
  const { env, world } = randomCase(1, 0);
  const contract = CONTRACTS[0] as Uint8Array;
  // Creates a contract whose init code destroys itself, and one that stays with code 00; sets slot 1 to 2.
  const code = fromHex("6130ff5f526002601e5ff0506560016000f3005f526006601a5ff050600260015500");
  const bare = world.copy();
  const hash = keccak256(code);
  bare.codes.set(toHexKey(hash), code);
  bare.accounts.set(toHexKey(contract), { nonce: 1n, balanceWei: 0n, codeHash: hash, storage: new Map() });
  const answer = engine.callNow(
    { ...env, fork: "prague" },
    {
      from: new Uint8Array(20).fill(9),
      to: contract,
      data: new Uint8Array(0),
      valueWei: 0n,
      gasLimit: 1_000_000,
      gasPriceWei: 0n,
      intrinsicGas: true,
    },
    bare,
  );
  assert.equal(answer.status, "success");
  const { accounts, codes } = answer.writes;
  assert.equal(accounts.get(toHexKey(contract))?.account?.nonce, 3n);
  assert.equal(
    toHexKey(accounts.get(toHexKey(contract))?.storage.get("01".padStart(64, "0")) ?? code),
    "02".padStart(64, "0"),
  );
  const others = [...accounts].filter(([address]) => address !== toHexKey(contract) && address !== "09".repeat(20));
  assert.equal(others.filter(([, write]) => write.cleared && write.account === undefined).length, 1, "one destroyed");
  const created = others.filter(([, write]) => write.account !== undefined);
  assert.equal(created.length, 1, "one created");
  const createdHash = toHexKey(created[0]?.[1].account?.codeHash ?? hash);
  assert.deepEqual(codes.get(createdHash), Uint8Array.of(0), "with its code");
});
