/** Metrics of a gateway. The names of the confirmation delay are a contract (operators' dashboards use them). */
import {
  type CounterHandle,
  type GaugeHandle,
  type HistogramHandle,
  LATENCY_BUCKETS_SECONDS,
  type Metrics,
} from "../base/metrics.ts";

export type GatewayMetrics = {
  readonly accepted: CounterHandle;
  readonly rejected: CounterHandle;
  readonly intake: GaugeHandle;
  readonly batchSize: HistogramHandle;
  readonly recoverySeconds: HistogramHandle;
  readonly confirmationDelayP95: GaugeHandle;
  readonly confirmationDelaySeconds: HistogramHandle;
};

export function gatewayMetrics(metrics: Metrics): GatewayMetrics {
  return {
    accepted: metrics.counter("gateway_transactions_accepted_total", "Transactions the lane accepted."),
    rejected: metrics.counter("gateway_transactions_rejected_total", "Transactions refused, by reason.", ["reason"]),
    intake: metrics.gauge("gateway_intake_transactions", "Transactions between arrival and the lane's answer."),
    batchSize: metrics.histogram(
      "gateway_submit_batch_transactions",
      "Transactions handed to the lane at once.",
      [1, 4, 16, 64, 256, 1_024, 4_096],
    ),
    recoverySeconds: metrics.histogram(
      "gateway_recovery_seconds",
      "Time to decode a batch and recover its senders.",
      LATENCY_BUCKETS_SECONDS,
    ),
    confirmationDelayP95: metrics.gauge(
      "sequencer_confirmation_delay",
      "95th percentile of the last minute: from a transaction's arrival at the gateway to its confirmation, in seconds.",
    ),
    confirmationDelaySeconds: metrics.histogram(
      "sequencer_confirmation_delay_seconds",
      "From a transaction's arrival at the gateway to its confirmation.",
      LATENCY_BUCKETS_SECONDS,
    ),
  };
}
