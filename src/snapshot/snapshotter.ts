/**
 * Owns the schedule of snapshots: takes one at a time, keeps the newest few, and tells from which position on the logs
 * are needed: that noted before the newest snapshot began. On failure the one before stays the newest, logs are kept
 * from there, and the next try comes after the pause.
 */
import { createHash } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import { Loop } from "../base/loop.ts";
import type { Service } from "../base/service.ts";
import type { SnapshotConfig } from "./config.ts";
import type { SnapshotMetrics } from "./metrics.ts";
import { SnapshotFolder } from "./snapshot-folder.ts";
import { type SnapshotSource, type TakenSnapshot, takeSnapshot } from "./take.ts";

/** A failure is retried sooner than the interval, and no sooner than this. */
const RETRY_MAX_MS = 60_000;

export type SnapshotterDeps<Position> = {
  readonly chainId: number;
  readonly genesisHash: Uint8Array;
  readonly sources: readonly SnapshotSource[];
  readonly privateKey: Uint8Array;
  /** How far the sealed chain has consumed the logs. */
  readonly position: () => Position;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: SnapshotMetrics;
};

export class Snapshotter<Position> implements Service {
  readonly name = "snapshotter";
  /** Folder of this chain's snapshots. */
  readonly folder: string;
  readonly #config: SnapshotConfig;
  readonly #deps: SnapshotterDeps<Position>;
  readonly #loop: Loop;
  #keepFrom: Position | undefined;

  constructor(config: SnapshotConfig, deps: SnapshotterDeps<Position>) {
    this.#config = config;
    this.#deps = deps;
    this.folder = join(config.folder, String(deps.chainId));
    this.#loop = new Loop("snapshots", () => this.#step(), {
      everyMs: config.intervalSeconds * 1_000,
      backoffMaxMs: RETRY_MAX_MS,
      log: deps.log,
      clock: deps.clock,
    });
  }

  /** Where replay starts from the newest snapshot; undefined before the first of this run: all of the logs is needed. */
  keepFrom(): Position | undefined {
    return this.#keepFrom;
  }

  /** Takes one now, after any under way. */
  async take(): Promise<void> {
    await this.#loop.runNow();
  }

  run(signal: AbortSignal): Promise<void> {
    return this.#loop.run(signal);
  }

  async #step(): Promise<void> {
    const { clock, log, metrics } = this.#deps;
    const startMs = clock.nowMs();
    const position = this.#deps.position();
    let taken: TakenSnapshot;
    try {
      mkdirSync(this.folder, { recursive: true });
      taken = await takeSnapshot({ ...this.#deps, folder: this.folder, nowMs: startMs });
      await new SnapshotFolder(this.folder).keep(this.#config.keep);
    } catch (error) {
      metrics.failures.inc();
      throw error;
    }
    this.#keepFrom = position;
    const seconds = (clock.nowMs() - startMs) / 1_000;
    const block = taken.manifest.databases[0]?.head.number ?? 0;
    metrics.takenTimestamp.set(taken.manifest.takenAtSeconds);
    metrics.takenBlock.set(block);
    metrics.seconds.observe(seconds);
    metrics.writtenBytes.inc(taken.writtenBytes);
    log.info("snapshot taken", { block, seconds, sizeBytes: taken.sizeBytes, writtenBytes: taken.writtenBytes });
  }
}

/** The key that signs a node's snapshots: of its own, so that a thief of it can sign nothing else. */
export function snapshotKeyOf(posterKey: Uint8Array): Uint8Array {
  return new Uint8Array(createHash("sha256").update("sheaf snapshot key\0").update(posterKey).digest());
}
