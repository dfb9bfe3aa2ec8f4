/** The sender on endpoints that swallow, lie about fees, lag, stall and go back, before a real L1 with a real mempool. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { hasCode } from "../base/error.ts";
import { silentLog } from "../base/log.ts";
import { Metrics } from "../base/metrics.ts";
import { Anvil, type AnvilOptions } from "./anvil.ts";
import { joinL1 } from "./connect-l1.ts";
import { FaultProxy } from "./fault-proxy.ts";
import { JsonRpcClient, readList, readObject } from "./json-rpc.ts";
import { proveBlob } from "./kzg.ts";
import { L1Sender, type L1SenderOptions, SENDER_DEFAULTS } from "./l1-sender.ts";
import { localSigner } from "./l1-signer.ts";
import { senderMetrics } from "./metrics.ts";
import type { SendRequest } from "./sender.ts";
import { keyOf, sweepPool, until } from "./testing/settlement.ts";

const ACCOUNT = 3;

const plain = (what: string): SendRequest => ({
  purpose: "batch",
  what,
  to: new Uint8Array(20).fill(0xee),
  data: new TextEncoder().encode(what),
  valueWei: 1n,
});

type Rig = { readonly anvil: Anvil; readonly proxies: readonly FaultProxy[]; readonly sender: L1Sender };

async function rig(
  t: TestContext,
  endpoints: number,
  options: Partial<L1SenderOptions> = {},
  anvilOptions: AnvilOptions = {},
): Promise<Rig> {
  const anvil = await Anvil.start(anvilOptions);
  t.after(() => anvil.kill());
  if (anvilOptions.manualMining !== true) sweepPool(anvil, (end) => t.after(end));
  const proxies: FaultProxy[] = [];
  for (let i = 0; i < endpoints; i++) {
    const proxy = await FaultProxy.start(anvil.rpcUrl);
    t.after(() => proxy.stop());
    proxies.push(proxy);
  }
  const { rpc, reader } = joinL1(
    proxies.map((proxy, i) => ({
      name: `endpoint-${i}`,
      rpc: new JsonRpcClient({ url: proxy.url, timeoutMs: 20_000 }),
    })),
    { chainId: anvil.chainId, quorum: 0, checkHeaders: true, metrics: new Metrics(), log: silentLog },
  );
  const sender = new L1Sender({
    name: "test",
    rpc,
    reader,
    signer: localSigner(keyOf(ACCOUNT)),
    options: {
      ...SENDER_DEFAULTS,
      chainId: anvil.chainId,
      pollMs: 20,
      tipMinWei: 1n,
      blobProofs: "blob",
      ...options,
    },
    abis: [],
    metrics: senderMetrics(new Metrics(), "test"),
    log: silentLog,
  });
  const abort = new AbortController();
  const done = sender.run(abort.signal);
  t.after(async () => {
    abort.abort();
    await done;
  });
  await until(() => sender.recovered);
  return { anvil, proxies, sender };
}

/** Nonce of our account on the chain: how many transactions were paid for. */
async function paid({ anvil }: Rig): Promise<number> {
  return Number(await anvil.rpc.call("eth_getTransactionCount", [localAddress(), "latest"]));
}

const localAddress = (): string => `0x${Buffer.from(localSigner(keyOf(ACCOUNT)).address).toString("hex")}`;

test("an endpoint that swallows transactions delays none: the others take them", async (t) => {
  const r = await rig(t, 3);
  r.proxies[0]?.set({ swallowTransactions: true });
  await Promise.all([1, 2, 3].map((n) => r.sender.send(plain(`request ${n}`))));
  assert.equal(await paid(r), 3);
});

test("with the only endpoint swallowing, the transaction is sent again until it is in, once", async (t) => {
  const r = await rig(t, 1);
  r.proxies[0]?.set({ swallowTransactions: true });
  const sent = r.sender.send(plain("swallowed"));
  await until(() => r.sender.isPending("swallowed"));
  await until(() => (r.proxies[0]?.answered.get("eth_sendRawTransaction") ?? 0) >= 2);
  r.proxies[0]?.set();
  await sent;
  assert.equal(await paid(r), 1);
});

test("inclusion stalls: fees rise up to the cap and no further, and nothing is in flight twice", async (t) => {
  const caps = { maxFeePerGasWei: 6_000_000_000n, maxFeePerBlobGasWei: 1_000_000_000n };
  const r = await rig(t, 1, { replaceAfterMs: 50, caps }, { manualMining: true });
  const sent = r.sender.send(plain("stalled"));
  const pooled = async (): Promise<Record<string, unknown>[]> => {
    const content = readObject(await r.anvil.rpc.call("txpool_content", []), "content");
    return Object.values(readObject(content["pending"], "pending")).flatMap((byNonce) =>
      Object.values(readObject(byNonce, "account")).map((tx) => readObject(tx, "tx")),
    );
  };
  let highest = 0n;
  await until(async () => {
    const txs = await pooled();
    assert.ok(txs.length <= 1);
    for (const tx of txs) {
      const fee = BigInt(String(tx["maxFeePerGas"]));
      assert.ok(fee <= caps.maxFeePerGasWei && fee >= highest);
      highest = fee;
    }
    return highest * 110n > caps.maxFeePerGasWei * 100n;
  });
  await r.anvil.mine(1);
  await sent;
  assert.equal(await paid(r), 1);
});

test("a spike of the blob fee above the cap is refused before anything is sent, and passes", async (t) => {
  const r = await rig(t, 1, { caps: { maxFeePerGasWei: 500_000_000_000n, maxFeePerBlobGasWei: 1_000_000_000n } });
  const blobs = [await proveBlob(new Uint8Array(131_072), "blob")];
  await r.anvil.mine(1); // the genesis block cannot be changed
  r.proxies[0]?.set({ excessBlobGas: 200_000_000n });
  await assert.rejects(r.sender.send({ ...plain("blob"), blobs }), (e) => hasCode(e, "SENDER_FEE_CAP"));
  assert.equal(await paid(r), 0);
  r.proxies[0]?.set();
  const receipt = await r.sender.send({ ...plain("blob"), blobs });
  assert.equal(receipt.blobGasUsed, 131_072);
});

test("faults wander from endpoint to endpoint under load: each request is paid for once", async (t) => {
  const r = await rig(t, 3, { replaceAfterMs: 2_000 });
  const faults = [
    { cut: true },
    { garbage: "truncated" as const },
    { lagBlocks: 3 },
    { swallowTransactions: true },
    { garbage: "html" as const },
    { forkAbove: 2 },
  ];
  let sent = 0;
  for (const [i, fault] of faults.entries()) {
    for (const proxy of r.proxies) proxy.set();
    r.proxies[i % 3]?.set(fault);
    const results = await Promise.allSettled([0, 1].map((n) => r.sender.send(plain(`request ${i}-${n}`))));
    for (const [n, result] of results.entries()) {
      if (result.status === "fulfilled") sent++;
      else {
        // What a sender gives up for a while its role decides anew.
        await r.sender.send(plain(`request ${i}-${n} again`));
        sent++;
      }
    }
  }
  assert.equal(await paid(r), sent);
  const head = await r.anvil.blockNumber();
  for (let number = 0; number <= head; number++) {
    const receipts = readList(await r.anvil.rpc.call("eth_getBlockReceipts", [`0x${number.toString(16)}`]), "receipts");
    for (const receipt of receipts) assert.equal(readObject(receipt, "receipt")["status"], "0x1");
  }
});
