/** Metrics of the shadow. `sheaf_shadow_difference` above zero is an alert: somebody must look. */
import {
  type CounterHandle,
  type GaugeHandle,
  type HistogramHandle,
  LATENCY_BUCKETS_SECONDS,
  type Metrics,
} from "../base/metrics.ts";

export type ShadowMetrics = {
  readonly blocks: CounterHandle;
  readonly difference: GaugeHandle;
  readonly lagGas: GaugeHandle;
  readonly verdictSeconds: HistogramHandle;
  readonly readsAsked: CounterHandle;
  readonly restarts: CounterHandle;
};

export function shadowMetrics(metrics: Metrics): ShadowMetrics {
  return {
    blocks: metrics.counter(
      "sheaf_shadow_blocks_total",
      "Blocks by what became of their check: agreed, differed, skipped (not checked), failed (the check itself).",
      ["result"],
    ),
    difference: metrics.gauge(
      "sheaf_shadow_difference",
      "Number of the first block on which the engines differed since the start; 0 while there is none. Alert on it.",
    ),
    lagGas: metrics.gauge("sheaf_shadow_lag_gas", "Gas executed by the sequencer and not yet by the shadow."),
    verdictSeconds: metrics.histogram(
      "sheaf_shadow_verdict_seconds",
      "Time from the end of a block to the shadow's verdict on it.",
      LATENCY_BUCKETS_SECONDS,
    ),
    readsAsked: metrics.counter(
      "sheaf_shadow_reads_asked_total",
      "State the shadow had to ask for because the sequencer's engine had not read it (code: once each).",
    ),
    restarts: metrics.counter("sheaf_shadow_restarts_total", "Shadow threads that died and were started again."),
  };
}
