/** A certificate that is renewed under running processes: new links show the new one, those that stand go on. */
import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { systemClock } from "../base/clock.ts";
import { silentLog } from "../base/log.ts";
import { Metrics } from "../base/metrics.ts";
import { linkMetrics } from "../link/metrics.ts";
import { callTls } from "../link/tls-link.ts";
import { TlsListener } from "../link/tls-listener.ts";
import { LiveCredentials } from "./live-credentials.ts";
import { findProcess, parseNetwork } from "./network-file.ts";
import { initAuthority, issueFor } from "./pki.ts";

const FILE = `version: 1
network: testnet
dataDir: data
pki: pki
l1: { chainId: 1, rpc: ["http://127.0.0.1:8545"], beacon: "http://127.0.0.1:8545" }
clusters: { one: { chainId: 901, inbox: "0x00000000000000000000000000000000000000aa" } }
processes:
  seq: { cluster: one, roles: [sequencer], rpc: "127.0.0.1:9545", links: "127.0.0.1:9601" }
  exec: { cluster: one, roles: [executor] }
`;

test("a renewed certificate is shown from the next link on, and links that stand stay", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "sheaf-renew-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const network = parseNetwork(FILE, join(folder, "network.yaml"));
  const nowMs = systemClock.nowMs();
  initAuthority(network, nowMs);
  const own = { log: silentLog, metrics: new Metrics(), clock: systemClock };
  const [seq, exec] = ["seq", "exec"].map((name) => findProcess(network, { name, roles: [] }));
  assert.ok(seq !== undefined && exec !== undefined);
  for (const process of [seq, exec]) issueFor(network, process, { nowMs, days: 1 });
  const [called, caller] = [new LiveCredentials(network, seq, own), new LiveCredentials(network, exec, own)];
  assert.match(String(called.notReady()), /ends within a day/);
  let accepted = 0;
  const heard: number[] = [];
  const listener = await TlsListener.create({
    ...{ host: "127.0.0.1", port: 0, credentials: called.current, network: "testnet", cluster: "one" },
    services: [
      {
        name: "test",
        admits: ["executor"],
        linksMax: 4,
        accept: (link) => {
          accepted++;
          link.attach({ received: (m) => heard.push(m[0] as number), lost: () => undefined });
        },
      },
    ],
    log: silentLog,
    metrics: linkMetrics(own.metrics),
  });
  t.after(() => listener.close());
  called.onChange((renewed) => listener.setCredentials(renewed));
  const call = async (first: number) => {
    const opened = await callTls(
      {
        ...{ host: "127.0.0.1", port: listener.port, credentials: () => caller.current, service: "test" },
        self: { network: "testnet", cluster: "one", role: "executor", process: "exec" },
        role: "sequencer",
      },
      new AbortController().signal,
    );
    const link = opened.attach({ received: () => undefined, lost: () => undefined });
    link.send(Uint8Array.of(first));
    return link;
  };
  const until = async (what: string, holds: () => boolean): Promise<void> => {
    for (const endMs = systemClock.nowMs() + 30_000; !holds(); await systemClock.sleep(5))
      assert.ok(systemClock.nowMs() < endMs, what);
  };
  const before = await call(1);
  await until("the first link is heard", () => heard.includes(1));
  const serial = new X509Certificate(called.current.certificate).serialNumber;
  for (const process of [seq, exec]) issueFor(network, process, { nowMs, days: 90 });
  for (const credentials of [called, caller]) credentials.look();
  assert.notEqual(new X509Certificate(called.current.certificate).serialNumber, serial);
  assert.equal(called.notReady(), undefined);
  const after = await call(2);
  before.send(Uint8Array.of(3));
  await until("both links are heard", () => heard.includes(2) && heard.includes(3));
  assert.equal(accepted, 2);

  writeFileSync(join(folder, "pki", "seq.crt"), "no certificate");
  assert.throws(() => called.look(), /holds no certificate/);
  assert.equal(called.notReady(), undefined, "the one that was read before serves on");
  await Promise.all([before.close(), after.close()]);
});
