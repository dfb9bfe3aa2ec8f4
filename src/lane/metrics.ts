/** Metrics of a lane. */
import type { CounterHandle, GaugeHandle, Metrics } from "../base/metrics.ts";

export type LaneMetrics = {
  readonly accepted: CounterHandle;
  readonly rejected: CounterHandle;
  readonly poolTxs: GaugeHandle;
  readonly poolTxsMax: GaugeHandle;
  readonly poolSizeBytes: GaugeHandle;
};

export function laneMetrics(metrics: Metrics): LaneMetrics {
  return {
    accepted: metrics.counter("sheaf_lane_accepted_total", "Transactions made durable in the lane log."),
    rejected: metrics.counter("sheaf_lane_rejected_total", "Transactions refused or dropped, by code.", ["code"]),
    poolTxs: metrics.gauge("mempool_pending", "Transactions in the pool, waiting or in flight."),
    poolTxsMax: metrics.gauge("mempool_capacity", "Transactions the pool may hold."),
    poolSizeBytes: metrics.gauge("mempool_size_bytes", "Bytes of transactions in the pool."),
  };
}
