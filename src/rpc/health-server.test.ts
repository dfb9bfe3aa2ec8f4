/** The operator's door: alive while the process turns, ready when every part is, metrics as Prometheus reads them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLog } from "../base/log.ts";
import { Metrics } from "../base/metrics.ts";
import { HealthServer, type ReadyPart } from "./health-server.ts";

test("probes say what is, and why not", async () => {
  let reason: string | undefined = "3 blocks behind";
  const parts: ReadyPart[] = [
    { name: "verifier", notReady: () => reason },
    { name: "always", notReady: () => undefined },
    { name: "plain" },
  ];
  const metrics = new Metrics();
  metrics.counter("probes_total", "For this test.").inc(3);
  const health = await HealthServer.create({ host: "127.0.0.1", port: 0, parts: () => parts, metrics, log: silentLog });
  const get = (path: string, method = "GET") => fetch(`${health.url}${path}`, { method });
  assert.equal((await get("/livez")).status, 200);
  const waiting = await get("/readyz?verbose");
  assert.equal(waiting.status, 503);
  assert.deepEqual(await waiting.json(), { ready: false, waiting: { verifier: "3 blocks behind" } });
  reason = undefined;
  const ready = await get("/readyz");
  assert.equal(ready.status, 200);
  assert.deepEqual(await ready.json(), { ready: true, waiting: {} });
  const scraped = await get("/metrics");
  assert.match(scraped.headers.get("content-type") ?? "", /^text\/plain; version=0\.0\.4/);
  assert.match(await scraped.text(), /^probes_total 3$/m);
  assert.equal((await get("/other")).status, 404);
  assert.equal((await get("/livez", "POST")).status, 405);
  await health.close();
});

test("a part that throws does not take the door with it", async () => {
  const parts: ReadyPart[] = [
    {
      name: "broken",
      notReady: () => {
        throw new Error("broken");
      },
    },
  ];
  const health = await HealthServer.create({
    host: "127.0.0.1",
    port: 0,
    parts: () => parts,
    metrics: new Metrics(),
    log: silentLog,
  });
  assert.equal((await fetch(`${health.url}/readyz`)).status, 500);
  assert.equal((await fetch(`${health.url}/livez`)).status, 200);
  const { url } = health;
  const stop = new AbortController();
  const running = health.run(stop.signal);
  stop.abort();
  await running;
  await assert.rejects(fetch(`${url}/livez`));
});
