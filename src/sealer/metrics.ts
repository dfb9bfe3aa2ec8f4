/** Metrics of the sealer: what the chain did. Names as alerts and dashboards of rollups expect them. */
import {
  type CounterHandle,
  type GaugeHandle,
  type HistogramHandle,
  LATENCY_BUCKETS_SECONDS,
  type Metrics,
} from "../base/metrics.ts";

export type SealerMetrics = {
  readonly transactions: CounterHandle;
  readonly gas: CounterHandle;
  readonly headNumber: GaugeHandle;
  readonly headTimestamp: GaugeHandle;
  readonly sealSeconds: HistogramHandle;
  readonly rewinds: CounterHandle;
  readonly skipped: CounterHandle;
};

export function sealerMetrics(metrics: Metrics): SealerMetrics {
  return {
    transactions: metrics.counter("l2_transactions_total", "Transactions sealed, deposits included."),
    gas: metrics.counter("l2_gas_used_total", "Gas of sealed blocks."),
    headNumber: metrics.gauge("l2_head_number", "Number of the newest sealed block."),
    headTimestamp: metrics.gauge("l2_head_timestamp_seconds", "Timestamp of the newest sealed block."),
    sealSeconds: metrics.histogram(
      "sheaf_sealer_seal_seconds",
      "Time from closing a block to its seal being stored.",
      LATENCY_BUCKETS_SECONDS,
    ),
    rewinds: metrics.counter(
      "sheaf_sealer_rewinds_total",
      "Rewinds of the chain, by L1 reorgs or a differing safe chain.",
    ),
    skipped: metrics.counter("sheaf_sealer_skipped_total", "Ordered transactions that were skipped, by reason.", [
      "reason",
    ]),
  };
}
