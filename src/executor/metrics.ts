/** Metrics of an executor. */
import { type CounterHandle, type HistogramHandle, LATENCY_BUCKETS_SECONDS, type Metrics } from "../base/metrics.ts";

export type ExecutorMetrics = { readonly batchSeconds: HistogramHandle; readonly gas: CounterHandle };

export function executorMetrics(metrics: Metrics): ExecutorMetrics {
  return {
    batchSeconds: metrics.histogram(
      "sheaf_executor_batch_seconds",
      "Time to execute the transactions of one cut.",
      LATENCY_BUCKETS_SECONDS,
    ),
    gas: metrics.counter("sheaf_executor_gas_total", "Gas executed."),
  };
}
