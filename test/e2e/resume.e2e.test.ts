/**
 * Story: somebody starts the devnet, stops it with Ctrl-C, and finds the same chains after the next start; starts it a
 * second time by mistake; and begins again with --fresh. What is printed and written is what the README promises.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { type TestContext, test } from "node:test";
import { isAddress, isHex } from "viem";
import { hasCode } from "../../src/base/error.ts";
import { Devnet, type Endpoints } from "../../src/devnet/devnet.ts";
import { clientsOf, STORY_SETTINGS, until } from "./fixture.ts";

const root = resolve(import.meta.dirname, "..", "..");

type Run = { readonly child: ChildProcess; stdout: string; stderr: string; readonly ended: Promise<number | null> };

/** Runs `sheaf devnet` with one cluster as a user would. */
function devnet(t: TestContext, dataDir: string, ...args: string[]): Run {
  const child = spawn(
    process.execPath,
    [
      join(root, "bin", "sheaf.js"),
      "devnet",
      "--clusters",
      "1",
      "--l1-block-time",
      "1",
      "--data-dir",
      dataDir,
      ...args,
    ],
    { cwd: root, env: { ...process.env, ...STORY_SETTINGS }, stdio: ["ignore", "pipe", "pipe"] },
  );
  const run: Run = {
    child,
    stdout: "",
    stderr: "",
    ended: new Promise((done) => child.once("close", (code) => done(code))),
  };
  child.stdout?.on("data", (chunk: Buffer) => {
    run.stdout += chunk.toString();
  });
  child.stderr?.on("data", (chunk: Buffer) => {
    run.stderr += chunk.toString();
  });
  t.after(async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill("SIGINT");
    await run.ended;
  });
  return run;
}

async function endpointsOf(run: Run, dataDir: string): Promise<Endpoints> {
  const path = join(dataDir, "endpoints.json");
  await until("the network is up", () => {
    assert.equal(run.child.exitCode, null, `it started; ${run.stderr}`);
    return existsSync(path) && readFileSync(path, "utf8").endsWith("}\n");
  });
  return JSON.parse(readFileSync(path, "utf8")) as Endpoints;
}

async function ctrlC(run: Run): Promise<void> {
  run.child.kill("SIGINT");
  assert.equal(await run.ended, 0, `it stops cleanly; ${run.stderr}`);
}

test("the devnet stops with Ctrl-C, resumes the same chains, tells a taken port, and begins again", async (t) => {
  const dataDir = mkdtempSync(join(tmpdir(), "sheaf-resume-"));
  const endpointsPath = join(dataDir, "endpoints.json");
  t.after(() => rmSync(dataDir, { recursive: true, force: true }));
  const to = "0x00000000000000000000000000000000000000aa";

  const first = devnet(t, dataDir, "--ports", "0,0,0,0", "--json");
  const endpoints = await endpointsOf(first, dataDir);
  await until("it is printed", () => first.stdout.trimEnd().endsWith("}"));
  assert.deepEqual(JSON.parse(first.stdout), endpoints, "--json prints what endpoints.json holds, and nothing else");
  const [cluster] = endpoints.clusters;
  assert.ok(cluster !== undefined && endpoints.ready);
  assert.equal(endpoints.clusters.length, 1);
  assert.deepEqual([cluster.name, cluster.chainId, endpoints.l1.chainId], ["cluster-901", 901, 31_337]);
  for (const url of [endpoints.l1.rpcUrl, endpoints.l1.beaconUrl, cluster.rpcUrl, cluster.verifierRpcUrl])
    assert.match(url, /^http:\/\/127\.0\.0\.1:\d+/);
  assert.match(cluster.wsUrl, /^ws:\/\/127\.0\.0\.1:\d+/);
  for (const name of [
    "portal",
    "inbox",
    "outputOracle",
    "systemConfig",
    "l1CrossDomainMessenger",
    "l1StandardBridge",
  ] as const)
    assert.ok(isAddress(cluster.contracts[name]), name);
  assert.ok(endpoints.accounts.length > 0);
  for (const a of endpoints.accounts) assert.ok(isAddress(a.address) && isHex(a.privateKey));

  let clients = clientsOf(endpoints);
  const hash = await clients.l2.sendTransaction({ to, value: 5n });
  const receipt = await clients.l2.waitForTransactionReceipt({ hash, timeout: 180_000 });
  const block = await clients.l2.getBlock({ blockNumber: receipt.blockNumber });
  await ctrlC(first);
  assert.ok(!existsSync(endpointsPath), "a network that is down has no endpoints");
  await assert.rejects(fetch(endpoints.l1.rpcUrl, { method: "POST" }), "L1 is stopped too");

  const second = devnet(t, dataDir, "--ports", "0,0,0,0");
  const resumed = await endpointsOf(second, dataDir);
  assert.deepEqual(resumed.clusters[0]?.contracts, cluster.contracts);
  clients = clientsOf(resumed);
  assert.equal((await clients.l2.getBlock({ blockNumber: receipt.blockNumber })).hash, block.hash);
  assert.equal((await clients.l2.getTransactionReceipt({ hash })).blockHash, receipt.blockHash);
  const more = await clients.l2.sendTransaction({ to, value: 7n });
  await clients.l2.waitForTransactionReceipt({ hash: more, timeout: 180_000 });
  assert.equal(await clients.l2.getBalance({ address: to }), 12n, "and it goes on");
  await until("the table", () => second.stdout.includes("Ctrl-C stops"));
  for (const text of [
    cluster.contracts.portal,
    resumed.clusters[0]?.rpcUrl ?? "",
    endpoints.accounts[0]?.address ?? "",
  ])
    assert.ok(second.stdout.includes(text), `the table holds ${text}`);

  // Ports that are taken: by the L1 of the running network, and by a stranger at a cluster's.
  const elsewhere = mkdtempSync(join(tmpdir(), "sheaf-resume-other-"));
  t.after(() => rmSync(elsewhere, { recursive: true, force: true }));
  const l1Port = new URL(resumed.l1.rpcUrl).port;
  const blocked = devnet(t, elsewhere, "--ports", `${l1Port},0,0,0`);
  assert.equal(await blocked.ended, 1);
  assert.match(blocked.stderr, new RegExp(`error DEVNET_PORT_TAKEN: .*${l1Port}`));
  await ctrlC(second);

  const stranger = createServer();
  await new Promise<void>((listening) => stranger.listen(0, "127.0.0.1", listening));
  t.after(() => stranger.close());
  const { port } = stranger.address() as { port: number };
  const free = { l1: 0, cluster: 0, verifier: 0, health: 0 };
  await assert.rejects(
    Devnet.create({ dataDir, clusters: 1, ports: { ...free, cluster: port } }),
    (error) => hasCode(error, "DEVNET_PORT_TAKEN") && error.data["port"] === port,
  );
  await assert.rejects(Devnet.create({ dataDir, clusters: 2, ports: free }), (error) =>
    hasCode(error, "DEVNET_OPTIONS_CHANGED"),
  );

  const third = devnet(t, dataDir, "--ports", "0,0,0,0", "--fresh");
  clients = clientsOf(await endpointsOf(third, dataDir));
  assert.equal(await clients.l2.getBalance({ address: to }), 0n, "--fresh forgot it");
  assert.equal(await clients.l2.getTransactionReceipt({ hash }).catch(() => undefined), undefined);
  await ctrlC(third);
});
