/**
 * Clients that mean harm or are broken: bodies without end, batches without measure, senders and readers that dawdle,
 * sockets that flood. Each gets its refusal, memory stays bounded, and the endpoint serves the next client.
 */
import assert from "node:assert/strict";
import { request as httpRequest } from "node:http";
import { connect, type Socket } from "node:net";
import { test } from "node:test";
import { WebSocket } from "ws";
import { type Answer, RpcFixture, until } from "./testing/rpc-fixture.ts";

async function withFixture(
  overrides: Parameters<typeof RpcFixture.create>[0],
  body: (fixture: RpcFixture) => Promise<void>,
): Promise<void> {
  const fixture = await RpcFixture.create(overrides);
  try {
    await body(fixture);
    assert.equal(await fixture.result("eth_chainId"), "0x385", "the endpoint still serves");
    await until(() => fixture.gateway.bufferedBytes === 0 || undefined);
    const metrics = await fixture.metrics.registry.metrics();
    assert.match(metrics, /^rpc_server_requests_in_flight\{[^}]*\} 0$/m, "nothing is left in flight");
  } finally {
    await fixture.close();
  }
}

/** Streams `sizeBytes` of body without holding them, with or without saying how many. */
function stream(url: string, sizeBytes: number, declared: boolean): Promise<{ status: number | undefined }> {
  return new Promise((resolve) => {
    const chunk = Buffer.alloc(65_536, 0x5b);
    const headers: Record<string, string | number> = { "content-type": "application/json" };
    if (declared) headers["content-length"] = sizeBytes;
    const request = httpRequest(url, { method: "POST", headers });
    let sent = 0;
    const write = (): void => {
      while (sent < sizeBytes && !request.destroyed) {
        sent += chunk.length;
        if (!request.write(chunk)) {
          request.once("drain", write);
          return;
        }
      }
      request.end();
    };
    let status: number | undefined;
    request.on("response", (response) => {
      status = response.statusCode;
      response.resume();
      response.on("close", () => resolve({ status }));
    });
    request.on("error", () => undefined);
    request.on("close", () => resolve({ status }));
    write();
  });
}

test("a 50 MB body is refused with 413, however it is announced, and never held", async () => {
  await withFixture({}, async (fixture) => {
    for (const declared of [true, false])
      for (let i = 0; i < 4; i++) {
        // A client that keeps pushing may see its connection reset before it reads the answer.
        const { status } = await stream(fixture.url, 50_000_000, declared);
        assert.ok(status === 413 || status === undefined, String(status));
        assert.ok(fixture.gateway.bufferedBytes <= 10_485_760 + 65_536);
      }
  });
});

test("a batch of ten thousand is refused as one, again and again", async () => {
  await withFixture({}, async (fixture) => {
    const body = `[${'{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber"},'.repeat(9_999)}{}]`;
    for (let i = 0; i < 20; i++) {
      const answer = (await (await fixture.post(body)).json()) as Answer;
      assert.equal(answer.error?.code, -32600);
    }
  });
});

test("ten megabytes of brackets do not become a tree", async () => {
  await withFixture({}, async (fixture) => {
    const before = process.memoryUsage().heapUsed;
    const answer = (await (await fixture.post(`[${"[],".repeat(3_000_000)}1]`)).json()) as Answer;
    assert.equal(answer.error?.code, -32600);
    assert.ok(process.memoryUsage().heapUsed - before < 200_000_000);
  });
});

test("bytes held for all clients together are bounded", async () => {
  await withFixture({ buffersMaxBytes: 1_048_576 }, async (fixture) => {
    const open = Array.from({ length: 6 }, () => {
      const request = httpRequest(fixture.url, { method: "POST", headers: { "content-type": "application/json" } });
      request.on("error", () => undefined);
      request.write(Buffer.alloc(400_000, 0x20));
      const status = new Promise<number | undefined>((resolve) => {
        request.on("response", (response) => resolve(response.statusCode));
        request.on("close", () => resolve(undefined));
      });
      return { request, status };
    });
    assert.equal(
      await Promise.any(open.map(async ({ status }) => ((await status) === 503 ? 503 : Promise.reject()))),
      503,
    );
    for (const { request } of open) request.destroy();
    await until(() => fixture.gateway.bufferedBytes === 0 || undefined);
  });
});

test("who sends headers or bodies too slowly is cut off", async () => {
  await withFixture({ requestTimeoutMs: 200 }, async (fixture) => {
    const { hostname, port } = new URL(fixture.url);
    for (const opening of [
      "POST / HTTP/1.1\r\nHost: x\r\n",
      'POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"jsonrpc"',
    ]) {
      const socket = connect(Number(port), hostname);
      socket.on("error", () => undefined);
      socket.write(opening);
      const trickle = setInterval(() => socket.write(opening.includes("Length") ? " " : "X-A: b\r\n"), 50);
      await new Promise<void>((resolve) => socket.on("close", () => resolve()));
      clearInterval(trickle);
    }
  });
});

test("who does not read the answer is cut off", async () => {
  await withFixture({ requestTimeoutMs: 3_000 }, async (fixture) => {
    const { hostname, port } = new URL(fixture.url);
    const item = '{"jsonrpc":"2.0","id":1,"method":"eth_getBlockByNumber","params":["0x0",true]}';
    const body = `[${`${item},`.repeat(1_999)}${item}]`;
    const head = `POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`;
    const sockets: Socket[] = [];
    const dawdle = (): void => {
      const socket = connect(Number(port), hostname);
      sockets.push(socket);
      socket.on("error", () => undefined);
      // A busy machine may not answer in time at all: cut off for that, it dawdles anew.
      socket.on("close", () => (seen ? undefined : dawdle()));
      socket.pause();
      // Twenty answers of megabytes each: more than the kernel takes off our hands.
      for (let n = 0; n < 20; n++) socket.write(head + body);
    };
    let seen = false;
    dawdle();
    await new Promise<void>((resolve) => {
      const look = async (): Promise<void> => {
        const metrics = await fixture.metrics.registry.metrics();
        if (/rpc_server_refused_total\{[^}]*slow_reader[^}]*\} [1-9]/.test(metrics)) {
          seen = true;
          resolve();
        } else setTimeout(() => void look(), 20);
      };
      void look();
    });
    for (const socket of sockets) socket.destroy();
  });
});

test("rubbish instead of HTTP gets 400 and a closed connection", async () => {
  await withFixture({}, async (fixture) => {
    const { hostname, port } = new URL(fixture.url);
    for (const rubbish of [
      "\u0000\u0001\u0002\r\n\r\n",
      "GET\r\n\r\n",
      "POST / HTTP/9.9\r\n\r\n",
      `GET /${"a".repeat(100_000)}`,
    ]) {
      const socket = connect(Number(port), hostname);
      socket.on("error", () => undefined);
      let text = "";
      socket.on("data", (chunk: Buffer) => {
        text += chunk.toString();
      });
      socket.write(rubbish);
      await new Promise<void>((resolve) => socket.on("close", () => resolve()));
      assert.match(text, /^(HTTP\/1.1 4\d\d|$)/);
    }
  });
});

test("a WebSocket message above the limit closes that connection only", async () => {
  await withFixture({ bodyMaxBytes: 100_000 }, async (fixture) => {
    const socket = await fixture.socket();
    const other = await fixture.socket();
    socket.ws.send("x".repeat(200_000));
    await until(() => socket.closeCode);
    assert.equal(socket.closeCode, 1009);
    assert.equal((await other.request("eth_chainId")).result, "0x385");
    other.close();
  });
});

test("half-sent WebSocket messages count against the bytes held", async () => {
  await withFixture({ buffersMaxBytes: 1_048_576 }, async (fixture) => {
    const sockets = await Promise.all(Array.from({ length: 4 }, () => fixture.socket()));
    for (const { ws } of sockets) ws.send(Buffer.alloc(400_000, 0x20), { fin: false });
    await until(() => sockets.find((socket) => socket.closeCode !== undefined));
    assert.ok(fixture.gateway.bufferedBytes <= 1_048_576 + 65_536);
    for (const socket of sockets) socket.close();
  });
});

test("a WebSocket client that floods without reading is dropped", async () => {
  await withFixture({ socketBufferMaxBytes: 1_048_576 }, async (fixture) => {
    const socket = await fixture.socket();
    socket.ws.pause();
    const item = '{"jsonrpc":"2.0","id":1,"method":"eth_getBlockByNumber","params":["0x0",true]}';
    const body = `[${`${item},`.repeat(999)}${item}]`;
    for (let i = 0; i < 60; i++) if (socket.ws.readyState === WebSocket.OPEN) socket.ws.send(body);
    await new Promise<void>((resolve) => {
      const look = async (): Promise<void> => {
        const metrics = await fixture.metrics.registry.metrics();
        if (/rpc_server_refused_total\{[^}]*slow_socket[^}]*\} [1-9]/.test(metrics)) resolve();
        else setTimeout(() => void look(), 20);
      };
      void look();
    });
    socket.close();
  });
});

test("answers in the making count against the bytes held", async () => {
  await withFixture({ buffersMaxBytes: 1_048_576 }, async (fixture) => {
    const item = { jsonrpc: "2.0", id: 1, method: "eth_getBlockByNumber", params: ["0x0", true] };
    const answer = await fixture.post(JSON.stringify(Array.from({ length: 1_500 }, () => item)));
    const codes = ((await answer.json()) as Answer[]).map((a) => a.error?.code);
    assert.equal(codes.length, 1_500);
    assert.deepEqual([...new Set(codes)], [undefined, -32005]);
    const tooMany = Array.from({ length: 2_000 }, () => ({ ...item, method: "x".repeat(100) }));
    assert.equal(((await (await fixture.post(JSON.stringify(tooMany))).json()) as Answer).error?.code, -32005);
  });
});

test("a client that hangs up is not worked for any more", async () => {
  await withFixture({}, async (fixture) => {
    const socket = await fixture.socket();
    const item = '{"jsonrpc":"2.0","id":1,"method":"eth_getBlockByNumber","params":["0x0",true]}';
    const body = `[${`${item},`.repeat(1_999)}${item}]`;
    for (let i = 0; i < 60; i++) socket.ws.send(body);
    await until(() => (fixture.gateway.bufferedBytes > body.length ? true : undefined));
    socket.ws.terminate();
    await until(() => fixture.gateway.bufferedBytes === 0 || undefined);
    const metrics = await fixture.metrics.registry.metrics();
    const answered = /^rpc_server_requests_total\{[^}]*method="eth_getBlockByNumber"[^}]*\} (\d+)$/m.exec(metrics)?.[1];
    assert.ok(answered !== undefined && Number(answered) < 60 * 2_000, `${answered} requests were answered`);
  });
});

test("subscriptions and filters are limited per client, and expire", async () => {
  await withFixture(
    { subscriptionsPerConnectionMax: 3, filtersPerClientMax: 3, filterLifetimeSeconds: 1 },
    async (fixture) => {
      const socket = await fixture.socket();
      for (let i = 0; i < 3; i++) assert.ok((await socket.request("eth_subscribe", ["newHeads"])).result);
      assert.equal((await socket.request("eth_subscribe", ["newHeads"])).error?.code, -32005);
      socket.close();
      const ids: unknown[] = [];
      for (let i = 0; i < 3; i++) ids.push(await fixture.result("eth_newBlockFilter"));
      assert.equal((await fixture.request("eth_newBlockFilter")).error?.code, -32005);
      await new Promise((resolve) => setTimeout(resolve, 1_050));
      assert.equal((await fixture.request("eth_getFilterChanges", [ids[0]])).error?.code, -32000);
      assert.ok(await fixture.result("eth_newBlockFilter"), "expired filters make room");
    },
  );
});

test("calls that run long give way to a limit, and end by gas", async () => {
  await withFixture({ executionsMax: 1, executionsQueueMax: 1, callGasMax: 3_000_000 }, async (fixture) => {
    const loop = `0x${"60".padStart(40, "c")}`;
    const answers = await Promise.all(Array.from({ length: 8 }, () => fixture.request("eth_call", [{ to: loop }])));
    const codes = answers.map((answer) => answer.error?.code);
    assert.ok(codes.includes(-32000), "out of gas");
    for (const code of codes) assert.ok(code === -32000 || code === -32005);
  });
});
