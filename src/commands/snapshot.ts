/** `sheaf snapshot`: list a folder of snapshots, and restore a node from one into an empty place. */
import { resolve } from "node:path";
import { type Command, InvalidArgumentError } from "commander";
import { fromHex, toHex } from "../base/bytes.ts";
import { systemClock } from "../base/clock.ts";
import { silentLog } from "../base/log.ts";
import { checkState } from "../keyshard/open-state.ts";
import { databaseFolder, restoreTarget, SEQUENCER, shardFolder } from "../node/node-data.ts";
import { lostLogsPosition, POSITION_KEY } from "../sealer/sealer.ts";
import { restoreSnapshot } from "../snapshot/restore.ts";
import { chunksIn, SnapshotFolder } from "../snapshot/snapshot-folder.ts";
import { Database } from "../store/database.ts";
import { LmdbChainStore } from "../store/lmdb-chain-store.ts";
import type { CommandContext } from "./context.ts";
import { readAddress } from "./option-values.ts";
import { renderTable } from "./table.ts";

type RestoreOptions = {
  from: string;
  to: string;
  signer: Uint8Array[];
  chainId: number;
  genesis: Uint8Array;
  id?: string;
  withoutLogs?: boolean;
  json?: boolean;
};

export function addSnapshotCommand(program: Command, context: CommandContext): void {
  const snapshot = program
    .command("snapshot")
    .description("signed copies of a node's databases (SHEAF_SNAPSHOT_FOLDER schedules them)");
  snapshot
    .command("list")
    .description("the snapshots in a folder, with their signers")
    .argument("<folder>", "folder of one chain's snapshots")
    .option("--json", "machine-readable output")
    .action((folder: string, options: { json?: boolean }) => list(resolve(folder), options.json === true, context));
  snapshot
    .command("restore")
    .description("restore a node's databases into an empty folder")
    .requiredOption("--from <folder>", "folder of one chain's snapshots")
    .requiredOption("--to <folder>", "data folder of the node (a devnet's: .sheaf/devnet/<cluster>)")
    .requiredOption("--signer <address...>", "whose signatures are trusted", collectAddress, [])
    .requiredOption("--chain-id <id>", "chain that the snapshot must be of", Number)
    .requiredOption("--genesis <hash>", "hash of that chain's block 0", readHash)
    .option("--id <hex>", "first digits of the snapshot's id (default: the newest)", (text) => text.replace(/^0x/, ""))
    .option("--without-logs", "the order and lane logs are lost: go on from what L1 holds beyond the snapshot")
    .option("--json", "machine-readable output")
    .addHelpText(
      "after",
      `
With its logs in place a node goes on to the last accepted transaction, without them to the last one posted to L1.
Example:
  $ npx sheaf snapshot list /backup/901
  $ npx sheaf snapshot restore --from /backup/901 --to .sheaf/devnet/cluster-901 \\
      --signer 0x… --chain-id 901 --genesis 0x…`,
    )
    .action((options: RestoreOptions) => restore(options, context));
}

async function list(folder: string, isJson: boolean, context: CommandContext): Promise<void> {
  const rows = (await new SnapshotFolder(folder).list()).map(({ id, signer, manifest }) => ({
    id: toHex(id),
    chainId: manifest.chainId,
    genesis: toHex(manifest.genesisHash),
    takenAt: new Date(manifest.takenAtSeconds * 1_000).toISOString(),
    heads: Object.fromEntries(manifest.databases.map(({ name, head }) => [name, head.number])),
    sizeBytes: chunksIn(manifest).reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    signer: toHex(signer),
  }));
  if (isJson) return context.out(JSON.stringify(rows, null, 2));
  context.out(
    renderTable(
      ["id", "chain", "genesis", "taken", "blocks", "MB", "signer"],
      rows.map((row) => [
        row.id.slice(0, 14),
        String(row.chainId),
        row.genesis,
        row.takenAt,
        Object.entries(row.heads)
          .map(([name, number]) => `${name} ${number}`)
          .join(", "),
        (row.sizeBytes / 1e6).toFixed(1),
        row.signer,
      ]),
    ),
  );
}

async function restore(options: RestoreOptions, context: CommandContext): Promise<void> {
  const to = resolve(options.to);
  const startMs = systemClock.nowMs();
  let shownMs = 0;
  const { id, manifest } = await restoreSnapshot({
    folder: resolve(options.from),
    id: options.id,
    trusted: options.signer,
    chainId: options.chainId,
    genesisHash: options.genesis,
    targetOf: (name) => restoreTarget(to, name),
    onProgress: (doneBytes, totalBytes) => {
      if (!context.isTerminal || systemClock.nowMs() - shownMs < 200) return;
      shownMs = systemClock.nowMs();
      process.stderr.write(`\r\u001b[Krestoring: ${Math.floor((100 * doneBytes) / totalBytes)}%`);
    },
  });
  if (context.isTerminal) process.stderr.write("\r\u001b[K");
  const database = Database.open(databaseFolder(to, SEQUENCER));
  try {
    await checkState(database, { folderOf: (shard) => shardFolder(to, shard), log: silentLog });
    if (options.withoutLogs === true) await forgetLogs(database);
  } finally {
    await database.close();
  }
  const seconds = (systemClock.nowMs() - startMs) / 1_000;
  const heads = manifest.databases.map(({ name, head }) => ({ name, number: head.number, hash: toHex(head.hash) }));
  if (options.json === true) context.out(JSON.stringify({ id: toHex(id), heads, seconds }, null, 2));
  else
    context.out(
      renderTable(
        [`restored in ${seconds.toFixed(1)} s`, "block", "hash"],
        heads.map(({ name, number, hash }) => [name, String(number), hash]),
      ),
    );
}

/** The chain goes on with new logs from their first record. */
async function forgetLogs(database: Database): Promise<void> {
  const chain = new LmdbChainStore(database);
  database.transaction(() => chain.putMeta(POSITION_KEY, lostLogsPosition()));
  await database.flushed();
}

function collectAddress(text: string, known: Uint8Array[]): Uint8Array[] {
  return [...known, readAddress(text)];
}

function readHash(text: string): Uint8Array {
  if (!/^0x[0-9a-fA-F]{64}$/.test(text)) throw new InvalidArgumentError("want a hash: 0x and 64 hex digits");
  return fromHex(text);
}
