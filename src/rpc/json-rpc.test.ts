/** JSON-RPC 2.0 to the letter, over HTTP and WebSocket: shapes of requests, ids, batches, notifications, codes. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { toHex } from "../base/bytes.ts";
import { signTransaction } from "../protocol/transaction-codec.ts";
import { KEYS } from "./testing/memory-chain.ts";
import { type Answer, RpcFixture, until } from "./testing/rpc-fixture.ts";

let fixture: RpcFixture;
before(async () => {
  fixture = await RpcFixture.create({ batchItemsMax: 100, responseMaxBytes: 100_000 });
});
after(() => fixture.close());

async function answerTo(body: string | Uint8Array): Promise<Answer> {
  const response = await fixture.post(body);
  assert.equal(response.status, 200);
  assert.match(response.headers.get("content-type") ?? "", /^application\/json/);
  return (await response.json()) as Answer;
}

const chainId = (id: unknown): string => JSON.stringify({ jsonrpc: "2.0", id, method: "eth_chainId" });

test("what is not JSON is -32700 with id null", async () => {
  const broken = ["", "{", "[1,", "nonsense", "{'a':1}", '{"jsonrpc":"2.0",}', "\u0000", "[".repeat(200_000)];
  for (const body of broken) {
    const answer = await answerTo(body);
    assert.equal(answer.error?.code, -32700, body.slice(0, 20));
    assert.equal(answer.id, null);
  }
});

test("invalid UTF-8 is -32700", async () => {
  const body = Buffer.concat([
    Buffer.from('{"jsonrpc":"2.0","id":"'),
    Buffer.from([0xff, 0xfe, 0xc0]),
    Buffer.from('"}'),
  ]);
  assert.equal((await answerTo(body)).error?.code, -32700);
});

test("JSON that is no request is -32600", async () => {
  const shapes = ["1", '"a"', "null", "true", "{}", '{"jsonrpc":"2.0","id":1}', '{"id":1,"method":"eth_chainId"}'];
  shapes.push('{"jsonrpc":"1.0","id":1,"method":"eth_chainId"}', '{"jsonrpc":"2.0","id":1,"method":7}');
  shapes.push('{"jsonrpc":2.0,"id":1,"method":"eth_chainId"}', "[]");
  for (const body of shapes) assert.equal((await answerTo(body)).error?.code, -32600, body);
});

test("nesting as deep as a body allows is answered", async () => {
  const depth = 100_000;
  const answers = (await answerTo(`${"[".repeat(depth)}${"]".repeat(depth)}`)) as unknown as Answer[];
  assert.equal(answers[0]?.error?.code, -32600);
  const nested = `{"jsonrpc":"2.0","id":1,"method":"eth_call","params":[${'{"a":'.repeat(50_000)}1${"}".repeat(50_000)}]}`;
  assert.equal((await answerTo(nested)).error?.code, undefined);
});

test("ids come back as they were sent, or are refused", async () => {
  for (const id of [1, 0, -5, 1.5, "a", "", '"\\\u0000é😀', null, 9_007_199_254_740_991])
    assert.deepEqual((await answerTo(chainId(id))).id, id);
  for (const id of [{}, [], [1], true, false, { a: 1 }]) {
    const answer = await answerTo(chainId(id));
    assert.equal(answer.error?.code, -32600);
    assert.equal(answer.id, null);
  }
  const large = await answerTo('{"jsonrpc":"2.0","id":9007199254740993,"method":"eth_chainId"}');
  assert.equal(large.error?.code, -32600, "an id that cannot be echoed exactly");
  assert.equal((await answerTo(chainId("x".repeat(2_000)))).error?.code, -32600);
});

test("requests carry no inherited fields", async () => {
  const answer = await answerTo('{"__proto__":{"jsonrpc":"2.0","method":"eth_chainId"},"id":1}');
  assert.equal(answer.error?.code, -32600);
  const overridden = await fixture.request("eth_call", [{ __proto__: { to: "0x" } }]);
  assert.equal(overridden.error, undefined);
});

test("unknown methods are -32601, wrong params -32602", async () => {
  assert.equal((await fixture.request("eth_nothing")).error?.code, -32601);
  assert.equal((await fixture.request("constructor")).error?.code, -32601);
  assert.equal((await fixture.request("__proto__")).error?.code, -32601);
  assert.equal((await fixture.request("debug_nothing", ["0x"])).error?.code, -32601);
  assert.equal((await fixture.request("eth_chainId", { a: 1 })).error?.code, -32602);
  assert.equal((await fixture.request("eth_chainId", "a")).error?.code, -32602);
  assert.equal((await fixture.request("eth_chainId", [1])).error?.code, -32602);
  assert.equal((await fixture.request("eth_getBalance")).error?.code, -32602);
});

test("absent and null params are an empty list", async () => {
  assert.equal((await answerTo('{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}')).result, "0x385");
  assert.equal((await answerTo('{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":null}')).result, "0x385");
});

test("notifications get no answer", async () => {
  const response = await fixture.post('{"jsonrpc":"2.0","method":"eth_chainId"}');
  assert.equal(response.status, 204);
  assert.equal(await response.text(), "");
  const batch = await fixture.post('[{"jsonrpc":"2.0","method":"eth_chainId"},{"jsonrpc":"2.0","method":"x"}]');
  assert.equal(batch.status, 204);
});

test("a batch is answered item by item, in order, whatever is in it", async () => {
  const batch = [chainId(1), "1", '{"jsonrpc":"2.0","method":"eth_chainId"}', chainId("b"), "{}", "[]"];
  const answers = (await answerTo(`[${batch.join(",")}]`)) as unknown as Answer[];
  assert.deepEqual(
    answers.map((answer) => [answer.id, answer.result ?? answer.error?.code]),
    [
      [1, "0x385"],
      [null, -32600],
      ["b", "0x385"],
      [null, -32600],
      [null, -32600],
    ],
  );
});

test("a batch above its limit is refused as one", async () => {
  const answer = await answerTo(`[${Array.from({ length: 101 }, (_, i) => chainId(i)).join(",")}]`);
  assert.equal(answer.error?.code, -32600);
  assert.equal(answer.id, null);
});

test("answers beyond the byte limit become -32003, the ones before them stay", async () => {
  const request = (id: number) =>
    JSON.stringify({ jsonrpc: "2.0", id, method: "eth_getBlockByNumber", params: ["0x0"] });
  const answers = (await answerTo(
    `[${Array.from({ length: 90 }, (_, i) => request(i)).join(",")}]`,
  )) as unknown as Answer[];
  assert.equal(answers.length, 90);
  assert.ok(answers[0]?.result !== undefined);
  assert.equal(answers.at(-1)?.error?.code, -32003);
});

test("a run of transactions in a batch is one submit, with an outcome each", async () => {
  const raws = Array.from({ length: 20 }, (_, i) =>
    toHex(
      signTransaction(
        {
          type: 2,
          chainId: 901,
          nonce: BigInt(i),
          to: new Uint8Array(20),
          gasLimit: 21_000n,
          maxFeePerGasWei: 10n ** 10n,
        },
        KEYS[0]?.secret as Uint8Array,
      ).raw,
    ),
  );
  const items: unknown[] = raws.map((raw, id) => ({
    jsonrpc: "2.0",
    id,
    method: "eth_sendRawTransaction",
    params: [raw],
  }));
  items.splice(3, 0, { jsonrpc: "2.0", id: "bad", method: "eth_sendRawTransaction", params: ["0x01"] });
  items.splice(7, 0, { jsonrpc: "2.0", id: "none", method: "eth_sendRawTransaction", params: [] });
  items.splice(9, 0, { jsonrpc: "2.0", method: "eth_sendRawTransaction", params: [raws[0]] });
  items.push({
    jsonrpc: "2.0",
    id: "nonce",
    method: "eth_getTransactionCount",
    params: [toHex(KEYS[0]?.address as Uint8Array), "pending"],
  });
  const before = fixture.chain.submits;
  const answers = (await answerTo(JSON.stringify(items))) as unknown as Answer[];
  assert.equal(fixture.chain.submits - before, 1);
  assert.equal(answers.length, 23);
  assert.equal(answers.find(({ id }) => id === "bad")?.error?.code, -32602);
  assert.equal(answers.find(({ id }) => id === "none")?.error?.code, -32602);
  assert.equal(answers.find(({ id }) => id === "nonce")?.result, "0x14");
  for (let id = 0; id < 20; id++) assert.match(String(answers.find((a) => a.id === id)?.result), /^0x[0-9a-f]{64}$/);
});

test("HTTP says no in HTTP's words: method, type, encoding", async () => {
  const get = await fetch(fixture.url);
  assert.equal(get.status, 405);
  assert.equal(get.headers.get("allow"), "POST, OPTIONS");
  assert.equal((await fixture.post(chainId(1), { "content-type": "text/html" })).status, 415);
  assert.equal((await fixture.post(chainId(1), { "content-encoding": "gzip" })).status, 415);
  assert.equal((await fixture.post(chainId(1), { "content-type": "application/json; charset=utf-8" })).status, 200);
});

test("browsers get their preflight", async () => {
  const response = await fetch(fixture.url, { method: "OPTIONS", headers: { origin: "https://app.example" } });
  assert.equal(response.status, 204);
  assert.equal(response.headers.get("access-control-allow-origin"), "*");
  assert.match(response.headers.get("access-control-allow-methods") ?? "", /POST/);
});

test("origins can be limited", async () => {
  const limited = await RpcFixture.create({ corsOrigin: "https://app.example" });
  const allowed = await limited.post(chainId(1), { origin: "https://app.example" });
  assert.equal(allowed.headers.get("access-control-allow-origin"), "https://app.example");
  const foreign = await limited.post(chainId(1), { origin: "https://evil.example" });
  assert.equal(foreign.headers.get("access-control-allow-origin"), null);
  await limited.close();
});

test("large answers are compressed when both sides want it", async () => {
  const zipped = await RpcFixture.create({ gzip: true });
  const body = JSON.stringify(
    Array.from({ length: 50 }, (_, id) => ({
      jsonrpc: "2.0",
      id,
      method: "eth_getBlockByNumber",
      params: ["0x0", true],
    })),
  );
  const response = await zipped.post(body, { "accept-encoding": "gzip" });
  assert.equal(response.headers.get("content-encoding"), "gzip");
  assert.equal(((await response.json()) as Answer[]).length, 50);
  const plain = await zipped.post(body, { "accept-encoding": "identity" });
  assert.equal(plain.headers.get("content-encoding"), null);
  await zipped.close();
});

test("WebSocket answers the same, on the same port", async () => {
  const socket = await fixture.socket();
  assert.equal((await socket.request("eth_chainId")).result, "0x385");
  socket.ws.send("{");
  await until(() => socket.answers.find((answer) => answer.error?.code === -32700));
  socket.ws.send(Buffer.from(chainId("binary")));
  await until(() => socket.answers.find((answer) => answer.id === "binary"));
  socket.close();
});

test("WebSocket can have a port of its own", async () => {
  const split = await RpcFixture.create({}, { wsPort: 0 });
  assert.notEqual(new URL(split.gateway.wsUrl).port, new URL(split.gateway.url).port);
  const socket = await split.socket();
  assert.equal((await socket.request("eth_chainId")).result, "0x385");
  socket.close();
  const http = await fetch(split.gateway.wsUrl.replace("ws:", "http:"), { method: "POST", body: "{}" });
  assert.equal(http.status, 426);
  await http.text();
  await split.close();
});

test("subscriptions need a connection", async () => {
  assert.equal((await fixture.request("eth_subscribe", ["newHeads"])).error?.code, -32601);
});
