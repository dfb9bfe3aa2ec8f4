/**
 * Story: an operator spreads a running cluster's state over four key shards and takes it back to two, under load. Blocks
 * go on, the verifier, which has one state of its own, derives the same blocks, and a restart finds everything.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { parseEther } from "viem";
import { buildStale } from "../../src/devnet/build.ts";
import type { Endpoints } from "../../src/devnet/devnet.ts";
import { JsonRpcClient } from "../../src/l1/json-rpc.ts";
import { clientsOf, NetworkProcess, REQUEST_MAX_MS, sheaf, until } from "./fixture.ts";

test("the state moves from two key shards to four and back while blocks go on", async (t) => {
  await buildStale();
  const network = new NetworkProcess(mkdtempSync(join(tmpdir(), "sheaf-shards-")), [], {
    SHEAF_KEY_SHARDS: "2",
    SHEAF_KEY_SHARDS_IN: "threads",
  });
  t.after(async () => {
    await network.stop();
    rmSync(network.dataDir, { recursive: true, force: true });
  });
  const endpoints = await network.start(true);
  const cluster = endpoints.clusters[0] as Endpoints["clusters"][number];
  const node = join(network.dataDir, cluster.name);
  assert.equal(statSync(join(node, "admin.sock")).mode & 0o777, 0o600);
  const shards = async (...args: string[]): Promise<unknown> =>
    JSON.parse(await sheaf("admin", "key-shards", node, ...args, "--json"));
  assert.deepEqual(await shards(), { target: 2, shards: 2, settled: true });

  const { l2 } = clientsOf(endpoints);
  const stop = new AbortController();
  let sent = 0;
  const load = (async (): Promise<void> => {
    while (!stop.signal.aborted) {
      const to = `0x${(++sent).toString(16).padStart(40, "a")}` as const;
      const hash = await l2.sendTransaction({ to, value: parseEther("0.001") });
      await until("a receipt", async () => {
        const receipt = await new JsonRpcClient({ url: cluster.rpcUrl, timeoutMs: REQUEST_MAX_MS }).call(
          "eth_getTransactionReceipt",
          [hash],
        );
        return receipt !== null;
      });
    }
  })();
  try {
    assert.deepEqual(await shards("4", "--wait"), { target: 4, shards: 4, settled: true });
    assert.deepEqual(await shards("2", "--wait"), { target: 2, shards: 2, settled: true });
  } finally {
    stop.abort();
    await load;
  }
  assert.ok(sent > 1, "there was a load");
  await assert.rejects(sheaf("admin", "key-shards", node, "1000"), /ADMIN_INVALID/);

  const rpc = new JsonRpcClient({ url: cluster.rpcUrl, timeoutMs: REQUEST_MAX_MS });
  const verifier = new JsonRpcClient({ url: cluster.verifierRpcUrl, timeoutMs: REQUEST_MAX_MS });
  const head = (await rpc.call("eth_getBlockByNumber", ["latest", false])) as { number: string; hash: string };
  const times: number[] = [];
  for (let n = 1; n <= Number(head.number); n++) {
    const block = (await rpc.call("eth_getBlockByNumber", [`0x${n.toString(16)}`, false])) as { timestamp: string };
    times.push(Number(block.timestamp));
  }
  const longest = Math.max(...times.slice(1).map((time, i) => time - (times[i] as number)));
  console.log(`${times.length} blocks, ${sent} transfers, longest time between two blocks ${longest} s`);
  await until("the verifier derives the same block", async () => {
    const derived = (await verifier.call("eth_getBlockByNumber", [head.number, false])) as { hash: string } | null;
    if (derived === null) return false;
    assert.equal(derived.hash, head.hash);
    return true;
  });

  await network.stop();
  const again = await network.start(false);
  const after = new JsonRpcClient({ url: (again.clusters[0] as typeof cluster).rpcUrl, timeoutMs: REQUEST_MAX_MS });
  const block = (await after.call("eth_getBlockByNumber", [head.number, false])) as { hash: string };
  assert.equal(block.hash, head.hash);
});
