/**
 * Story: the sequencer falls silent beyond the sequencing window. Deposits alone advance the chain that L1 says exists;
 * a verifier from nothing shows it; and when the sequencer returns it takes those blocks over and goes on.
 * L1 is mined through the window instead of waited for: the window can be wide, so that no load of the machine makes a
 * living sequencer miss it.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { Hex } from "viem";
import { fromHex, toHex } from "../../src/base/bytes.ts";
import { systemClock } from "../../src/base/clock.ts";
import { silentLog } from "../../src/base/log.ts";
import { Metrics } from "../../src/base/metrics.ts";
import { BeaconBlobs } from "../../src/da/beacon.ts";
import { BlobSources } from "../../src/da/blob-sources.ts";
import { createEngine } from "../../src/execution/engines.ts";
import { JsonRpcClient } from "../../src/l1/json-rpc.ts";
import { RpcL1 } from "../../src/l1/rpc-l1.ts";
import { VerifierNode } from "../../src/node/verifier-node.ts";
import { clientsOf, NetworkProcess, until } from "./fixture.ts";

/** In L1 blocks of a second. Derivation leaves a sequencer that returns half of it to post in. */
const WINDOW = 200;

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
  const deposit = await l1.waitForTransactionReceipt({ hash, timeout: 180_000 });
  assert.equal(deposit.status, "success");
  const rpc = new JsonRpcClient({ url: endpoints.l1.rpcUrl, timeoutMs: 60_000 });
  await rpc.call("anvil_mine", [`0x${(WINDOW + 3).toString(16)}`]);
  // The mined blocks are a second apart; without this the clock of later ones would stay behind them.
  await rpc.call("evm_increaseTime", [WINDOW + 3]);

  const engine = await createEngine("wasm");
  const verifier = await VerifierNode.open({
    path: join(folder, "verifier"),
    l1: new RpcL1(rpc, { chainId: endpoints.l1.chainId }),
    blobs: new BlobSources({ sources: [new BeaconBlobs({ url: endpoints.l1.beaconUrl })], log: silentLog }),
    inbox: fromHex(cluster.contracts.inbox),
    engine,
    env: {},
    log: silentLog,
    metrics: new Metrics().withLabels({ rollup: "t", cluster: "t" }),
    clock: systemClock,
  });
  t.after(() => engine.close());
  await verifier.verifier.catchUp();
  const derived = verifier.chain.head;
  assert.equal(verifier.view.stateAt(derived).account(fromHex(forced))?.balanceWei, 7n, "the deposit is in the chain");
  assert.ok(verifier.chain.transaction(fromHex(own)) !== undefined, "what was posted before stays");
  const derivedHash = toHex(verifier.chain.blockHash(derived) as Uint8Array);
  await verifier.close();

  endpoints = await network.start(false);
  clients = clientsOf(endpoints);
  await until("the sequencer took the derived blocks over", async () => {
    const block = await clients.l2.getBlock({ blockNumber: BigInt(derived) }).catch(() => undefined);
    return block?.hash === derivedHash;
  });
  assert.equal(await clients.l2.getBalance({ address: forced }), 7n);
  // What it walks after the pause is late for the window: until L1 holds that, it may admit nothing and say so.
  const again = await until("it admits again", () =>
    clients.l2.sendTransaction({ to: forced, value: 1n }).catch((error: unknown) => {
      assert.match(String(error), /behind with posting to L1/);
      return undefined;
    }),
  );
  const receipt = await clients.l2.waitForTransactionReceipt({ hash: again, timeout: 180_000 });
  assert.equal(receipt.status, "success");
  await until(
    "and what it builds becomes safe",
    async () => (await clients.l2.getBlock({ blockTag: "safe" })).number >= receipt.blockNumber,
  );
});
