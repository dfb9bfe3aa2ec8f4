/** Tracing over JSON-RPC: the right state under each transaction, geth's shapes, and limits that a stranger meets. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { fromHex, toHex } from "../base/bytes.ts";
import { signTransaction } from "../protocol/transaction-codec.ts";
import { depositOf, KEYS, LOG_TOPIC, LOGGER, LOOPER, NESTED, REFUNDER, REVERTER } from "./testing/memory-chain.ts";
import { RpcFixture } from "./testing/rpc-fixture.ts";

type Call = Record<string, unknown> & { calls?: Call[]; logs?: Record<string, unknown>[] };
type Struct = { gas: number; failed: boolean; returnValue: string; structLogs: Record<string, unknown>[] };
type Entry = { txHash: string; result: unknown };

const word = (n: number): string => n.toString(16).padStart(64, "0");
const CALL_TRACER = { tracer: "callTracer", tracerConfig: { withLog: true } };

let fixture: RpcFixture;
const hashes: string[] = [];

async function send(key: number, nonce: number, to: Uint8Array, data: string): Promise<string> {
  const tx = signTransaction(
    {
      chainId: 901,
      nonce: BigInt(nonce),
      to,
      data: fromHex(data),
      gasLimit: 600_000n,
      maxFeePerGasWei: 10n ** 10n,
      type: 2,
    },
    KEYS[key]?.secret as Uint8Array,
  );
  return (await fixture.result("eth_sendRawTransaction", toHex(tx.raw))) as string;
}

before(async () => {
  fixture = await RpcFixture.create();
  // Block 1: the same slot written three times by different senders, so that each must see the one before.
  for (const [i, value] of [7, 8, 9].entries()) hashes.push(await send(i, 0, LOGGER, word(1) + word(value)));
  hashes.push(await send(3, 0, REVERTER, ""));
  hashes.push(await send(4, 0, NESTED, ""));
  hashes.push(await send(5, 0, REFUNDER, ""));
  await fixture.chain.mine([depositOf(KEYS[3]?.address as Uint8Array, 5n, 1)]);
});
after(() => fixture.close());

test("a transaction is traced on the state that those before it left", async () => {
  for (const [i, value] of [7, 8, 9].entries()) {
    const trace = (await fixture.result("debug_traceTransaction", hashes[i], {
      tracer: "prestateTracer",
      tracerConfig: { diffMode: true },
    })) as Record<"pre" | "post", Record<string, { storage?: Record<string, string> }>>;
    const slot = `0x${word(1)}`;
    assert.equal(trace.post[toHex(LOGGER)]?.storage?.[slot], `0x${word(value)}`);
    assert.equal(trace.pre[toHex(LOGGER)]?.storage?.[slot], i === 0 ? undefined : `0x${word(value - 1)}`);
  }
});

test("gas, failure, logs and their numbers in traces are those of the receipts", async () => {
  const block = (await fixture.result("debug_traceBlockByNumber", "0x1", CALL_TRACER)) as {
    txHash: string;
    result: Call;
  }[];
  const receipts = (await fixture.result("eth_getBlockReceipts", "0x1")) as Record<string, unknown>[];
  assert.equal(block.length, receipts.length);
  for (const [i, { txHash, result }] of block.entries()) {
    const receipt = receipts[i] as Record<string, unknown>;
    assert.equal(txHash, receipt["transactionHash"]);
    assert.equal(result["gasUsed"], receipt["gasUsed"]);
    assert.equal(result["error"] === undefined, receipt["status"] === "0x1");
    const logs = receipt["logs"] as Record<string, unknown>[];
    assert.deepEqual(
      (result.logs ?? []).map(({ address, topics, data, index }) => ({ address, topics, data, index })),
      logs.map(({ address, topics, data, logIndex }) => ({ address, topics, data, index: logIndex })),
    );
    // One at a time gives the same as all at once.
    assert.deepEqual(await fixture.result("debug_traceTransaction", txHash, CALL_TRACER), result);
  }
  assert.deepEqual((block[2]?.result.logs?.[0]?.["topics"] as string[] | undefined)?.[0], toHex(LOG_TOPIC));
});

test("the shapes are geth's", async () => {
  const reverted = (await fixture.result("debug_traceTransaction", hashes[3], { tracer: "callTracer" })) as Call;
  assert.deepEqual(Object.keys(reverted), "from gas gasUsed to input output error revertReason value type".split(" "));
  assert.equal(reverted["error"], "execution reverted");
  assert.equal(reverted["revertReason"], "nope");
  assert.equal(reverted["gas"], `0x${(600_000).toString(16)}`);
  const nested = (await fixture.result("debug_traceTransaction", hashes[4], { tracer: "callTracer" })) as Call;
  assert.equal(nested.calls?.[0]?.["type"], "CALL");
  const top = { tracer: "callTracer", tracerConfig: { onlyTopCall: true } };
  assert.equal(((await fixture.result("debug_traceTransaction", hashes[4], top)) as Call).calls, undefined);

  const steps = (await fixture.result("debug_traceTransaction", hashes[0], {})) as Struct;
  assert.deepEqual(steps, await fixture.result("debug_traceTransaction", hashes[0]));
  assert.equal(steps.failed, false);
  assert.equal(steps.returnValue, "0x");
  assert.deepEqual(steps.structLogs[0], {
    pc: 0,
    op: "PUSH0",
    gas: steps.structLogs[0]?.["gas"],
    gasCost: 2,
    depth: 1,
    stack: [],
  });
  const store = steps.structLogs.find(({ op }) => op === "SSTORE");
  assert.deepEqual(store?.["storage"], { [`0x${word(1)}`]: `0x${word(7)}` });
  const bare = (await fixture.result("debug_traceTransaction", hashes[0], {
    disableStack: true,
    disableStorage: true,
    enableMemory: true,
    limit: 8,
  })) as Struct;
  assert.equal(bare.structLogs.length, 8);
  assert.ok(bare.structLogs.every((log) => log["stack"] === undefined && log["storage"] === undefined));
  assert.deepEqual(bare.structLogs[7]?.["memory"], [`0x${word(7)}`]);
  const refunded = (await fixture.result("debug_traceTransaction", hashes[5])) as Struct;
  assert.equal(refunded.structLogs.at(-1)?.["refund"], 4_800);
});

test("deposits and L1 attributes are traced too, a block by hash, number and bytes alike", async () => {
  const { hash } = (await fixture.result("eth_getBlockByNumber", "0x1", false)) as { hash: string };
  const byNumber = (await fixture.result("debug_traceBlockByNumber", "latest", CALL_TRACER)) as Entry[];
  assert.deepEqual(await fixture.result("debug_traceBlockByHash", hash, CALL_TRACER), byNumber);
  const raw = await fixture.result("debug_getRawBlock", "0x1");
  assert.deepEqual(await fixture.result("debug_traceBlock", raw, CALL_TRACER), byNumber);
  assert.equal((byNumber[0]?.result as Call | undefined)?.["from"], "0xdeaddeaddeaddeaddeaddeaddeaddeaddead0001");
  const deposit = (byNumber[1] as Entry).result as Call;
  assert.deepEqual([deposit["value"], deposit["to"]], ["0x5", toHex(KEYS[3]?.address as Uint8Array)]);
});

test("a call is traced with overrides, before any transaction of a block, and like the transaction it mirrors", async () => {
  const call = { from: toHex(KEYS[1]?.address as Uint8Array), to: toHex(LOGGER), input: `0x${word(1)}${word(5)}` };
  const pre = async (config: object): Promise<string | undefined> => {
    const state = (await fixture.result("debug_traceCall", call, "0x1", {
      tracer: "prestateTracer",
      ...config,
    })) as Record<string, { storage?: Record<string, string> }>;
    return state[toHex(LOGGER)]?.storage?.[`0x${word(1)}`];
  };
  assert.equal(await pre({}), `0x${word(9)}`);
  // Two deposits come first: of the block's transactions, number 4 is the third that writes.
  assert.equal(await pre({ txIndex: "0x4" }), `0x${word(8)}`);
  const stateDiff = { [`0x${word(1)}`]: `0x${word(77)}` };
  assert.equal(await pre({ stateOverrides: { [toHex(LOGGER)]: { stateDiff } } }), `0x${word(77)}`);
  const logged = (await fixture.result("debug_traceCall", call, "latest", CALL_TRACER)) as Call;
  assert.equal(logged.logs?.[0]?.["index"], "0x0");
  assert.equal(((await fixture.result("debug_traceCall", { to: toHex(REVERTER) }, "latest")) as Struct).failed, true);
});

test("what cannot be traced is said in documented errors", async () => {
  const code = async (method: string, ...params: unknown[]): Promise<number | undefined> =>
    (await fixture.request(method, params)).error?.code;
  assert.equal((await fixture.request("debug_traceBlockByNumber", ["0x0"])).error?.message, "genesis is not traceable");
  assert.equal(await code("debug_traceTransaction", `0x${word(1)}`), -32001);
  assert.equal(await code("debug_traceBlockByHash", `0x${word(1)}`), -32001);
  assert.equal(await code("debug_traceBlock", "0xc3c20102"), -32001);
  assert.equal(await code("debug_traceBlock", "0x1234"), -32602);
  assert.equal(await code("debug_traceTransaction", hashes[0], { tracer: "{step: function() {}}" }), -32602);
  assert.equal(await code("debug_traceTransaction", hashes[0], { timeout: "soon" }), -32602);
  assert.equal(await code("debug_traceTransaction", hashes[0], { tracerConfig: 7 }), -32602);
  assert.equal(await code("debug_traceCall", { to: toHex(LOGGER) }, "0x1", { txIndex: "0x99" }), -32602);
  const poor = { from: `0x${"ab".repeat(20)}`, to: toHex(LOGGER), value: "0xffffffffffff" };
  assert.equal((await fixture.request("debug_traceCall", [poor, "latest", CALL_TRACER])).error?.code, -32000);
});

test("endless and enormous traces end at their limits, calls are answered meanwhile, and the next trace is right", async () => {
  const small = await RpcFixture.create({ responseMaxBytes: 200_000, traceTimeoutMs: 10_000 });
  try {
    await small.chain.mine();
    const loop = { to: toHex(LOOPER), gas: "0x2faf080" };
    const expected = await small.result("debug_traceCall", { to: toHex(REVERTER) }, "latest", CALL_TRACER);
    const enormous = await small.request("debug_traceCall", [loop, "latest", {}]);
    assert.equal(enormous.error?.code, -32003);
    const brief = await small.request("debug_traceCall", [loop, "latest", { tracer: "callTracer", timeout: "1ms" }]);
    assert.equal(brief.error?.code, -32002);
    // Traces wait for each other; calls have a place of their own.
    const many = Array.from({ length: 6 }, () =>
      small.request("debug_traceCall", [loop, "latest", { disableStack: true }]),
    );
    const call = await small.request("eth_call", [{ to: toHex(REVERTER) }, "latest"]);
    assert.equal(call.error?.code, 3);
    const codes = (await Promise.all(many)).map((answer) => answer.error?.code);
    assert.ok(
      codes.every((c) => c === -32003 || c === -32002),
      codes.join(),
    );
    assert.deepEqual(await small.result("debug_traceCall", { to: toHex(REVERTER) }, "latest", CALL_TRACER), expected);
  } finally {
    await small.close();
  }
});

test("the line of traces is bounded", async () => {
  const narrow = await RpcFixture.create({ tracesMax: 1, tracesQueueMax: 0 });
  try {
    await narrow.chain.mine();
    // The first one starts the tracing thread, which takes far longer than the others need to arrive.
    const asked = Array.from({ length: 8 }, () => narrow.request("debug_traceCall", [{ to: toHex(LOGGER) }, "latest"]));
    const codes = (await Promise.all(asked)).map((answer) => answer.error?.code);
    assert.ok(codes.includes(undefined) && codes.includes(-32005), codes.join());
  } finally {
    await narrow.close();
  }
});

test("pruned state and switched-off tracing are said so", async () => {
  const off = await RpcFixture.create({ tracesMax: 0 });
  try {
    await off.chain.mine();
    assert.equal((await off.request("debug_traceBlockByNumber", ["0x1"])).error?.code, -32004);
  } finally {
    await off.close();
  }
  await fixture.chain.mine();
  fixture.chain.state.prune(1);
  const { error } = await fixture.request("debug_traceTransaction", [hashes[0]]);
  assert.equal(error?.code, -32000);
  assert.match(error?.message ?? "", /^historical state is not available/);
});
