/** Noticing that a leader's process is gone: by its port, and by nothing less. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { test } from "node:test";
import { systemClock } from "../base/clock.ts";
import { LeaderLine, type LineLeader } from "./leader-line.ts";

/** A gateway as its port shows it. */
async function listen(port = 0): Promise<{ server: Server; port: number; connected: Socket[]; die: () => void }> {
  const connected: Socket[] = [];
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    connected.push(socket);
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  const die = (): void => {
    server.close();
    for (const socket of connected) socket.destroy();
  };
  return { server, port: (server.address() as AddressInfo).port, connected, die };
}

async function until(what: string, holds: () => boolean): Promise<void> {
  const endMs = systemClock.nowMs() + 30_000;
  while (!holds()) {
    assert.ok(systemClock.nowMs() < endMs, `not in 30 s: ${what}`);
    await systemClock.sleep(5);
  }
}

function watch(t: { after: (fn: () => Promise<void>) => void }, leader: () => LineLeader | undefined): LeaderLine {
  const stop = new AbortController();
  const line = new LeaderLine(leader, systemClock);
  const running = line.run(stop.signal);
  t.after(async () => {
    stop.abort();
    await running;
  });
  return line;
}

test("a leader whose port refuses is gone, and its successor is not", async (t) => {
  const first = await listen();
  const second = await listen();
  t.after(() => second.die());
  let leader = { address: `http://127.0.0.1:${first.port}`, term: 3 };
  const line = watch(t, () => leader);
  let told = 0;
  line.onGone(() => told++);
  await until("the line is held", () => first.connected.length > 0);
  assert.equal(line.isGone, false);
  first.die();
  await until("the death is noticed", () => line.isGone);
  assert.equal(told, 1);
  leader = { address: `http://127.0.0.1:${second.port}`, term: 4 };
  assert.equal(line.isGone, false);
  await until("the successor is watched", () => second.connected.length > 0);
  assert.equal(line.isGone, false);
});

test("a connection that ends while the port answers says nothing", async (t) => {
  const gateway = await listen();
  t.after(() => gateway.die());
  const line = watch(t, () => ({ address: `http://127.0.0.1:${gateway.port}`, term: 1 }));
  for (let n = 1; n <= 3; n++) {
    await until(`connection ${n}`, () => gateway.connected.length >= n);
    gateway.connected[n - 1]?.destroy();
  }
  await until("it calls again", () => gateway.connected.length > 3);
  assert.equal(line.isGone, false);
});

test("an address where nobody ever answered says nothing", async (t) => {
  const gateway = await listen();
  gateway.die();
  await once(gateway.server, "close");
  let asked = 0;
  const line = watch(t, () => {
    asked++;
    return { address: `http://127.0.0.1:${gateway.port}`, term: 1 };
  });
  await until("it has called", () => asked > 3);
  assert.equal(line.isGone, false);
});
