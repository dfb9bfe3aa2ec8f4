/** Metrics of following and leading. */
import type { CounterHandle, GaugeHandle, Metrics } from "../base/metrics.ts";

export type ReplicaMetrics = {
  readonly behindRecords: GaugeHandle;
  readonly term: GaugeHandle;
  readonly leaderChanges: CounterHandle;
};

export function replicaMetrics(metrics: Metrics): ReplicaMetrics {
  return {
    behindRecords: metrics.gauge("sheaf_replica_behind_records", "Order records known and not replayed."),
    term: metrics.gauge("sheaf_sequencer_term", "Term of the leadership that this node holds; 0 while it follows."),
    leaderChanges: metrics.counter(
      "sheaf_sequencer_leaderships_total",
      "Leaderships of this node that began (event won), were lost (lost), given up for want of progress (stuck) or handed over (handed-over).",
      ["event"],
    ),
  };
}
