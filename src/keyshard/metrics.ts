/** Metrics of a key shard. */
import { type GaugeHandle, type HistogramHandle, LATENCY_BUCKETS_SECONDS, type Metrics } from "../base/metrics.ts";

export type KeyShardMetrics = {
  readonly rootSeconds: HistogramHandle;
  readonly commitSeconds: HistogramHandle;
  readonly oldestVersion: GaugeHandle;
};

export function keyshardMetrics(metrics: Metrics): KeyShardMetrics {
  return {
    rootSeconds: metrics.histogram(
      "sheaf_keyshard_root_seconds",
      "Time to hash the writes of a block into a state root.",
      LATENCY_BUCKETS_SECONDS,
    ),
    commitSeconds: metrics.histogram(
      "sheaf_keyshard_commit_seconds",
      "Time to store the state of a block.",
      LATENCY_BUCKETS_SECONDS,
    ),
    oldestVersion: metrics.gauge("sheaf_keyshard_oldest_version", "Oldest block whose state is served."),
  };
}
