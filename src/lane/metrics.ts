/** Metrics of the lanes. */
import type { CounterHandle, GaugeHandle, Metrics } from "../base/metrics.ts";

export type LaneMetrics = {
  readonly accepted: CounterHandle;
  readonly rejected: CounterHandle;
  readonly poolTxs: GaugeHandle;
  readonly laneTxs: GaugeHandle;
  readonly poolTxsMax: GaugeHandle;
  readonly poolSizeBytes: GaugeHandle;
};

export function laneMetrics(metrics: Metrics): LaneMetrics {
  return {
    accepted: metrics.counter("sheaf_lane_accepted_total", "Transactions made durable in a lane's log."),
    rejected: metrics.counter("sheaf_lane_rejected_total", "Transactions refused or dropped, by code.", ["code"]),
    poolTxs: metrics.gauge("mempool_pending", "Transactions in the pool, waiting or in flight."),
    laneTxs: metrics.gauge("sheaf_lane_transactions", "Transactions in the pool of a lane.", ["lane"]),
    poolTxsMax: metrics.gauge("mempool_capacity", "Transactions the pool may hold."),
    poolSizeBytes: metrics.gauge("mempool_size_bytes", "Bytes of transactions in the pool."),
  };
}
