/** Metrics of scheduled snapshots. */
import { type CounterHandle, type GaugeHandle, type HistogramHandle, type Metrics } from "../base/metrics.ts";

export type SnapshotMetrics = {
  readonly takenTimestamp: GaugeHandle;
  readonly takenBlock: GaugeHandle;
  readonly seconds: HistogramHandle;
  readonly writtenBytes: CounterHandle;
  readonly failures: CounterHandle;
};

export function snapshotMetrics(metrics: Metrics): SnapshotMetrics {
  return {
    takenTimestamp: metrics.gauge("sheaf_snapshot_timestamp_seconds", "When the newest snapshot was taken."),
    takenBlock: metrics.gauge("sheaf_snapshot_block_number", "Sealed block of the newest snapshot."),
    seconds: metrics.histogram("sheaf_snapshot_seconds", "Time to take a snapshot.", [1, 5, 20, 60, 300, 1_200]),
    writtenBytes: metrics.counter("sheaf_snapshot_written_bytes_total", "Bytes of new chunks, compressed."),
    failures: metrics.counter("sheaf_snapshot_failures_total", "Snapshots that failed."),
  };
}
