import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import fc from "fast-check";
import { bytesEqual } from "../base/bytes.ts";
import { CodedError } from "../base/error.ts";
import type { Engine } from "../execution/execution.ts";
import { type L1Reader, l1Error } from "../l1/l1.ts";
import type { Block } from "../protocol/block.ts";
import { Random } from "../protocol/testing/derivation-model.ts";
import { LmdbState } from "../state/lmdb-state.ts";
import { Database } from "../store/database.ts";
import { LmdbChainStore } from "../store/lmdb-chain-store.ts";
import { depositTransaction, memoryStores, type Stores, World } from "./testing/l1-world.ts";
import type { Verifier } from "./verifier.ts";
import { LmdbVerifierStore } from "./verifier-store.ts";

const seed = Number(process.env["SHEAF_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const folder = mkdtempSync(join(tmpdir(), "sheaf-verifier-"));
after(() => rmSync(folder, { recursive: true, force: true }));
let databases = 0;

type OpenStores = Stores & { close(): Promise<void>; reopen(): Promise<OpenStores> };

/** A real database; `reopen` is a restart of the process as far as memory goes. */
function lmdbStores(path = join(folder, `db-${databases++}`)): OpenStores {
  const database = Database.open(path, { durable: false });
  return {
    database,
    chain: new LmdbChainStore(database),
    state: new LmdbState(database),
    store: new LmdbVerifierStore(database),
    close: () => database.close(),
    reopen: async () => {
      await database.close();
      return lmdbStores(path);
    },
  };
}

class Killed extends Error {}

/** Fails at a random call: what the verifier had in memory is then dropped. */
function mortal(engine: Engine, random: Random, percent: () => number): Engine {
  return {
    name: engine.name,
    executeBatch: async (...args) => {
      if (random.chance(percent())) throw new Killed();
      return await engine.executeBatch(...args);
    },
    call: (...args) => engine.call(...args),
    close: () => engine.close(),
  };
}

/** The endpoint of one verifier that does not always answer. */
function flakyL1(world: World, random: Random, percent: () => number): L1Reader {
  return new Proxy<L1Reader>(world.l1, {
    get(target, name) {
      const value = Reflect.get(target, name) as unknown;
      if (typeof value !== "function") return value;
      return async (...args: unknown[]): Promise<unknown> => {
        if (random.chance(percent())) throw l1Error("L1_ENDPOINT_DOWN", "down", {});
        return (await Reflect.apply(value, target, args)) as unknown;
      };
    },
  });
}

const headOf = (verifier: Verifier): Block => verifier.block(verifier.status().safe.number) as Block;

/** L1 life of a few steps: deposits, blocks, segments in order or not, garbage, silence, reorgs. */
async function live(world: World, random: Random, follow: Verifier): Promise<void> {
  for (let n = random.below(3); n > 0; n--)
    world.mempool.push(
      depositTransaction({ from: new Uint8Array(20).fill(0xd0 + random.below(4)), mintWei: BigInt(random.below(1e6)) }),
    );
  world.mine();
  if (world.l1.headNumber > 4 && random.chance(10)) {
    const reorg = 1 + random.below(Math.min(14, world.l1.headNumber - 3));
    world.l1.reorg(
      reorg,
      Array.from({ length: random.below(reorg + 2) + 1 }, () => ({})),
    );
    world.mempool.length = 0;
    await follow.catchUp();
    await world.rewindToL1();
    // Segments may be gone too: what is to be posted starts behind the derived chain.
    world.nextIndex = await world.freeIndex();
    const derived = headOf(follow);
    if (world.sealed.block(derived.header.number) !== undefined) world.rewind(derived.header.number);
  }
  if (random.chance(15)) world.l1.mineMany(random.below(12));
  await follow.catchUp();
  const derived = headOf(follow);
  const own = world.sealed.block(derived.header.number);
  if (own === undefined || !bytesEqual(own.hash, derived.hash)) {
    // The window ran out: this sequencer has lost its chain and only posts what nobody needs.
    world.post(random.bytes(40), { kind: "calldata" });
    return;
  }
  if (random.chance(20)) return;
  const first = world.head.header.number + 1;
  for (let n = 1 + random.below(3); n > 0; n--) {
    const advance = random.chance(70) && world.head.origin.number < world.l1.headNumber;
    const now = (await world.l1.head()).timestamp;
    const origin = (await world.l1.block(world.head.origin.number + (advance ? 1 : 0)))?.timestamp ?? 0;
    const timestamp = Math.max(world.head.header.timestamp + 1, origin);
    if (timestamp > Math.min(now, origin) + world.genesis.maxDriftSeconds) break;
    await world.build({
      advance,
      timestamp,
      txs: Array.from({ length: random.below(3) }, () => world.transfer(random.below(4))),
    });
  }
  if (world.head.header.number < first) return;
  const kind = random.chance(50) ? "blobs" : "calldata";
  if (random.chance(10)) world.post(random.bytes(random.below(80)), { kind });
  const middle = first + random.below(world.head.header.number - first + 1);
  if (middle > first && random.chance(50)) {
    const index = world.nextIndex;
    world.nextIndex += 2;
    world.post(world.segment(middle), { kind, index: index + 1 });
    if (random.chance(30)) world.mine();
    world.post(world.segment(first, middle - 1), { kind, index });
  } else world.post(world.segment(first), { kind });
}

test("whatever L1, its endpoint and the process do, the chain is what a fresh verifier derives", async () => {
  let sequenced = 0;
  let kills = 0;
  let unwound = 0;
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 0, max: 2 ** 31 }), async (s) => {
      const random = new Random(s);
      const world = World.create({ sequencingWindow: 8 + random.below(10) });
      // One that only follows, so that the sequencer knows what became of its segments.
      const follow = await world.verifier();
      follow.subscribe({ unwound: () => unwound++ });
      let stores = lmdbStores();
      let faultPercent = 5;
      const engine = mortal(world.engine, random, () => faultPercent);
      const l1 = flakyL1(world, random, () => faultPercent);
      await world.verifier(stores); // takes the genesis while L1 answers
      let subject = await world.verifier(stores, { engine, l1 });
      for (let i = 0; i < 25; i++) {
        await live(world, random, follow);
        try {
          await subject.catchUp();
        } catch (error) {
          if (error instanceof Killed || random.chance(50)) {
            kills++;
            stores = await stores.reopen();
            subject = await world.verifier(stores, { engine, l1 });
          } else assert.ok(error instanceof CodedError && error.retryable, String(error));
        }
      }
      faultPercent = 0;
      await subject.catchUp();
      const fresh = await world.verifier(memoryStores());
      await fresh.catchUp();
      for (let n = 0; n <= headOf(fresh).header.number; n++) {
        assert.deepEqual(stores.chain.block(n)?.hash, fresh.block(n)?.hash, `block ${n}`);
        if ((fresh.block(n) as Block).transactions.length > 2) sequenced++;
      }
      assert.equal(stores.chain.head, headOf(fresh).header.number);
      assert.equal(subject.status().nextIndex, fresh.status().nextIndex);
      assert.equal(subject.notReady(), undefined);
      assert.deepEqual(subject.outputRootAt(stores.chain.head), fresh.outputRootAt(stores.chain.head));
      await stores.close();
    }),
    { seed, numRuns: 12, includeErrorInReport: true },
  );
  assert.ok(sequenced > 0 && kills > 0 && unwound > 0, `sequenced ${sequenced}, kills ${kills}, unwound ${unwound}`);
});

test("a write that fails leaves the place where it was, and the next attempt goes on", async () => {
  const world = World.create();
  world.mine();
  await world.build({ advance: true, txs: [world.transfer(0)] });
  await world.build({ txs: [world.transfer(0)] });
  world.post(world.segment(1));
  world.mine();
  const stores = lmdbStores();
  let failures = 0;
  const { store } = stores;
  const flaky = new Proxy(store, {
    get(target, name) {
      const value = Reflect.get(target, name) as unknown;
      if (typeof value !== "function") return value;
      return (...args: unknown[]): unknown => {
        if (name === "put" && args[0] === "cursor" && stores.chain.head === 2 && failures++ === 0)
          throw new Error("disk");
        return Reflect.apply(value, target, args);
      };
    },
  });
  const verifier = await world.verifier({ ...stores, store: flaky });
  await assert.rejects(verifier.catchUp(), /disk/);
  assert.equal(stores.chain.head, 1);
  assert.equal(stores.state.head, 1);
  await verifier.catchUp();
  assert.deepEqual(headOf(verifier).hash, world.head.hash);
  await stores.close();
});
