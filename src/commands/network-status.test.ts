/** `sheaf status --config`: every process of the file is told of, whether it answers or not. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { networkStatus, type ProcessStatus } from "./network-status.ts";

/** A process's JSON-RPC and health ports in one. */
async function serve(
  t: { after: (fn: () => void) => void },
  head: number,
  lead: object,
  metrics: string,
): Promise<string> {
  const server: Server = createServer((request, response) => {
    if (request.url === "/metrics" || request.url === "/readyz") {
      response.end(request.url === "/metrics" ? metrics : "ready");
      return;
    }
    let body = "";
    request.on("data", (chunk: Buffer) => (body += chunk.toString()));
    request.on("end", () => {
      const answer = ({ id, method }: { id: number; method: string }): object => ({
        ...{ jsonrpc: "2.0", id },
        result: method === "sheaf_leader" ? lead : { number: `0x${head.toString(16)}` },
      });
      const calls = JSON.parse(body) as { id: number; method: string } | { id: number; method: string }[];
      response.end(JSON.stringify(Array.isArray(calls) ? calls.map(answer) : answer(calls)));
    });
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test("status of a network: who leads, who works, heads and lags, and who does not answer", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "sheaf-status-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const leader = await serve(t, 20, { leads: true, stands: true, behindRecords: 0 }, "");
  const replica = await serve(t, 17, { leads: false, stands: true, behindRecords: 4 }, "");
  const publisher = await serve(t, 0, {}, 'sheaf_role_works{role="publisher"} 1\n');
  const file = join(folder, "network.yaml");
  writeFileSync(
    file,
    `version: 1
network: testnet
dataDir: data
pki: pki
l1: { chainId: 1, rpc: ["http://127.0.0.1:8545"], beacon: "http://127.0.0.1:8545" }
logs: { servers: ["n1:4222"] }
clusters: { one: { chainId: 901, inbox: "0x00000000000000000000000000000000000000aa" } }
processes:
  a: { cluster: one, roles: [sequencer], rpc: "${leader}", links: "127.0.0.1:1" }
  b: { cluster: one, roles: [sequencer], rpc: "${replica}", links: "127.0.0.1:2" }
  posts: { cluster: one, roles: [publisher], keys: { posters: [k] }, health: "${publisher}" }
  gone: { cluster: one, roles: [executor], health: "127.0.0.1:9" }
`,
  );
  const out: string[] = [];
  const context = {
    ...{ env: {}, signal: new AbortController().signal, isTerminal: false },
    out: (text: string) => out.push(text),
    err: () => undefined,
  };
  await networkStatus(file, true, context);
  const { processes } = JSON.parse(out.join("")) as { processes: ProcessStatus[] };
  const told = processes.map((p) => [p.process, p.part, p.latest, p.behindBlocks, p.behindRecords, p.state]);
  assert.deepEqual(told, [
    ["a", "leads", 20, 0, 0, "answers"],
    ["b", "stands by", 17, 3, 4, "answers"],
    ["posts", "works", undefined, undefined, undefined, "ready"],
    ["gone", undefined, undefined, undefined, undefined, "does not answer"],
  ]);
  out.length = 0;
  await networkStatus(file, false, context);
  assert.match(out.join(""), /^process +roles +part/);
  assert.match(out.join(""), /b +sequencer +stands by +17 .* 3 \(4 records\)/);
});
