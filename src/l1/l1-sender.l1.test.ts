/** The sender against a real node: fees, losses, reorgs, restarts, reverts. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { mnemonicToAccount } from "viem/accounts";
import { toHex, toHexKey } from "../base/bytes.ts";
import { hasCode } from "../base/error.ts";
import { silentLog } from "../base/log.ts";
import { Metrics } from "../base/metrics.ts";
import { encodeBlobs } from "../protocol/blob-codec.ts";
import { Anvil, type AnvilOptions, DEV_MNEMONIC } from "./anvil.ts";
import type { JsonRpc } from "./json-rpc.ts";
import { readList, readObject } from "./json-rpc.ts";
import { type BlobProofs, proveBlob } from "./kzg.ts";
import { L1Sender, type L1SenderOptions, SENDER_DEFAULTS } from "./l1-sender.ts";
import { localSigner } from "./l1-signer.ts";
import { senderMetrics } from "./metrics.ts";
import { RpcL1 } from "./rpc-l1.ts";
import type { SendRequest } from "./sender.ts";
import { sweepPool, until } from "./testing/settlement.ts";

const KEY = mnemonicToAccount(DEV_MNEMONIC, { addressIndex: 3 }).getHdKey().privateKey as Uint8Array;
const ELSEWHERE = new Uint8Array(20).fill(0xee);

const plain = (what: string, valueWei = 1n): SendRequest => ({
  purpose: "batch",
  what,
  to: ELSEWHERE,
  data: new TextEncoder().encode(what),
  valueWei,
});

async function start(t: TestContext, options: AnvilOptions = {}): Promise<Anvil> {
  const anvil = await Anvil.start(options);
  t.after(() => anvil.kill());
  if (options.manualMining !== true) sweepPool(anvil, (end) => t.after(end));
  return anvil;
}

type Running = { sender: L1Sender; metrics: Metrics; stop: () => Promise<void> };

function run(t: TestContext, anvil: Anvil, options: Partial<L1SenderOptions> = {}, rpc: JsonRpc = anvil.rpc): Running {
  const metrics = new Metrics();
  const sender = new L1Sender({
    name: "test",
    rpc,
    reader: new RpcL1(rpc, { chainId: anvil.chainId }),
    signer: localSigner(KEY),
    options: { ...SENDER_DEFAULTS, chainId: anvil.chainId, pollMs: 20, tipMinWei: 1n, ...options },
    abis: [],
    metrics: senderMetrics(metrics, "test"),
    log: silentLog,
  });
  const abort = new AbortController();
  const done = sender.run(abort.signal);
  const stop = async (): Promise<void> => {
    abort.abort();
    await done;
  };
  t.after(stop);
  return { sender, metrics, stop };
}

async function pool(anvil: Anvil): Promise<Record<string, unknown>[]> {
  const content = readObject(await anvil.rpc.call("txpool_content", []), "pool");
  return Object.values(readObject(content["pending"], "pending")).flatMap((byNonce) =>
    Object.values(readObject(byNonce, "account")).map((tx) => readObject(tx, "tx")),
  );
}

async function counter(metrics: Metrics, name: string): Promise<number> {
  const metric = await metrics.registry.getSingleMetric(name)?.get();
  return metric?.values.reduce((sum, v) => sum + v.value, 0) ?? 0;
}

/** Hashes of all transactions of our account on the chain, in order. */
async function onChain(anvil: Anvil): Promise<string[]> {
  const from = toHex(localSigner(KEY).address);
  const hashes: string[] = [];
  for (let n = 0; n <= (await anvil.blockNumber()); n++) {
    const block = readObject(await anvil.rpc.call("eth_getBlockByNumber", [`0x${n.toString(16)}`, true]), "block");
    for (const tx of readList(block["transactions"], "transactions").map((x) => readObject(x, "tx")))
      if (tx["from"] === from) hashes.push(String(tx["hash"]));
  }
  return hashes;
}

test("requests are confirmed in order, and their gas is counted by purpose", async (t) => {
  const anvil = await start(t);
  const { sender, metrics } = run(t, anvil);
  const receipts = await Promise.all([1, 2, 3, 4, 5, 6].map((n) => sender.send(plain(`request ${n}`))));
  assert.deepEqual(
    await onChain(anvil),
    receipts.map((r) => toHex(r.transactionHash)),
  );
  const gas = receipts.reduce((sum, r) => sum + r.gasUsed, 0);
  assert.equal(await counter(metrics, "l1_gas_spent"), gas);
  assert.ok((await counter(metrics, "l1_fees_spent_eth")) > 0);
  await until(async () => (await counter(metrics, "l1_account_balance_eth")) > 9_000);
});

for (const proofs of ["blob", "cell"] as const satisfies readonly BlobProofs[])
  test(`a blob transaction with ${proofs} proofs is included with all its blobs`, async (t) => {
    const anvil = await start(t);
    const { sender } = run(t, anvil, { blobProofs: proofs });
    const blobs = encodeBlobs(new Uint8Array(200_000).fill(7));
    const proven = await Promise.all(blobs.map((b) => proveBlob(b, proofs)));
    const receipt = await sender.send({ ...plain("blobs"), blobs: proven });
    assert.equal(receipt.blobGasUsed, 2 * 131_072);
    const answer = await fetch(`${anvil.beaconUrl}/eth/v1/beacon/blobs/${receipt.blockNumber}`);
    const { data } = (await answer.json()) as { data: string[] };
    assert.deepEqual(data, blobs.map(toHex));
  });

test("a transaction that fees left behind is replaced until it is taken, and runs once", async (t) => {
  const anvil = await start(t, { manualMining: true });
  const { sender, metrics } = run(t, anvil, { replaceAfterMs: 100 });
  const sent = sender.send(plain("slow"));
  await until(async () => (await pool(anvil)).length === 1);
  const [first] = await pool(anvil);
  await anvil.rpc.call("anvil_setNextBlockBaseFeePerGas", [`0x${(4_000_000_000).toString(16)}`]);
  await anvil.mine(1);
  assert.deepEqual(await onChain(anvil), []);
  await until(async () => {
    const [tx] = await pool(anvil);
    return tx !== undefined && BigInt(String(tx["maxFeePerGas"])) > 4_500_000_000n;
  });
  await anvil.mine(1);
  const receipt = await sent;
  assert.notEqual(toHex(receipt.transactionHash), first?.["hash"]);
  assert.deepEqual(await onChain(anvil), [toHex(receipt.transactionHash)]);
  assert.ok((await counter(metrics, "l1_transaction_replacements_total")) > 0);
});

test("fees never pass the cap: a request above it is refused, one in flight waits", async (t) => {
  const anvil = await start(t, { manualMining: true });
  const caps = { maxFeePerGasWei: 3_000_000_000n, maxFeePerBlobGasWei: 1_000_000_000n };
  const { sender } = run(t, anvil, { replaceAfterMs: 50, caps });
  const sent = sender.send(plain("capped"));
  await until(async () => (await pool(anvil)).length === 1);
  await anvil.rpc.call("anvil_setNextBlockBaseFeePerGas", [`0x${(9_000_000_000).toString(16)}`]);
  await anvil.mine(1);
  await assert.rejects(sender.send(plain("too dear")), (e) => hasCode(e, "SENDER_FEE_CAP"));
  for (const tx of await pool(anvil)) assert.ok(BigInt(String(tx["maxFeePerGas"])) <= caps.maxFeePerGasWei);
  await anvil.rpc.call("anvil_setNextBlockBaseFeePerGas", ["0x3b9aca00"]);
  await anvil.mine(1);
  // Anvil forgets a transaction that a block did not take for its fee; it is sent again once the price allows, which
  // may have been before the last block.
  const state = { done: false };
  void sent.then(() => {
    state.done = true;
  });
  await until(async () => {
    if ((await pool(anvil)).length === 1) await anvil.mine(1);
    return state.done;
  });
});

test("blobs and plain transactions are never in flight together", async (t) => {
  const anvil = await start(t, { manualMining: true });
  const { sender } = run(t, anvil, { blobProofs: "blob" });
  const blob = await proveBlob(encodeBlobs(new Uint8Array(10))[0] as Uint8Array, "blob");
  const kinds: string[] = [];
  const all = Promise.all([
    sender.send({ ...plain("a"), blobs: [blob] }),
    sender.send(plain("b")),
    sender.send(plain("c")),
    sender.send({ ...plain("d"), blobs: [blob] }),
  ]);
  const state = { done: false };
  void all.then(() => {
    state.done = true;
  });
  for (let round = 0; !state.done; round++) {
    const types = new Set((await pool(anvil)).map((tx) => String(tx["type"])));
    assert.ok(types.size <= 1, `one kind at a time, saw ${[...types].join(" and ")}`);
    kinds.push(...types);
    if (types.size > 0 && round % 5 === 4) await anvil.mine(1);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.deepEqual(new Set(kinds), new Set(["0x3", "0x2"]));
});

test("a transaction that L1 loses from its pool is sent again unchanged", async (t) => {
  const anvil = await start(t, { manualMining: true });
  const { sender } = run(t, anvil);
  const sent = sender.send(plain("lost"));
  await until(async () => (await pool(anvil)).length === 1);
  const hash = (await pool(anvil))[0]?.["hash"];
  await anvil.rpc.call("anvil_dropAllTransactions", []);
  await until(async () => (await pool(anvil)).length === 1);
  await anvil.mine(1);
  assert.equal(toHex((await sent).transactionHash), hash);
});

for (const depth of [1, 3, 12])
  test(`a reorg of ${depth} that drops transactions brings back the same ones, in flight or confirmed`, async (t) => {
    const anvil = await start(t, { manualMining: true });
    await anvil.mine(20);
    const { sender } = run(t, anvil, { confirmations: 2 });
    const early = sender.send(plain("early"));
    await until(async () => (await pool(anvil)).length === 1);
    await anvil.mine(depth + 1);
    const confirmed = await early;
    const late = sender.send(plain("late"));
    await until(async () => (await pool(anvil)).length === 1);
    await anvil.mine(1);
    await anvil.reorg(depth + 2);
    assert.deepEqual(await onChain(anvil), []);
    await until(() => sender.isPending("early"));
    await until(async () => (await pool(anvil)).length === 2);
    await anvil.mine(3);
    const receipt = await late;
    await until(() => sender.pending === 0);
    assert.deepEqual(await onChain(anvil), [toHex(confirmed.transactionHash), toHex(receipt.transactionHash)]);
  });

test("after a crash the sender waits for what it had sent, then goes on with the next nonce", async (t) => {
  const anvil = await start(t, { manualMining: true });
  const first = run(t, anvil);
  const lost = first.sender.send(plain("before the crash"));
  lost.catch(() => undefined);
  await until(async () => (await pool(anvil)).length === 1);
  await first.stop();
  await assert.rejects(lost, (e) => hasCode(e, "SENDER_STOPPED"));

  const second = run(t, anvil);
  const next = second.sender.send(plain("after the crash"));
  await until(() => second.sender.notReady() !== undefined);
  assert.equal(second.sender.recovered, false);
  await anvil.mine(1);
  await until(async () => second.sender.recovered && (await pool(anvil)).length === 1);
  await anvil.mine(1);
  await next;
  assert.equal((await onChain(anvil)).length, 2);
});

for (const kind of ["plain", "blob"] as const)
  test(`a stuck ${kind} transaction of an earlier run is replaced with an empty one after a while`, async (t) => {
    const anvil = await start(t, { manualMining: true });
    const blob = await proveBlob(encodeBlobs(new Uint8Array(10))[0] as Uint8Array, "blob");
    const first = run(t, anvil, { blobProofs: "blob" });
    const request = plain("stuck");
    first.sender.send(kind === "plain" ? request : { ...request, blobs: [blob] }).catch(() => undefined);
    await until(async () => (await pool(anvil)).length === 1);
    const stuck = (await pool(anvil))[0]?.["hash"];
    await first.stop();
    const { sender } = run(t, anvil, { adoptTimeoutMs: 50, blobProofs: "blob" });
    await until(async () => (await pool(anvil)).some((tx) => tx["hash"] !== stuck));
    await anvil.mine(1);
    await until(() => sender.recovered);
    assert.ok(!(await onChain(anvil)).includes(String(stuck)));
  });

test("what would revert is not sent and not paid for", async (t) => {
  const anvil = await start(t);
  const reverting = new Uint8Array(20).fill(0xdd);
  // PUSH1 0 PUSH1 0 REVERT
  await anvil.rpc.call("anvil_setCode", [toHex(reverting), "0x60006000fd"]);
  const { sender } = run(t, anvil);
  await assert.rejects(sender.send({ ...plain("x", 0n), to: reverting }), (e) => hasCode(e, "SENDER_WOULD_REVERT"));
  await assert.rejects(sender.simulate({ ...plain("x", 0n), to: reverting }), (e) => hasCode(e, "SENDER_WOULD_REVERT"));
  assert.deepEqual(await onChain(anvil), []);
});

test("a revert on the chain is reported once with its reason, and its gas is counted", async (t) => {
  const anvil = await start(t, { manualMining: true });
  const target = new Uint8Array(20).fill(0xdd);
  const { sender, metrics } = run(t, anvil);
  const sent = sender.send({ ...plain("turns bad", 0n), to: target });
  const outcome = assert.rejects(sent, (e) => hasCode(e, "SENDER_REVERTED") && Number(e.data["gasUsed"]) > 0);
  await until(async () => (await pool(anvil)).length === 1);
  await anvil.rpc.call("anvil_setCode", [toHex(target), "0x60006000fd"]);
  await anvil.mine(1);
  await outcome;
  assert.ok((await counter(metrics, "l1_gas_spent")) > 0);
});

test("a nonce taken by another process is told, and the next request goes through", async (t) => {
  const anvil = await start(t, { manualMining: true });
  const { sender } = run(t, anvil);
  const sent = sender.send(plain("ours"));
  const outcome = assert.rejects(sent, (e) => hasCode(e, "SENDER_NONCE_TAKEN"));
  await until(async () => (await pool(anvil)).length === 1);
  await anvil.rpc.call("anvil_dropAllTransactions", []);
  const other = await localSigner(KEY).sign({
    type: 2,
    chainId: anvil.chainId,
    nonce: 0n,
    to: ELSEWHERE,
    gasLimit: 21_000n,
    maxFeePerGasWei: 50_000_000_000n,
    maxPriorityFeePerGasWei: 40_000_000_000n,
  });
  await anvil.rpc.call("eth_sendRawTransaction", [toHex(other.raw)]).catch(() => undefined);
  await anvil.mine(1);
  await until(async () => (await onChain(anvil)).length === 1);
  assert.deepEqual(await onChain(anvil), [toHex(other.hash)]);
  await outcome;
  const next = sender.send(plain("next"));
  await until(async () => (await pool(anvil)).length === 1);
  await anvil.mine(1);
  await next;
});

test("an endpoint that answers rubbish for a while costs nothing but time", async (t) => {
  const anvil = await start(t);
  let broken = 8;
  const flaky: JsonRpc = {
    call: async (method, params) => {
      if (broken > 0) {
        broken--;
        return { nonsense: true };
      }
      return anvil.rpc.call(method, params);
    },
  };
  const { sender } = run(t, anvil, { pollMs: 5 }, flaky);
  await until(() => broken === 0);
  await sender.send(plain("at last"));
  assert.equal((await onChain(anvil)).length, 1);
});

test("a full queue and a missing balance are coded errors", async (t) => {
  const anvil = await start(t, { manualMining: true });
  const { sender } = run(t, anvil, { queueMax: 2, inFlightMax: 1 });
  const first = sender.send(plain("1"));
  first.catch(() => undefined);
  await until(async () => (await pool(anvil)).length === 1);
  const waiting = [sender.send(plain("2")), sender.send(plain("3"))];
  for (const w of waiting) w.catch(() => undefined);
  await assert.rejects(sender.send(plain("4")), (e) => hasCode(e, "SENDER_QUEUE_FULL"));
  const poor = await start(t);
  await poor.rpc.call("anvil_setBalance", [toHex(localSigner(KEY).address), "0x0"]);
  const other = run(t, poor);
  await assert.rejects(other.sender.send(plain("x", 10n ** 18n)), (e) => hasCode(e, "SENDER_FUNDS"));
  assert.ok(toHexKey(other.sender.address).length === 40);
});

test("an endpoint that serves old nonces burns no gas and sends nothing twice", async (t) => {
  const anvil = await start(t);
  const state = { behind: 0, lies: 0 };
  const lagging: JsonRpc = {
    call: async (method, params) => {
      const answer = await anvil.rpc.call(method, params);
      if (method !== "eth_getTransactionCount" || state.behind === 0) return answer;
      state.lies++;
      return `0x${Math.max(0, Number(answer) - state.behind).toString(16)}`;
    },
  };
  const { sender } = run(t, anvil, {}, lagging);
  for (let n = 0; n < 4; n++) await sender.send(plain(`before ${n}`));
  state.behind = 3;
  const during = [sender.send(plain("during 1")), sender.send(plain("during 2"))];
  await until(() => state.lies > 40);
  state.behind = 0;
  await Promise.all(during);
  assert.equal((await onChain(anvil)).length, 6, "every request once");
  const fresh = run(t, anvil, {}, lagging);
  state.behind = 3;
  const again = fresh.sender.send(plain("a new process sees old nonces"));
  const seen = state.lies;
  await until(() => state.lies > seen + 20);
  assert.equal((await onChain(anvil)).length, 6);
  state.behind = 0;
  await again;
  assert.equal((await onChain(anvil)).length, 7);
});
