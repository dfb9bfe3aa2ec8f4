/**
 * Story: the disk of a cluster fills up under load. The network ends with a reason that names the disk, having
 * acknowledged nothing that it does not keep; with room again it goes on, and everything accepted is in the chain once.
 * Needs to mount a small file system; says so where it may not.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fromHex, toHex } from "../../src/base/bytes.ts";
import { systemClock } from "../../src/base/clock.ts";
import { buildStale } from "../../src/devnet/build.ts";
import type { Endpoints } from "../../src/devnet/devnet.ts";
import { JsonRpcClient } from "../../src/l1/json-rpc.ts";
import { signTransaction } from "../../src/protocol/transaction-codec.ts";
import { NetworkProcess, REQUEST_MAX_MS, until } from "../e2e/fixture.ts";

const DISK_BYTES = 96 * 1024 * 1024;
const ROOM_BYTES = 256 * 1024;
const RECIPIENT = new Uint8Array(20).fill(0xdd);

/** A small disk at `path`, or why there is none. */
function mountDisk(path: string): string | undefined {
  mkdirSync(path, { recursive: true });
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${DISK_BYTES}`, "tmpfs", path], { stdio: "pipe" });
    return undefined;
  } catch (error) {
    return `a small file system cannot be mounted here: ${String((error as { stderr?: Buffer }).stderr ?? error).trim()}`;
  }
}

test("a full disk ends the network with a reason, and with room again nothing is missing", async (t) => {
  const dataDir = mkdtempSync(join(tmpdir(), "sheaf-disk-"));
  const disk = join(dataDir, "cluster-901");
  const unmountable = mountDisk(disk);
  if (unmountable !== undefined) {
    rmSync(dataDir, { recursive: true, force: true });
    t.skip(unmountable);
    return;
  }
  await buildStale();
  const network = new NetworkProcess(dataDir);
  t.after(async () => {
    await network.stop();
    execFileSync("umount", [disk]);
    rmSync(dataDir, { recursive: true, force: true });
  });
  const endpoints = await network.start(false);
  const [cluster] = endpoints.clusters;
  assert.equal(cluster?.name, "cluster-901");
  const rpc = new JsonRpcClient({ url: cluster.rpcUrl, timeoutMs: 5_000 });
  // Transactions with data fill the rest.
  const key = fromHex((endpoints.accounts[0] as Endpoints["accounts"][number]).privateKey);
  const data = Uint8Array.from({ length: 20_000 }, (_, i) => (i * 2_654_435_761) >>> 24);
  const raw = (nonce: number): { hash: string; raw: string } => {
    const tx = signTransaction(
      {
        type: 2,
        chainId: cluster.chainId,
        nonce: BigInt(nonce),
        to: RECIPIENT,
        valueWei: 1n,
        data,
        gasLimit: 1_000_000n,
        maxFeePerGasWei: 100_000_000_000n,
        maxPriorityFeePerGasWei: 1n,
      },
      key,
    );
    return { hash: toHex(tx.hash), raw: toHex(tx.raw) };
  };
  const accepted: string[] = [];
  let nonce = 0;
  const send = async (): Promise<void> => {
    const tx = raw(nonce);
    assert.equal(await rpc.call("eth_sendRawTransaction", [tx.raw]), tx.hash);
    accepted.push(tx.hash);
    nonce++;
  };
  await send();
  // The network goes on writing meanwhile: where that takes the room, there is none left to fill.
  const filler = join(disk, "filler");
  const { bavail, bsize } = statfsSync(disk);
  try {
    writeFileSync(filler, new Uint8Array(bavail * bsize - ROOM_BYTES).fill(1));
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, "ENOSPC");
  }
  await until("the network ends by itself", async () => {
    if (network.exitCode !== null) return true;
    try {
      await send();
    } catch {
      // refused, or it ends
      await systemClock.sleep(50);
    }
    return false;
  });
  assert.notEqual(network.exitCode, 0);
  assert.match(readFileSync(join(dataDir, "devnet.log"), "utf8"), /LOG_DISK|STORE_WRITE_FAILED/);

  rmSync(filler);
  const again = await network.start(false);
  const after = new JsonRpcClient({ url: (again.clusters[0] as typeof cluster).rpcUrl, timeoutMs: REQUEST_MAX_MS });
  // The one without an answer is durable or lost.
  try {
    const unanswered = raw(nonce);
    await after.call("eth_sendRawTransaction", [unanswered.raw]);
  } catch (error) {
    assert.match(String(error), /already known|nonce too low/);
  }
  accepted.push(raw(nonce++).hash);
  for (const hash of accepted)
    await until(`${hash} in a block`, async () => {
      const receipt = (await after.call("eth_getTransactionReceipt", [hash])) as { status: string } | null;
      return receipt?.status === "0x1";
    });
  assert.equal(BigInt((await after.call("eth_getBalance", [toHex(RECIPIENT), "latest"])) as string), BigInt(nonce));
});
