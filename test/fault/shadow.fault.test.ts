/**
 * Story: the sequencer's engine has a bug that one transaction meets. With the shadow required, the block with it is
 * caught before anybody is told: not confirmed, not sealed, not published. The same data folder started with an engine
 * without the bug executes the transaction rightly and goes on; the verifier agrees from L1, with either engine.
 */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { type TestContext, test } from "node:test";
import { promisify } from "node:util";
import { fromHex, toHex } from "../../src/base/bytes.ts";
import { buildStale } from "../../src/devnet/build.ts";
import { Devnet, type DevnetOptions } from "../../src/devnet/devnet.ts";
import { createEngine } from "../../src/execution/engines.ts";
import { faultyEngine } from "../../src/execution/testing/faulty-engine.ts";
import { keccak256 } from "../../src/protocol/keccak.ts";
import type { ShadowReport } from "../../src/shadow/api.ts";
import { clientsOf, STORY_SETTINGS, until } from "../e2e/fixture.ts";

const root = resolve(import.meta.dirname, "..", "..");
const BOUND_MS = 180_000;

type Running = { readonly devnet: Devnet; stop(): Promise<void> };

async function start(t: TestContext, options: Partial<DevnetOptions> & { dataDir: string }): Promise<Running> {
  const devnet = await Devnet.create({
    clusters: 1,
    ports: { l1: 0, cluster: 0, verifier: 0, health: 0 },
    l1BlockTimeSeconds: 1,
    logLevel: "info",
    env: { ...STORY_SETTINGS, SHEAF_SHADOW: "required" },
    ...options,
  });
  const abort = new AbortController();
  const running = devnet.run(abort.signal);
  let stopped: Promise<void> | undefined;
  const stop = (): Promise<void> => {
    stopped ??= (async () => {
      abort.abort();
      try {
        await running;
      } finally {
        await devnet.close();
      }
    })();
    return stopped;
  };
  t.after(stop);
  await Promise.race([devnet.ready(), running]);
  return { devnet, stop };
}

test("a block with a wrong result is caught before it is confirmed, and the right engine resumes", async (t) => {
  await buildStale();
  const dataDir = mkdtempSync(join(tmpdir(), "sheaf-shadow-"));
  t.after(() => rmSync(dataDir, { recursive: true, force: true }));
  let victim: string | undefined;
  const first = await start(t, {
    dataDir,
    createEngine: async (name) =>
      faultyEngine(await createEngine(name), "balance", (tx) => toHex(keccak256(tx.raw)) === victim),
  });
  let clients = clientsOf(first.devnet.endpoints);
  const to = "0x00000000000000000000000000000000000000bb";
  const fees = { gas: 21_000n, maxFeePerGas: 10n ** 11n, maxPriorityFeePerGas: 1n };
  const fine = await clients.l2.sendTransaction({ to, value: 5n, ...fees });
  assert.equal((await clients.l2.waitForTransactionReceipt({ hash: fine, timeout: BOUND_MS })).status, "success");

  const raw = await clients.l2.signTransaction({
    ...(await clients.l2.prepareTransactionRequest({ to, value: 7n, ...fees })),
    account: clients.account,
  } as never);
  victim = toHex(keccak256(fromHex(raw)));
  const hash = await clients.l2.sendRawTransaction({ serializedTransaction: raw });
  assert.equal(hash, victim);
  const [node] = first.devnet.clusters;
  await until("the sequencer halts", () => node?.notReady()?.includes("SHADOW_VETOED"));

  // Nobody was told, reads go on, and what people need to look into it is there.
  const head = await clients.l2.getBlockNumber({ cacheTime: 0 });
  assert.equal(await clients.l2.getTransactionReceipt({ hash }).catch(() => undefined), undefined);
  assert.equal(await clients.l2.getBalance({ address: to }), 5n);
  assert.equal(await clients.l2.getBalance({ address: to, blockTag: "pending" }), 5n, "it is not pending either");
  const metrics = await first.devnet.metrics.registry.metrics();
  assert.match(metrics, new RegExp(`sheaf_shadow_difference\\{[^}]*\\} ${head + 1n}\\b`));
  assert.match(metrics, /sequencer_active\{[^}]*\} 0\b/);
  const ready = await fetch(`${first.devnet.endpoints.healthUrl}/readyz`);
  assert.equal(ready.status, 503);
  assert.match(await ready.text(), /SHADOW_VETOED/);
  const reportPath = join(dataDir, node?.name ?? "", "shadow", `block-${head + 1n}.json`);
  assert.ok(existsSync(reportPath));
  const report = JSON.parse(readFileSync(reportPath, "utf8")) as ShadowReport;
  assert.deepEqual(
    [report.transactionHash, report.transaction, report.field, report.address],
    [hash, raw, "balanceWei", clients.account.address.toLowerCase()],
  );
  // What was sealed before is still published; beyond it there is nothing to publish.
  await until(
    "older blocks become safe",
    async () => (await clients.verifier.getBlockNumber({ cacheTime: 0 })) >= head,
  );
  assert.equal(await clients.verifier.getBlockNumber({ cacheTime: 0 }), head);
  const last = await clients.l2.getBlock({ blockNumber: head });
  await first.stop();

  const second = await start(t, { dataDir });
  clients = clientsOf(second.devnet.endpoints);
  const receipt = await clients.l2.waitForTransactionReceipt({ hash, timeout: BOUND_MS });
  assert.equal(receipt.status, "success");
  assert.equal(receipt.blockNumber, head + 1n, "in the block it was ordered in");
  assert.equal((await clients.l2.getBlock({ blockNumber: head })).hash, last.hash);
  assert.equal(await clients.l2.getBalance({ address: to }), 12n);
  await until("the verifier has it from L1", () =>
    clients.verifier.getTransactionReceipt({ hash }).catch(() => undefined),
  );

  // The running network, rebuilt by a stranger with the other engine.
  const { l1 } = second.devnet.endpoints;
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ["--import", "tsx", join(root, "src", "main.ts"), "verify", "--l1", l1.rpcUrl, "--beacon", l1.beaconUrl].concat([
      "--inbox",
      clients.cluster.contracts.inbox,
      "--engine",
      "ethereumjs",
      "--json",
    ]),
    { cwd: root },
  );
  const verified = JSON.parse(stdout) as { engine: string; safe: { number: number; hash: string }; divergence: null };
  assert.equal(verified.engine, "ethereumjs");
  assert.equal(verified.divergence, null);
  assert.ok(BigInt(verified.safe.number) > head);
  const same = await clients.l2.getBlock({ blockNumber: BigInt(verified.safe.number) });
  assert.equal(verified.safe.hash, same.hash, "the same chain to the same roots");
});
