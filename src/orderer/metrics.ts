/** Metrics of the orderer. Heartbeat and activity carry the names that failover alerts are written against. */
import {
  type CounterHandle,
  type GaugeHandle,
  type HistogramHandle,
  LATENCY_BUCKETS_SECONDS,
  type Metrics,
} from "../base/metrics.ts";

export type OrdererMetrics = {
  readonly active: GaugeHandle;
  readonly heartbeat: GaugeHandle;
  readonly cuts: CounterHandle;
  readonly ordered: CounterHandle;
  readonly cutSeconds: HistogramHandle;
  readonly originAgeSeconds: GaugeHandle;
  readonly maxDriftSeconds: GaugeHandle;
  readonly l1Reorgs: CounterHandle;
  readonly clockJumpSeconds: GaugeHandle;
};

export function ordererMetrics(metrics: Metrics): OrdererMetrics {
  return {
    active: metrics.gauge("sequencer_active", "1 while this node orders transactions."),
    heartbeat: metrics.gauge("sequencer_heartbeat_timestamp_seconds", "Time of the orderer's newest step that worked."),
    cuts: metrics.counter("sheaf_orderer_cuts_total", "Cuts appended to the order log."),
    ordered: metrics.counter("sheaf_orderer_ordered_total", "Transactions ordered."),
    cutSeconds: metrics.histogram(
      "sheaf_orderer_cut_seconds",
      "Time of one cut: take, make durable, execute.",
      LATENCY_BUCKETS_SECONDS,
    ),
    originAgeSeconds: metrics.gauge("l1_origin_age_seconds", "Age of the L1 origin of the newest block."),
    maxDriftSeconds: metrics.gauge(
      "max_sequencer_drift_seconds",
      "How far a block's timestamp may be ahead of its L1 origin.",
    ),
    clockJumpSeconds: metrics.gauge(
      "sheaf_orderer_clock_jump_seconds",
      "How far the system clock has jumped away from the time blocks are made by; 0: they go together.",
    ),
    l1Reorgs: metrics.counter("sheaf_orderer_l1_reorgs_total", "L1 reorgs that took an origin of ours back."),
  };
}
