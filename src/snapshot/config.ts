/** Settings of scheduled snapshots. */
import { type ConfigOf, defineConfig, int, text } from "../base/config.ts";

export const snapshotConfig = defineConfig("snapshot", {
  folder: text("SHEAF_SNAPSHOT_FOLDER", {
    default: "",
    help: "Folder to put snapshots into, one folder below it for each chain id; empty: none are taken.",
  }),
  intervalSeconds: int("SHEAF_SNAPSHOT_INTERVAL_SECONDS", {
    default: 3_600,
    min: 5,
    max: 31_536_000,
    help: "Time between snapshots. Logs keep what came after the newest one.",
  }),
  keep: int("SHEAF_SNAPSHOT_KEEP", {
    default: 24,
    min: 1,
    max: 10_000,
    help: "Snapshots kept; older ones are removed, and the chunks that only they named.",
  }),
});

export type SnapshotConfig = ConfigOf<typeof snapshotConfig>;
