/** Links between machines: what they carry, whom they refuse, and that nothing a stranger does ends the listener. */
import assert from "node:assert/strict";
import { connect as connectTcp, createServer, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { connect as connectTlsRaw } from "node:tls";
import { systemClock } from "../base/clock.ts";
import { hasCode } from "../base/error.ts";
import { silentLog } from "../base/log.ts";
import { until } from "../base/testing/until.ts";
import { makeAuthority } from "./certificate.ts";
import { encodeHello, LINK_VERSION } from "./hello.ts";
import { linkMetrics } from "./metrics.ts";
import { Ear, echo, FAST, NETWORK, TlsNetwork } from "./testing/tls-network.ts";
import { callingService, callTls } from "./tls-link.ts";
import type { TlsListener } from "./tls-listener.ts";

const DAY_MS = 86_400_000;
const bytes = (length: number, fill: number): Uint8Array => new Uint8Array(length).fill(fill);

/** The listener still serves who it should. */
async function stillServes(net: TlsNetwork, listener: TlsListener): Promise<void> {
  const ear = await net.call(listener.port);
  ear.link.send(bytes(3, 7));
  await ear.hears(1);
  assert.deepEqual(ear.heard[0], bytes(3, 7));
  await ear.link.close();
}

function rawSocket(t: TestContext, port: number): { socket: Socket; closed: Promise<void> } {
  const socket = connectTcp(port, "127.0.0.1");
  socket.on("error", () => undefined);
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  t.after(() => socket.destroy());
  return { socket, closed };
}

/** A caller with a certificate that says anything it likes behind TLS. */
async function rawTls(t: TestContext, net: TlsNetwork, port: number) {
  const { authority, certificate, key } = net.credentials(net.identity("executor"));
  const socket = connectTlsRaw({
    host: "127.0.0.1",
    port,
    ca: authority,
    cert: certificate,
    key,
    minVersion: "TLSv1.3",
    checkServerIdentity: () => undefined,
  });
  socket.on("error", () => undefined);
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  socket.resume();
  t.after(() => socket.destroy());
  await new Promise((resolve) => socket.once("secureConnect", resolve));
  return { socket, closed };
}

test("messages of all sizes arrive whole and in order, both ways", async (t) => {
  const net = new TlsNetwork(t);
  const listener = await net.listen();
  const ear = await net.call(listener.port);
  const sizes = [1, 3, 70_000, 2, 5_000_000, 16_384, 1];
  for (const [i, size] of sizes.entries()) ear.link.send(bytes(size, i + 1));
  await ear.hears(sizes.length);
  for (const [i, size] of sizes.entries()) assert.deepEqual(ear.heard[i], bytes(size, i + 1), `message ${i}`);
  assert.equal(listener.open("echo"), 1);
  await ear.link.close();
  await until("the listener to notice", () => listener.open("echo") === 0);
});

test("who may not come in is refused with the reason, and the listener stays", async (t) => {
  const net = new TlsNetwork(t);
  const listener = await net.listen();
  const refused = async (code: string, options: Parameters<TlsNetwork["call"]>[1]): Promise<void> => {
    await assert.rejects(
      net.call(listener.port, options),
      (error) => hasCode(error, code) || assert.fail(String(error)),
    );
  };
  const executor = net.identity("executor");

  // Another authority's, one that is out of date, and a listener that the caller does not know.
  const stranger = makeAuthority({ network: NETWORK, nowMs: systemClock.nowMs(), days: 2 });
  await refused("LINK_CERTIFICATE", { credentials: net.credentials(executor, systemClock.nowMs(), stranger) });
  await until("the refusal is counted", async () => (await net.refusedTotal("LINK_CERTIFICATE")) === 1);
  await refused("LINK_CERTIFICATE", { credentials: net.credentials(executor, systemClock.nowMs() - 3 * DAY_MS) });
  await until("the refusal is counted", async () => (await net.refusedTotal("LINK_CERTIFICATE")) === 2);

  const known = net.credentials(executor);
  await refused("LINK_CERTIFICATE", { credentials: { ...known, authority: stranger.certificate } });

  // Certificates that are good and say something else.
  await refused("LINK_ROLE", { self: executor, credentials: net.credentials(net.identity("verifier")) });
  await refused("LINK_ROLE", { self: net.identity("publisher") });
  await refused("LINK_ROLE", { self: { ...executor, process: "other" }, credentials: net.credentials(executor) });
  await refused("LINK_SERVICE", { service: "secrets" });
  await refused("LINK_ROLE", { role: "verifier" }); // the caller finds out, from the listener's certificate
  const elsewhere = { ...executor, cluster: "cluster-2" };
  await refused("LINK_ROLE", { self: elsewhere });
  const foreign = { ...executor, network: "othernet" };
  await refused("LINK_ROLE", { self: foreign, credentials: net.credentials(foreign) });

  // The same, from callers that do not look whom they called.
  for (const [code, hello] of [
    ["LINK_NETWORK", { ...executor, network: "othernet", version: LINK_VERSION, service: "echo" }],
    ["LINK_CLUSTER", { ...executor, cluster: "cluster-2", version: LINK_VERSION, service: "echo" }],
    ["LINK_VERSION", { ...executor, version: LINK_VERSION + 1, service: "echo" }],
  ] as const) {
    const { socket, closed } = await rawTls(t, net, listener.port);
    const message = encodeHello(hello);
    const header = Buffer.alloc(4);
    header.writeUInt32LE(message.length);
    socket.write(Buffer.concat([header, message]));
    await closed;
    assert.equal(await net.refusedTotal(code), 1, code);
  }
  await stillServes(net, listener);
  // One record a reason, however many came.
  const told = net.refusals.map((r) => r.code);
  assert.equal(told.length, new Set(told).size);
});

test("no certificate, rubbish, oversized frames and half a hello end that connection only", async (t) => {
  const net = new TlsNetwork(t);
  const listener = await net.listen([echo({ frameBytesMax: 10_000 })]);

  const bare = connectTlsRaw({ host: "127.0.0.1", port: listener.port, rejectUnauthorized: false });
  bare.on("error", () => undefined);
  bare.resume();
  await new Promise<void>((resolve) => bare.once("close", () => resolve()));
  await until("no certificate", async () => (await net.refusedTotal("LINK_CERTIFICATE")) === 1);

  const rubbish = rawSocket(t, listener.port);
  rubbish.socket.write(Buffer.from("GET / HTTP/1.1\r\nhost: x\r\n\r\n"));
  await rubbish.closed;
  await until("rubbish", async () => (await net.refusedTotal("LINK_CERTIFICATE")) === 2);

  const huge = await rawTls(t, net, listener.port);
  huge.socket.write(Buffer.from([0xff, 0xff, 0xff, 0x7f, 1, 2, 3]));
  await huge.closed;
  const noHello = await rawTls(t, net, listener.port);
  noHello.socket.write(Buffer.from([3, 0, 0, 0, 9, 9, 9]));
  await noHello.closed;
  assert.equal(await net.refusedTotal("LINK_HELLO"), 2);

  const ear = await net.call(listener.port);
  ear.link.send(bytes(10_001, 1));
  assert.ok(hasCode(await ear.lost(), "LINK_CLOSED") || (await ear.lost()) instanceof Error);
  await until("the link is gone", () => listener.open("echo") === 0);
  await stillServes(net, listener);
});

test("callers that never say who they are run out of time, and keep nobody out", async (t) => {
  const net = new TlsNetwork(t);
  const patient = await net.listen([echo()], { handshakeMs: 600_000, unknownMax: 5 });
  const idle = Array.from({ length: 20 }, () => rawSocket(t, patient.port));
  await Promise.all(idle.slice(0, 15).map((s) => s.closed)); // the oldest gave way
  assert.ok((await net.refusedTotal("LINK_BUSY")) >= 15);
  await stillServes(net, patient);

  const strict = await net.listen([echo()], { handshakeMs: 300 });
  const slow = rawSocket(t, strict.port);
  // A byte now and then of a TLS record that never ends.
  slow.socket.write(Buffer.from([0x16, 0x03, 0x01, 0x40, 0x00]));
  const silent = await rawTls(t, net, strict.port);
  await Promise.all([slow.closed, silent.closed]);
  assert.equal(await net.refusedTotal("LINK_HANDSHAKE_TIMEOUT"), 2);
  await stillServes(net, strict);
});

test("a service takes as many links as it is for, and the next when one left", async (t) => {
  const net = new TlsNetwork(t);
  const listener = await net.listen([echo({ linksMax: 2 })]);
  const ears = [await net.call(listener.port), await net.call(listener.port)];
  await assert.rejects(net.call(listener.port), (error) => hasCode(error, "LINK_BUSY"));
  await ears[0]?.link.close();
  await until("the place is free", () => listener.open("echo") === 1);
  await stillServes(net, listener);
});

test("a link whose other end fell silent is given up within a few beats; an idle one that beats is not", async (t) => {
  const net = new TlsNetwork(t);
  const listener = await net.listen([echo()], { limits: FAST });
  // Between the two: a wire that can be cut without anybody being told.
  let cut = false;
  const pairs: [Socket, Socket][] = [];
  const wire = createServer((near) => {
    const far = connectTcp(listener.port, "127.0.0.1");
    pairs.push([near, far]);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on("error", () => undefined);
      from.on("data", (chunk) => {
        if (!cut) to.write(chunk);
      });
    }
  });
  await new Promise<void>((resolve) => wire.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    for (const socket of pairs.flat()) socket.destroy();
    wire.close();
  });
  const port = (wire.address() as { port: number }).port;
  const ear = await net.call(port, { limits: FAST });
  let isLost = false;
  void ear.lost().then(() => {
    isLost = true;
  });
  await systemClock.sleep(FAST.beatMs * FAST.silentBeatsMax * 3);
  assert.equal(isLost, false);
  assert.equal(listener.open("echo"), 1);
  cut = true;
  assert.ok(hasCode(await ear.lost(), "LINK_SILENT"));
  await until("the listener gave it up too", () => listener.open("echo") === 0);
});

test("what waits for a reader that does not read is bounded", async (t) => {
  const net = new TlsNetwork(t);
  let cause: Error | undefined;
  const listener = await net.listen(
    [
      echo({
        accept: (opened) => {
          const link = opened.attach({
            received: () => {
              for (let i = 0; i < 64; i++) link.send(bytes(1_000_000, 1));
            },
            lost: (error) => {
              cause = error;
            },
          });
        },
      }),
    ],
    { limits: { ...FAST, waitingBytesMax: 4_000_000 } },
  );
  const opened = await callTls(net.callOptions(listener.port), new AbortController().signal);
  const ear = new Ear(opened, t);
  ear.link.send(bytes(1, 1));
  await ear.lost();
  assert.ok(hasCode(cause, "LINK_SLOW"));
});

test("a calling service comes back after its listener did, with a host of its own for each link", async (t) => {
  const net = new TlsNetwork(t);
  const first = await net.listen();
  const { port } = first;
  let hosts = 0;
  const heard: Uint8Array[] = [];
  const service = callingService({
    name: "caller",
    calls: [net.callOptions(port)],
    host: (send) => {
      hosts++;
      setImmediate(() => send(bytes(2, hosts)));
      return (message) => heard.push(message);
    },
    log: silentLog,
    metrics: linkMetrics(net.metrics),
    clock: systemClock,
  });
  const stop = new AbortController();
  const running = service.run(stop.signal);
  await until("the first answer", () => heard.length === 1);
  assert.equal(service.notReady?.(), undefined);
  await first.close();
  await until("it notices", () => service.notReady?.() !== undefined);
  await net.listen([echo()], { port });
  await until("the second answer", () => heard.length === 2);
  assert.deepEqual(heard, [bytes(2, 1), bytes(2, 2)]);
  stop.abort();
  await running;
});

test("of several that offer the same, the next one is called when one is away", async (t) => {
  const net = new TlsNetwork(t);
  const [first, second] = [await net.listen(), await net.listen()];
  const service = callingService({
    name: "caller",
    calls: [net.callOptions(first.port), net.callOptions(second.port)],
    host: () => () => undefined,
    log: silentLog,
    metrics: linkMetrics(net.metrics),
    clock: systemClock,
  });
  const stop = new AbortController();
  const running = service.run(stop.signal);
  await until("a link to the first", () => first.open("echo") === 1);
  await first.close();
  await until("a link to the second", () => second.open("echo") === 1);
  stop.abort();
  await running;
});
