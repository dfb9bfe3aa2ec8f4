import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { hasCode, isRetryable } from "../base/error.ts";
import { JsonRpcClient, readBytes, readNumber, readQuantity } from "./json-rpc.ts";

type Call = { id: number; method: string; params: unknown[] };

async function serve(
  t: TestContext,
  answer: (calls: Call[], response: ServerResponse, batched: boolean) => void,
): Promise<string> {
  const server: Server = createServer((request: IncomingMessage, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const body = JSON.parse(Buffer.concat(chunks).toString()) as Call | Call[];
      answer(Array.isArray(body) ? body : [body], response, Array.isArray(body));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test("calls of one turn travel in one request and are answered by id, in any order", async (t) => {
  let requests = 0;
  const url = await serve(t, (calls, response) => {
    requests++;
    response.end(JSON.stringify(calls.map((c) => ({ jsonrpc: "2.0", id: c.id, result: c.params[0] })).toReversed()));
  });
  const rpc = new JsonRpcClient({ url });
  const answers = await Promise.all([1, 2, 3, 4].map((n) => rpc.call("echo", [n])));
  assert.deepEqual(answers, [1, 2, 3, 4]);
  assert.equal(requests, 1);
});

test("an error of one call does not touch its neighbours", async (t) => {
  const url = await serve(t, (calls, response) =>
    response.end(
      JSON.stringify(
        calls.map((c) =>
          c.method === "bad"
            ? { id: c.id, error: { code: 3, message: "execution reverted", data: "0x1234" } }
            : { id: c.id, result: "0x1" },
        ),
      ),
    ),
  );
  const rpc = new JsonRpcClient({ url });
  const [good, bad] = await Promise.allSettled([rpc.call("good", []), rpc.call("bad", [])]);
  assert.equal(good.status, "fulfilled");
  assert.ok(bad.status === "rejected" && hasCode(bad.reason, "L1_REFUSED"));
  assert.equal(bad.reason.data["revertData"], "0x1234");
});

for (const [name, body, code] of [
  ["no JSON", "<html>", "L1_ENDPOINT_MALFORMED"],
  ["cut-off JSON", '[{"id":1,"resu', "L1_ENDPOINT_MALFORMED"],
  ["another type", '"hello"', "L1_ENDPOINT_MALFORMED"],
  ["an answer to nobody", '{"id":77,"result":1}', "L1_ENDPOINT_MALFORMED"],
  ["neither result nor error", '{"id":1}', "L1_ENDPOINT_MALFORMED"],
  ["an error without id", '{"id":null,"error":{"code":-32005,"message":"rate limit"}}', "L1_LIMIT"],
] as const)
  test(`an answer with ${name} is a retryable fault of the endpoint`, async (t) => {
    const url = await serve(t, (_calls, response) => response.end(body));
    await assert.rejects(new JsonRpcClient({ url }).call("x", []), (e) => hasCode(e, code) && isRetryable(e));
  });

test("a dead or silent endpoint fails within its deadline", async (t) => {
  const url = await serve(t, () => undefined);
  const silent = new JsonRpcClient({ url, timeoutMs: 50 });
  await assert.rejects(silent.call("x", []), (e) => hasCode(e, "L1_ENDPOINT_DOWN") && isRetryable(e));
  const dead = new JsonRpcClient({ url: "http://127.0.0.1:1" });
  await assert.rejects(dead.call("x", []), (e) => hasCode(e, "L1_ENDPOINT_DOWN"));
});

test("an answer beyond the size bound is refused without being read to its end", async (t) => {
  const url = await serve(t, (_calls, response) => response.end(`{"id":1,"result":"0x${"00".repeat(50_000)}"}`));
  const rpc = new JsonRpcClient({ url, answerSizeMaxBytes: 10_000 });
  await assert.rejects(rpc.call("x", []), (e) => hasCode(e, "L1_ENDPOINT_MALFORMED"));
});

test("the queue is bounded", async (t) => {
  const url = await serve(t, () => undefined);
  const rpc = new JsonRpcClient({ url, queueMax: 3, inFlightMax: 1, batchMax: 1, timeoutMs: 30 });
  const calls = await Promise.allSettled([1, 2, 3, 4].map(() => rpc.call("x", [])));
  assert.ok(calls[3]?.status === "rejected" && hasCode(calls[3].reason, "L1_LIMIT"));
});

test("numbers and bytes are read strictly", () => {
  for (const bad of ["", "0x", "1", 1, null, "0xg1", "0x-1"]) {
    assert.throws(
      () => readQuantity(bad, "value"),
      (e) => hasCode(e, "L1_ENDPOINT_MALFORMED"),
    );
  }
  assert.throws(() => readNumber("0xffffffffffffffff", "value"));
  for (const bad of ["0x123", "0xzz", "12", null]) assert.throws(() => readBytes(bad, "value"));
  assert.throws(() => readBytes("0x1234", "value", 3));
  assert.deepEqual(readBytes("0x0aFF", "value"), new Uint8Array([10, 255]));
});
