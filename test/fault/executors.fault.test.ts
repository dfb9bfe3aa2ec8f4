/**
 * Story: executors in processes of their own call a sequencer over the network, are killed under work and come back;
 * what they make is the serial run's, byte for byte, and a stranger gets no seat.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { type TestContext, test } from "node:test";
import { systemClock } from "../../src/base/clock.ts";
import { silentLog } from "../../src/base/log.ts";
import { Metrics } from "../../src/base/metrics.ts";
import { executorSeats } from "../../src/execution/sharded/remote-executor.ts";
import { ShardedEngine } from "../../src/execution/sharded/sharded-engine.ts";
import { differenceOf } from "../../src/execution/sharded/testing/adversary.ts";
import { randomCase } from "../../src/execution/wasm/testing/random-program.ts";
import { WasmEngine } from "../../src/execution/wasm/wasm.ts";
import { linkMetrics } from "../../src/link/metrics.ts";
import { TlsListener } from "../../src/link/tls-listener.ts";
import { findProcess, readNetwork } from "../../src/node/network-file.ts";
import { credentialsOf, initAuthority, issueFor } from "../../src/node/pki.ts";
import { until } from "../e2e/fixture.ts";

const root = resolve(import.meta.dirname, "..", "..");

function networkFile(folder: string, port: number): string {
  const path = join(folder, "network.yaml");
  writeFileSync(
    path,
    `version: 1
network: testnet
dataDir: data
pki: pki
l1: { chainId: 1, rpc: ["http://127.0.0.1:1"], beacon: "http://127.0.0.1:1" }
clusters:
  one: { chainId: 901, inbox: "0x00000000000000000000000000000000000000aa" }
processes:
  seq: { cluster: one, roles: [sequencer], rpc: "127.0.0.1:2", links: "127.0.0.1:${port}" }
  exec-1: { cluster: one, roles: [executor] }
  exec-2: { cluster: one, roles: [executor] }
`,
  );
  const network = readNetwork(path);
  const nowMs = systemClock.nowMs();
  initAuthority(network, nowMs);
  for (const process of network.processes) issueFor(network, process, { nowMs, days: 1 });
  return path;
}

function runExecutor(t: TestContext, config: string, name: string): ChildProcess & { output: string } {
  const args = ["--import", "tsx", "src/main.ts", "run", "executor", "--config", config, "--name", name];
  const child = spawn(process.execPath, [...args, "--with-parent"], { cwd: root, stdio: ["pipe", "ignore", "pipe"] });
  const running = Object.assign(child, { output: "" });
  child.stderr.on("data", (chunk: Buffer) => {
    running.output += chunk.toString();
  });
  t.after(() => child.kill("SIGKILL"));
  return running;
}

test("executors over the network come, are killed, come back, and never change a byte", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "sheaf-executors-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const seed = randomInt(2 ** 31);
  t.diagnostic(`seed ${seed}`);
  const serial = await WasmEngine.create();
  const engine = new ShardedEngine(await WasmEngine.create(), { links: [], shards: 2, always: true });
  t.after(() => engine.close());
  // The port is known only when it listens, and stands in the file: a first file gives the certificates.
  const first = readNetwork(networkFile(folder, 3));
  const metrics = new Metrics();
  const listener = await TlsListener.create({
    host: "127.0.0.1",
    port: 0,
    credentials: credentialsOf(first, findProcess(first, { name: "seq", roles: [] }), systemClock.nowMs()),
    network: "testnet",
    cluster: "one",
    services: [executorSeats(engine, 8)],
    log: silentLog,
    metrics: linkMetrics(metrics),
  });
  t.after(() => listener.close());
  const config = networkFile(folder, listener.port);

  let n = 0;
  const compare = async (): Promise<void> => {
    const c = randomCase(seed, n++, 30);
    const expected = serial.execute(c.env, c.txs, c.world, c.env.gasLimit, { bloom: true });
    const actual = await engine.executeBatch(c.env, c.txs, c.world, c.env.gasLimit);
    assert.equal(differenceOf(c.world, expected, expected.writes, actual, actual.writes), undefined, `batch ${n}`);
  };
  await compare(); // without any
  assert.equal(engine.bytesMoved, 0);

  let one = runExecutor(t, config, "exec-1");
  runExecutor(t, config, "exec-2");
  await until("both executors", () => engine.executors === 2);
  for (let i = 0; i < 10; i++) await compare();
  assert.ok(engine.bytesMoved > 0, "the work was done elsewhere");

  // In the middle of a batch, and then without it.
  for (let i = 0; i < 3; i++) {
    const running = compare();
    one.kill("SIGKILL");
    await running;
    for (let j = 0; j < 3; j++) await compare();
    await until("one is left", () => engine.executors === 1);
    one = runExecutor(t, config, "exec-1");
    await until("both executors again", () => engine.executors === 2);
    await compare();
  }

  // A stranger: all it knows is the file, and it has an authority of its own.
  const elsewhere = mkdtempSync(join(tmpdir(), "sheaf-stranger-"));
  t.after(() => rmSync(elsewhere, { recursive: true, force: true }));
  networkFile(elsewhere, listener.port);
  const strange = runExecutor(t, join(elsewhere, "network.yaml"), "exec-1");
  await until("the stranger says that it has no link", () => strange.output.includes("LINK_CERTIFICATE"));
  // It trusts our authority by now, and still has none of our certificates.
  copyFileSync(join(folder, "pki", "authority.crt"), join(elsewhere, "pki", "authority.crt"));
  const persistent = runExecutor(t, join(elsewhere, "network.yaml"), "exec-2");
  await until("it is refused", () => persistent.output.includes("refused"));
  assert.equal(engine.executors, 2);
  await compare();
});
