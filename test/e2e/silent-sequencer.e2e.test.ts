/**
 * Story: the sequencer falls silent beyond the sequencing window. Deposits alone advance the chain that L1 says exists;
 * a verifier from nothing shows it; and when the sequencer returns it takes those blocks over and goes on.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { Hex } from "viem";
import { fromHex } from "../../src/base/bytes.ts";
import { systemClock } from "../../src/base/clock.ts";
import { silentLog } from "../../src/base/log.ts";
import { Metrics } from "../../src/base/metrics.ts";
import { BeaconBlobs } from "../../src/da/beacon.ts";
import { BlobSources } from "../../src/da/blob-sources.ts";
import { EthereumjsEngine } from "../../src/execution/ethereumjs-engine.ts";
import { JsonRpcClient } from "../../src/l1/json-rpc.ts";
import { RpcL1 } from "../../src/l1/rpc-l1.ts";
import { VerifierNode } from "../../src/node/verifier-node.ts";
import { clientsOf, NetworkProcess, until } from "./fixture.ts";

/** In L1 blocks of a second: more than a busy machine needs to post in time, and short enough to wait for. */
const WINDOW = 30;

test("with the sequencer silent, deposits alone advance the chain, and it takes them over when it returns", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "sheaf-silent-"));
  const network = new NetworkProcess(join(folder, "network"), ["--sequencing-window", String(WINDOW)]);
  t.after(async () => {
    await network.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  let endpoints = await network.start(true);
  let clients = clientsOf(endpoints);
  const own = await clients.l2.sendTransaction({ to: "0x00000000000000000000000000000000000000aa", value: 1n });
  await clients.l2.waitForTransactionReceipt({ hash: own });
  await until("L1 holds it", () => clients.verifier.getTransactionReceipt({ hash: own }).catch(() => undefined));

  await network.kill(); // L1 lives on
  const { l1, account, cluster } = clients;
  const forced: Hex = "0x00000000000000000000000000000000000f0ced";
  const hash = await l1.depositTransaction({
    account,
    args: [forced, 7n, 100_000n, false, "0x"],
    request: { to: forced, mint: 7n, gas: 100_000n },
    targetChain: clients.l2Chain,
  } as never);
  const deposit = await l1.waitForTransactionReceipt({ hash });
  assert.equal(deposit.status, "success");
  await until(
    "the window is over",
    async () => (await l1.getBlockNumber()) > deposit.blockNumber + BigInt(WINDOW) + 2n,
  );

  const reader = new RpcL1(new JsonRpcClient({ url: endpoints.l1.rpcUrl, timeoutMs: 10_000 }), {
    chainId: endpoints.l1.chainId,
  });
  const verifier = await VerifierNode.open({
    path: join(folder, "verifier"),
    l1: reader,
    blobs: new BlobSources({ sources: [new BeaconBlobs({ url: endpoints.l1.beaconUrl })], log: silentLog }),
    inbox: fromHex(cluster.contracts.inbox),
    engine: new EthereumjsEngine(),
    env: {},
    log: silentLog,
    metrics: new Metrics().withLabels({ rollup: "t", cluster: "t" }),
    clock: systemClock,
  });
  await verifier.verifier.catchUp();
  const derived = verifier.chain.head;
  assert.equal(verifier.view.stateAt(derived).account(fromHex(forced))?.balanceWei, 7n, "the deposit is in the chain");
  assert.ok(verifier.chain.transaction(fromHex(own)) !== undefined, "what was posted before stays");
  const derivedHash = verifier.chain.blockHash(derived) as Uint8Array;
  await verifier.close();

  endpoints = await network.start(false);
  clients = clientsOf(endpoints);
  const block = await clients.l2.getBlock({ blockNumber: BigInt(derived) });
  assert.equal(
    block.hash,
    `0x${Buffer.from(derivedHash).toString("hex")}`,
    "the sequencer took the derived blocks over",
  );
  assert.equal(await clients.l2.getBalance({ address: forced }), 7n);
  const again = await clients.l2.sendTransaction({ to: forced, value: 1n });
  assert.equal((await clients.l2.waitForTransactionReceipt({ hash: again })).status, "success");
  const target = await clients.l2.getBlockNumber();
  await until(
    "and what it builds becomes safe",
    async () => (await clients.l2.getBlock({ blockTag: "safe" })).number >= target,
  );
});
