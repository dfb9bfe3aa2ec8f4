/**
 * Story: a node loses its disk, three times. It comes back from a snapshot and its logs, from a snapshot and L1, and from
 * L1 alone, each time to the same blocks, and goes on: each time with its state on another number of key shards, or on
 * none.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { Hex } from "viem";
import { databaseFolder, SEQUENCER, shardFolder, VERIFIER } from "../../src/node/node-data.ts";
import { SnapshotFolder } from "../../src/snapshot/snapshot-folder.ts";
import { clientsOf, NetworkProcess, sheaf, until } from "./fixture.ts";

test("a node without its disk comes back from snapshot and logs, from snapshot and L1, and from L1 alone", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "sheaf-restore-"));
  const snapshots = join(folder, "snapshots");
  const network = new NetworkProcess(join(folder, "network"), [], {
    SHEAF_SNAPSHOT_FOLDER: snapshots,
    SHEAF_SNAPSHOT_INTERVAL_SECONDS: "5",
    SHEAF_KEY_SHARDS_IN: "threads",
  });
  t.after(async () => {
    await network.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  let endpoints = await network.start(true, { SHEAF_KEY_SHARDS: "2" });
  let clients = clientsOf(endpoints);
  const { name, chainId } = clients.cluster;
  const data = join(network.dataDir, name);
  const from = join(snapshots, String(chainId));
  const to: Hex = "0x00000000000000000000000000000000000000bb";
  const send = async (): Promise<number> => {
    const hash = await clients.l2.sendTransaction({ to, value: 1n });
    return Number((await clients.l2.waitForTransactionReceipt({ hash })).blockNumber);
  };
  const hashAt = async (number: number): Promise<Hex | null> =>
    (await clients.l2.getBlock({ blockNumber: BigInt(number) })).hash;
  const snapshotBeyond = (block: number) =>
    until("a snapshot", async () => {
      const newest = (await new SnapshotFolder(from).list()).at(-1);
      return newest !== undefined && newest.manifest.databases.every(({ head }) => head.number >= block) && newest;
    });

  const early = await send();
  await until("it is safe", async () => (await clients.verifier.getBlockNumber()) >= early);
  const snapshot = await snapshotBeyond(early);
  const late = await send();
  const earlyHash = await hashAt(early);
  const lateHash = await hashAt(late);
  const signer = `0x${Buffer.from(snapshot.signer).toString("hex")}`;
  const genesis = (await hashAt(0)) as Hex;
  const restore = (...more: string[]): Promise<string> =>
    sheaf(
      ...["snapshot", "restore", "--from", from, "--to", data, "--signer", signer, "--json"],
      ...["--chain-id", String(chainId), "--genesis", genesis, ...more],
    );
  const returns = async (how: string, keyShards: number): Promise<void> => {
    const startMs = performance.now();
    endpoints = await network.start(false, { SHEAF_KEY_SHARDS: String(keyShards) });
    clients = clientsOf(endpoints);
    await until("the late block", async () => (await clients.l2.getBlockNumber()) >= late);
    t.diagnostic(`from ${how} to ${keyShards} key shards in ${((performance.now() - startMs) / 1_000).toFixed(1)} s`);
    assert.equal(await hashAt(early), earlyHash);
    assert.equal(await hashAt(late), lateHash);
    const next = await send();
    assert.ok(next > late);
  };

  await network.kill();
  await assert.rejects(restore(), /SNAPSHOT_TARGET_NOT_EMPTY/);
  for (const database of [SEQUENCER, VERIFIER] as const) rmSync(databaseFolder(data, database), { recursive: true });
  for (const shard of [0, 1]) rmSync(shardFolder(data, shard), { recursive: true });
  const restored = JSON.parse(await restore()) as { heads: { number: number }[] };
  assert.ok(restored.heads.every(({ number }) => number >= early));
  await returns("snapshot and logs", 4);

  await until("the late block is safe", async () => (await clients.verifier.getBlockNumber()) >= late);
  await network.kill();
  rmSync(data, { recursive: true });
  const oldest = (await new SnapshotFolder(from).list()).find(
    ({ manifest }) => (manifest.databases[0]?.head.number ?? 0) >= early,
  );
  assert.ok(oldest !== undefined);
  await restore("--without-logs", "--id", Buffer.from(oldest.id).toString("hex"));
  await returns("snapshot and L1", 1);

  await until("all of it is safe", async () => (await clients.verifier.getBlockNumber()) >= late);
  await network.kill();
  rmSync(data, { recursive: true });
  await returns("L1 alone", 3);
});
