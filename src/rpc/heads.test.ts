/** What clients see when the chain moves: filters, subscriptions, tags, pending, reorgs, pruned state. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { toHex } from "../base/bytes.ts";
import { signTransaction, type TransactionFields } from "../protocol/transaction-codec.ts";
import { CONTEXT, depositOf, KEYS, LOGGER } from "./testing/memory-chain.ts";
import { RpcFixture, until } from "./testing/rpc-fixture.ts";

type Log = { removed: boolean; blockHash: string; data: string; logIndex: string };

let fixture: RpcFixture;
beforeEach(async () => {
  fixture = await RpcFixture.create();
});
afterEach(() => fixture.close());

const word = (value: number): string => value.toString(16).padStart(64, "0");
const addressOf = (i: number): string => toHex(KEYS[i]?.address as Uint8Array);

async function send(key: number, nonce: number, fields: Partial<TransactionFields>): Promise<string> {
  const tx = signTransaction(
    { type: 2, chainId: 901, nonce: BigInt(nonce), gasLimit: 200_000n, maxFeePerGasWei: 10n ** 10n, ...fields },
    KEYS[key]?.secret as Uint8Array,
  );
  return (await fixture.result("eth_sendRawTransaction", toHex(tx.raw))) as string;
}

const store = (value: number): Uint8Array => Buffer.from(`${word(1)}${word(value)}`, "hex");
const mine = (deposits?: Uint8Array[]): Promise<void> => fixture.chain.mine(deposits);

test("a log filter reports new logs, then those of unwound blocks as removed, then the new branch", async () => {
  const filter = await fixture.result("eth_newFilter", { address: toHex(LOGGER) });
  const changes = () => fixture.result("eth_getFilterChanges", filter) as Promise<Log[]>;
  await send(0, 0, { to: LOGGER, data: store(1) });
  await mine();
  assert.deepEqual(
    (await changes()).map((log) => [log.data, log.removed]),
    [[`0x${word(1)}`, false]],
  );
  fixture.chain.rewind(0);
  await send(0, 0, { to: LOGGER, data: store(2) });
  await mine();
  const after = await changes();
  assert.deepEqual(
    after.map((log) => [log.data, log.removed]),
    [
      [`0x${word(1)}`, true],
      [`0x${word(2)}`, false],
    ],
  );
  assert.notEqual(after[0]?.blockHash, after[1]?.blockHash);
  assert.deepEqual(await changes(), []);
});

test("a block that came and went between two polls is never mentioned", async () => {
  const filter = await fixture.result("eth_newFilter", {});
  await send(0, 0, { to: LOGGER, data: store(1) });
  await mine();
  fixture.chain.rewind(0);
  await send(0, 0, { to: LOGGER, data: store(2) });
  await mine();
  const logs = (await fixture.result("eth_getFilterChanges", filter)) as Log[];
  assert.deepEqual(
    logs.map((log) => [log.data, log.removed]),
    [[`0x${word(2)}`, false]],
  );
});

test("block and pending-transaction filters report once each", async () => {
  const blocks = await fixture.result("eth_newBlockFilter");
  const pending = await fixture.result("eth_newPendingTransactionFilter");
  const hash = await send(0, 0, { to: KEYS[1]?.address });
  await mine();
  await mine();
  const hashes = (await fixture.result("eth_getFilterChanges", blocks)) as string[];
  assert.deepEqual(
    hashes,
    [1, 2].map((n) => toHex(fixture.chain.block(n)?.hash as Uint8Array)),
  );
  assert.deepEqual(await fixture.result("eth_getFilterChanges", pending), [hash]);
  assert.deepEqual(await fixture.result("eth_getFilterChanges", pending), []);
  assert.equal(await fixture.result("eth_uninstallFilter", blocks), true);
  assert.equal(await fixture.result("eth_uninstallFilter", blocks), false);
  assert.equal((await fixture.request("eth_getFilterChanges", [blocks])).error?.code, -32000);
  assert.equal((await fixture.request("eth_getFilterLogs", [pending])).error?.code, -32000);
});

test("filter logs cover the range the filter was made with", async () => {
  await send(0, 0, { to: LOGGER, data: store(1) });
  await mine();
  const filter = await fixture.result("eth_newFilter", { fromBlock: "0x0" });
  assert.equal(((await fixture.result("eth_getFilterLogs", filter)) as Log[]).length, 1);
});

test("subscriptions push heads, logs and accepted transactions; a reorg pushes removed logs", async () => {
  const socket = await fixture.socket();
  const ids = {
    heads: (await socket.request("eth_subscribe", ["newHeads"])).result,
    logs: (await socket.request("eth_subscribe", ["logs", { address: toHex(LOGGER) }])).result,
    pending: (await socket.request("eth_subscribe", ["newPendingTransactions"])).result,
    full: (await socket.request("eth_subscribe", ["newPendingTransactions", true])).result,
  };
  const of = (id: unknown) =>
    socket.notifications.filter((n) => n.params.subscription === id).map((n) => n.params.result);
  const hash = await send(0, 0, { to: LOGGER, data: store(1) });
  await mine();
  await until(() => of(ids.logs).length === 1 || undefined);
  const [head] = of(ids.heads) as { number: string; hash: string; transactions?: unknown }[];
  assert.equal(head?.number, "0x1");
  assert.equal(head.transactions, undefined);
  assert.deepEqual(of(ids.pending), [hash]);
  assert.equal((of(ids.full)[0] as { hash: string }).hash, hash);
  fixture.chain.rewind(0);
  await send(0, 0, { to: LOGGER, data: store(2) });
  await mine();
  await until(() => of(ids.logs).length === 3 || undefined);
  assert.deepEqual(
    (of(ids.logs) as Log[]).map((log) => log.removed),
    [false, true, false],
  );
  assert.equal((await socket.request("eth_unsubscribe", [ids.heads])).result, true);
  assert.equal((await socket.request("eth_unsubscribe", [ids.heads])).error?.code, -32000);
  const before = of(ids.heads).length;
  await mine();
  await socket.request("eth_chainId");
  assert.equal(of(ids.heads).length, before);
  assert.equal((await socket.request("eth_subscribe", ["nothing"])).error?.code, -32601);
  socket.close();
});

test("tags follow the heads", async () => {
  for (let i = 0; i < 3; i++) await mine();
  fixture.chain.safe = 2;
  fixture.chain.finalized = 1;
  const numberAt = async (tag: string) =>
    ((await fixture.result("eth_getBlockByNumber", tag, false)) as { number: string }).number;
  assert.deepEqual(await Promise.all(["earliest", "finalized", "safe", "latest", "pending"].map(numberAt)), [
    "0x0",
    "0x1",
    "0x2",
    "0x3",
    "0x3",
  ]);
});

test("pending is the block being built: state, nonce, block, transactions", async () => {
  await mine();
  await send(0, 0, { to: KEYS[1]?.address, valueWei: 5n });
  await fixture.chain.open();
  const before = BigInt((await fixture.result("eth_getBalance", addressOf(1), "latest")) as string);
  assert.equal(BigInt((await fixture.result("eth_getBalance", addressOf(1), "pending")) as string), before + 5n);
  assert.equal(await fixture.result("eth_getTransactionCount", addressOf(0), "pending"), "0x1");
  const block = (await fixture.result("eth_getBlockByNumber", "pending", true)) as {
    hash: null;
    number: string;
    transactions: { blockHash: null; from: string }[];
  };
  assert.equal(block.hash, null);
  assert.equal(block.number, "0x2");
  assert.equal(block.transactions[1]?.from, addressOf(0));
  assert.equal(block.transactions[1]?.blockHash, null);
  assert.equal(await fixture.result("eth_getBlockTransactionCountByNumber", "pending"), "0x2");
  const output = (await fixture.result("eth_call", { to: toHex(CONTEXT) }, "pending")) as string;
  assert.equal(BigInt(`0x${output.slice(66, 130)}`), 2n);
  fixture.chain.seal();
});

test("a transaction of the open block is found though the pool has let it go", async () => {
  await fixture.chain.open();
  const tx = signTransaction(
    { type: 2, chainId: 901, nonce: 0n, to: KEYS[4]?.address, gasLimit: 100_000n, maxFeePerGasWei: 3_000_000_000n },
    KEYS[4]?.secret as Uint8Array,
  );
  assert.equal(await fixture.result("eth_getTransactionByHash", toHex(tx.hash)), null);
  await fixture.chain.advance(4, 0);
  const found = (await fixture.result("eth_getTransactionByHash", toHex(tx.hash))) as Record<string, unknown>;
  assert.equal(found["blockHash"], null);
  assert.equal(found["from"], addressOf(4));
  assert.equal(await fixture.result("eth_getRawTransactionByHash", toHex(tx.hash)), toHex(tx.raw));
  fixture.chain.seal();
  assert.ok(await fixture.result("eth_getTransactionReceipt", toHex(tx.hash)));
});

test("a pending state that moves under a call gives the answer of one version", async () => {
  await mine();
  await fixture.chain.open();
  const { engine } = fixture.chain;
  const call = engine.call.bind(engine);
  let calls = 0;
  engine.call = async (...args) => {
    const result = await call(...args);
    // Two transactions arrive while the first two attempts run.
    if (calls++ < 2) await fixture.chain.advance(4, calls - 1);
    return result;
  };
  const output = (await fixture.result("eth_call", { to: toHex(CONTEXT) }, "pending")) as string;
  engine.call = call;
  assert.equal(calls, 3);
  assert.equal(BigInt(`0x${output.slice(66, 130)}`), 2n);
  fixture.chain.seal();
});

test("a pooled transaction is known without a block, then with one", async () => {
  const hash = await send(0, 0, { to: KEYS[1]?.address });
  const pooled = (await fixture.result("eth_getTransactionByHash", hash)) as { blockHash: unknown };
  assert.equal(pooled.blockHash, null);
  assert.equal(await fixture.result("eth_getTransactionReceipt", hash), null);
  const content = (await fixture.result("txpool_content")) as { pending: Record<string, Record<string, unknown>> };
  assert.ok(content.pending[addressOf(0)]?.["0"] !== undefined);
  const own = (await fixture.result("txpool_contentFrom", addressOf(0))) as { pending: Record<string, unknown> };
  assert.deepEqual(Object.keys(own.pending), ["0"]);
  assert.deepEqual(await fixture.result("txpool_status"), { pending: "0x1", queued: "0x0" });
  await mine();
  const mined = (await fixture.result("eth_getTransactionByHash", hash)) as { blockHash: unknown };
  assert.equal(mined.blockHash, toHex(fixture.chain.block(1)?.hash as Uint8Array));
});

test("historical state is served where it is kept, with a clear error where it is pruned", async () => {
  await send(0, 0, { to: KEYS[1]?.address, valueWei: 5n });
  await mine();
  await mine();
  const at = (block: unknown) => fixture.request("eth_getBalance", [addressOf(1), block]);
  assert.notEqual((await at("0x0")).result, (await at("0x1")).result);
  const hash = toHex(fixture.chain.block(0)?.hash as Uint8Array);
  assert.equal((await at({ blockHash: hash })).result, (await at("0x0")).result);
  assert.equal((await at({ blockHash: hash, requireCanonical: true })).result, (await at("0x0")).result);
  while (!fixture.chain.state.prune(1));
  const pruned = await at("0x0");
  assert.equal(pruned.error?.code, -32000);
  assert.match(pruned.error?.message ?? "", /historical state/);
  assert.ok((await at("0x1")).result);
  assert.equal((await at("0x99")).error?.code, -32001);
  assert.equal((await at({ blockHash: `0x${"00".repeat(32)}` })).error?.code, -32001);
});

test("log ranges are checked: reversed, beyond the head, too wide, by hash", async () => {
  for (let i = 0; i < 3; i++) await mine();
  const logs = (filter: unknown) => fixture.request("eth_getLogs", [filter]);
  assert.equal((await logs({ fromBlock: "0x2", toBlock: "0x1" })).error?.code, -32602);
  assert.equal((await logs({ fromBlock: "0x1", toBlock: "0x9" })).error?.code, -32602);
  const hash = toHex(fixture.chain.block(1)?.hash as Uint8Array);
  assert.deepEqual((await logs({ blockHash: hash })).result, []);
  assert.equal((await logs({ blockHash: hash, fromBlock: "0x1" })).error?.code, -32602);
  assert.equal((await logs({ blockHash: `0x${"00".repeat(32)}` })).error?.code, -32001);
  assert.equal((await logs({ topics: [null, null, null, null, null] })).error?.code, -32602);
  const narrow = await RpcFixture.create({ logBlocksMax: 2, logResultsMax: 1 });
  for (let i = 0; i < 4; i++) await narrow.chain.mine();
  assert.equal((await narrow.request("eth_getLogs", [{ fromBlock: "0x0" }])).error?.code, -32005);
  await narrow.close();
});

test("a receipt by sendRawTransactionSync, or code 4 with the hash when no block comes", async () => {
  const tx = signTransaction(
    { type: 2, chainId: 901, nonce: 0n, to: KEYS[1]?.address, gasLimit: 21_000n, maxFeePerGasWei: 10n ** 10n },
    KEYS[0]?.secret as Uint8Array,
  );
  const late = await fixture.request("eth_sendRawTransactionSync", [toHex(tx.raw), "0x32"]);
  assert.equal(late.error?.code, 4);
  assert.equal(late.error?.data, toHex(tx.hash));
  // As a number; and one that makes no sense is the default.
  for (const timeout of [50, "50", -1, { ms: 1 }, "0x"]) {
    const again = await fixture.request("eth_sendRawTransactionSync", [toHex(tx.raw), timeout]);
    assert.equal(again.error?.code, -32000, "already known, whatever the timeout says");
  }
  await mine();
  fixture.chain.automine = true;
  const next = signTransaction(
    { type: 2, chainId: 901, nonce: 1n, to: KEYS[1]?.address, gasLimit: 21_000n, maxFeePerGasWei: 10n ** 10n },
    KEYS[0]?.secret as Uint8Array,
  );
  const receipt = (await fixture.result("eth_sendRawTransactionSync", toHex(next.raw))) as { status: string };
  assert.equal(receipt.status, "0x1");
});

test("sendRawTransactionSync answers when the transaction is confirmed, with all but the block's hash", async () => {
  const tx = signTransaction(
    { type: 2, chainId: 901, nonce: 0n, to: LOGGER, data: store(3), gasLimit: 90_000n, maxFeePerGasWei: 10n ** 10n },
    KEYS[0]?.secret as Uint8Array,
  );
  const answer = fixture.result("eth_sendRawTransactionSync", toHex(tx.raw), "0x4e20");
  await until(() => fixture.chain.get(tx.hash));
  await fixture.chain.open();
  const early = (await answer) as Record<string, unknown>;
  assert.equal(early["blockHash"], `0x${"00".repeat(32)}`);
  assert.equal(await fixture.result("eth_getTransactionReceipt", toHex(tx.hash)), null);
  fixture.chain.seal();
  const late = (await fixture.result("eth_getTransactionReceipt", toHex(tx.hash))) as Record<string, unknown>;
  const blockHash = late["blockHash"];
  const logs = (early["logs"] as object[]).map((log) => ({ ...log, blockHash }));
  assert.equal(logs.length, 1);
  assert.deepEqual({ ...early, blockHash, logs }, late);
});

test("sendRawTransactionSync tells a nonce gap at once, with the nonce that is missing", async () => {
  const tx = signTransaction(
    { type: 2, chainId: 901, nonce: 2n, to: KEYS[1]?.address, gasLimit: 21_000n, maxFeePerGasWei: 10n ** 10n },
    KEYS[0]?.secret as Uint8Array,
  );
  const { error } = await fixture.request("eth_sendRawTransactionSync", [toHex(tx.raw), "0x4e20"]);
  assert.deepEqual([error?.code, error?.data], [6, "0x0"]);
});

test("newFlashblocks gives what is confirmed as it is, then the seal; who comes late gets all of the block", async () => {
  type Flashblock = { index: number; base?: object; diff: { transactions: string[]; block_hash: string } };
  const early = await fixture.socket();
  const late = await fixture.socket();
  const of = (socket: typeof early): Flashblock[] => socket.notifications.map((n) => n.params.result as Flashblock);
  await early.request("eth_subscribe", ["newFlashblocks"]);
  await send(0, 0, { to: LOGGER, data: store(1) });
  await fixture.chain.open();
  await until(() => of(early)[0]);
  const id = (await late.request("eth_subscribe", ["newFlashblocks"])).result;
  fixture.chain.seal();
  const block = fixture.chain.block(1);
  const whole = block?.transactions.map((raw) => toHex(raw));
  await until(() => of(early)[1] && of(late)[0]);
  const shown = (messages: Flashblock[]) =>
    messages.map(({ index, base, diff }) => [index, base !== undefined, diff.transactions, diff.block_hash]);
  assert.deepEqual(shown(of(early)), [
    [0, true, whole, `0x${"00".repeat(32)}`],
    [1, false, [], toHex(block?.hash as Uint8Array)],
  ]);
  assert.deepEqual(shown(of(late)), [[1, true, whole, toHex(block?.hash as Uint8Array)]]);
  assert.equal((await late.request("eth_unsubscribe", [id])).result, true);
  await mine();
  await until(() => of(early)[3]);
  await late.request("eth_chainId");
  assert.equal(of(late).length, 1);
  early.close();
  late.close();
});

test("deposits show as type 0x7e with nonce and version, without L1 fees", async () => {
  await mine([depositOf(KEYS[2]?.address as Uint8Array, 9n, 1)]);
  const [attributes, deposit] = (await fixture.result("eth_getBlockReceipts", "0x1")) as Record<string, unknown>[];
  assert.equal(attributes?.["type"], "0x7e");
  assert.equal(deposit?.["depositReceiptVersion"], "0x1");
  assert.equal(deposit["depositNonce"], "0x0");
  assert.equal(deposit["effectiveGasPrice"], "0x0");
  assert.equal("l1Fee" in deposit, false);
  const tx = (await fixture.result("eth_getTransactionByBlockNumberAndIndex", "0x1", "0x1")) as Record<string, unknown>;
  assert.equal(tx["mint"], "0x9");
  assert.equal(tx["gasPrice"], "0x0");
});

test("a call without fees sees base fee zero, one with fees the block's", async () => {
  await mine();
  const call = async (extra: object, ...more: unknown[]) => {
    const output = (await fixture.result(
      "eth_call",
      { from: addressOf(0), to: toHex(CONTEXT), ...extra },
      "latest",
      ...more,
    )) as string;
    const at = (i: number) => BigInt(`0x${output.slice(2 + 64 * i, 66 + 64 * i)}`);
    return { baseFee: at(0), number: at(1), timestamp: at(2), gasPrice: at(3) };
  };
  assert.deepEqual((await call({})).baseFee, 0n);
  const paid = await call({ maxFeePerGas: "0x2540be400", maxPriorityFeePerGas: "0x1", gas: "0x186a0" });
  assert.ok(paid.baseFee > 0n);
  assert.equal(paid.gasPrice, paid.baseFee + 1n);
  const moved = await call({}, {}, { number: "0x77", time: "0x88" });
  assert.equal(moved.number, 0x77n);
  assert.equal(moved.timestamp, 0x88n);
  const low = await fixture.request("eth_call", [{ to: toHex(CONTEXT), gasPrice: "0x1" }]);
  assert.equal(low.error?.code, -32000);
  const poor = await fixture.request("eth_call", [{ from: `0x${"99".repeat(20)}`, to: toHex(CONTEXT), value: "0x1" }]);
  assert.match(poor.error?.message ?? "", /insufficient funds/);
});

test("output roots and proofs belong to the block asked for", async () => {
  await mine();
  const output = (await fixture.result("optimism_outputAtBlock", "0x1")) as {
    blockRef: { number: number };
    outputRoot: string;
  };
  assert.equal(output.blockRef.number, 1);
  assert.match(output.outputRoot, /^0x[0-9a-f]{64}$/);
  assert.equal((await fixture.request("optimism_syncStatus")).error?.code, -32004);
});
