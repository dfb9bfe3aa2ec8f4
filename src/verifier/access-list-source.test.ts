/** A verifier with access lists at hand derives the same chain, whoever they come from. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { toHex } from "../base/bytes.ts";
import { silentLog } from "../base/log.ts";
import { Metrics } from "../base/metrics.ts";
import { ReplayThreads } from "../execution/parallel/replay-threads.ts";
import { WasmEngine } from "../execution/wasm/wasm.ts";
import type { JsonRpc } from "../l1/json-rpc.ts";
import { l1Error } from "../l1/l1.ts";
import { MemoryChainStore } from "../store/memory-chain-store.ts";
import { type AccessListSource, RpcAccessLists } from "./access-list-source.ts";
import { verifierMetrics } from "./metrics.ts";
import { memoryStores, World } from "./testing/l1-world.ts";

const BLOCKS = 3;
let threads: ReplayThreads;
let world: World;
before(async () => {
  threads = await ReplayThreads.create(2, silentLog);
  world = World.create();
  world.mine();
  for (let i = 0; i < BLOCKS; i++) {
    const txs = Array.from({ length: 20 }, (_, t) => world.transfer(t % 4, BigInt(1 + t)));
    await world.build({ advance: i === 0, txs });
  }
  world.post(world.segment(1));
  world.mine();
});
after(() => threads.close());

/** Derives the world with these lists; how its blocks were replayed, and the lists it made itself. */
async function derive(lists: AccessListSource | undefined): Promise<{ outcomes: string[]; made: MemoryChainStore }> {
  const chain = new MemoryChainStore({ accessListBlocks: 1_000 });
  const metrics = verifierMetrics(new Metrics());
  const outcomes: string[] = [];
  const replays = {
    ...metrics.replays,
    inc: (_: number, labels: unknown) => void outcomes.push(JSON.stringify(labels)),
  };
  const verifier = await world.verifier(
    { ...memoryStores(), chain },
    {
      engine: await WasmEngine.create(),
      metrics: { ...metrics, replays },
      ...(lists === undefined ? {} : { parallel: { threads, lists } }),
    },
  );
  await verifier.catchUp();
  assert.equal(toHex(verifier.block(BLOCKS)?.hash ?? new Uint8Array(0)), toHex(world.head.hash));
  return { outcomes, made: chain };
}

test("with true lists blocks replay in parallel, with wrong, rubbish or no lists in order, to the same chain", async () => {
  const { made } = await derive(undefined);
  const truth = (number: number): Uint8Array | undefined => made.accessList(number)?.encoded;
  const from = (of: (number: number) => Uint8Array | undefined): AccessListSource => ({
    accessList: (number) => Promise.resolve(of(number)),
  });
  const all = (outcome: string): string[] => Array.from({ length: BLOCKS }, () => JSON.stringify({ outcome }));
  const parallel = await derive(from(truth));
  assert.deepEqual(parallel.outcomes, all("parallel"));
  for (let n = 1; n <= BLOCKS; n++) assert.deepEqual(parallel.made.accessList(n), made.accessList(n));
  assert.deepEqual((await derive(from((n) => truth(n - 1) ?? truth(BLOCKS)))).outcomes, all("wrong"));
  assert.deepEqual((await derive(from(() => Uint8Array.of(0xc0)))).outcomes, all("incomplete"));
  assert.deepEqual((await derive(from(() => Uint8Array.of(1, 2, 3)))).outcomes, all("malformed"));
  assert.deepEqual((await derive(from(() => undefined))).outcomes, all("serial"));
});

test("an endpoint is asked ahead, believed nothing, and left alone when it is not well", async () => {
  const asked: number[] = [];
  let answer: () => Promise<unknown> = () => Promise.resolve("0xc0");
  const rpc: JsonRpc = {
    call: (_, [number]) => {
      asked.push(Number(number));
      return answer();
    },
  };
  const lists = new RpcAccessLists(rpc);
  assert.deepEqual(await lists.accessList(5), Uint8Array.of(0xc0));
  assert.deepEqual(asked, [5, 6, 7, 8, 9, 10, 11, 12, 13]);
  assert.deepEqual(await lists.accessList(6), Uint8Array.of(0xc0));
  assert.equal(asked.length, 10);

  for (const rubbish of [null, 5, "0x0", "0xZZ", { list: [] }]) {
    answer = () => Promise.resolve(rubbish);
    assert.equal(await new RpcAccessLists(rpc).accessList(1), undefined);
  }
  answer = () => Promise.reject(l1Error("L1_REFUSED", "pruned history unavailable"));
  const pruned = new RpcAccessLists(rpc);
  assert.equal(await pruned.accessList(1), undefined);
  answer = () => Promise.resolve("0xc0");
  assert.deepEqual(await pruned.accessList(20), Uint8Array.of(0xc0));

  answer = () => Promise.reject(l1Error("L1_ENDPOINT_DOWN", "no answer"));
  const down = new RpcAccessLists(rpc);
  assert.equal(await down.accessList(1), undefined);
  const before = asked.length;
  assert.equal(await down.accessList(2), undefined);
  assert.equal(asked.length, before);
  answer = () => Promise.resolve("0xc0");
  assert.deepEqual(await down.accessList(200), Uint8Array.of(0xc0));
});
