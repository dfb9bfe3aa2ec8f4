/** Metrics of a key shard. */
import {
  type CounterHandle,
  type GaugeHandle,
  type HistogramHandle,
  LATENCY_BUCKETS_SECONDS,
  type Metrics,
} from "../base/metrics.ts";

export type KeyShardMetrics = {
  readonly rootSeconds: HistogramHandle;
  readonly commitSeconds: HistogramHandle;
  readonly oldestVersion: GaugeHandle;
  readonly shards: GaugeHandle;
  readonly imbalance: GaugeHandle;
  readonly movedBytes: CounterHandle;
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
    shards: metrics.gauge("sheaf_keyshard_shards", "Key shards that hold a part of the state."),
    imbalance: metrics.gauge(
      "sheaf_keyshard_imbalance",
      "Load of the busiest key shard, by measured time, relative to an even share; 1 is even.",
    ),
    movedBytes: metrics.counter(
      "sheaf_keyshard_moved_bytes_total",
      "First bytes of hashed addresses, each a 256th of the state, that moved to another key shard.",
    ),
  };
}
