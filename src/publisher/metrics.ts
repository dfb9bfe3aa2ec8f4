/**
 * Owns the publisher's metrics. `batch_submissions_total` counts settled attempts; the success rate beside it looks back
 * half an hour and has no value (NaN) when there was no attempt, so that an idle chain alarms nobody.
 */
import type { CounterHandle, GaugeHandle, HistogramHandle, Metrics } from "../base/metrics.ts";

export type PublisherMetrics = {
  readonly submissions: CounterHandle;
  readonly successRate: GaugeHandle;
  readonly lastIncludedSeconds: GaugeHandle;
  readonly pendingBlocks: GaugeHandle;
  readonly backlogBytes: GaugeHandle;
  readonly windowUsed: GaugeHandle;
  readonly admissionShare: GaugeHandle;
  readonly oldestUnpostedSeconds: GaugeHandle;
  readonly bytesIn: CounterHandle;
  readonly bytesOut: CounterHandle;
  readonly fillRatio: HistogramHandle;
  readonly halted: GaugeHandle;
  readonly reposts: CounterHandle;
  readonly readBackFailures: CounterHandle;
  readonly fallbackActive: GaugeHandle;
};

export function publisherMetrics(metrics: Metrics): PublisherMetrics {
  const submissions = metrics.counter(
    "batch_submissions_total",
    "Segments whose posting ended, by result: success or failure.",
    ["result"],
  );
  // Both series exist from the start, or a rate over them starts with a gap.
  submissions.inc(0, { result: "success" });
  submissions.inc(0, { result: "failure" });
  const fallbackActive = metrics.gauge(
    "da_fallback_active",
    "1 while segments go elsewhere because the preferred DA cannot be used.",
    ["target"],
  );
  fallbackActive.set(0, { target: "calldata" });
  return {
    submissions,
    fallbackActive,
    successRate: metrics.gauge(
      "batch_submission_success_rate",
      "Share of successful segment posts in the last 30 minutes; NaN without any.",
    ),
    lastIncludedSeconds: metrics.gauge(
      "batch_last_included_timestamp_seconds",
      "Time of the L1 block that holds our newest segment.",
    ),
    pendingBlocks: metrics.gauge("batch_pending_blocks", "Sealed blocks that L1 does not hold yet."),
    backlogBytes: metrics.gauge(
      "batch_backlog_bytes",
      "Bytes of sequenced transactions in sealed blocks that L1 does not hold yet.",
    ),
    windowUsed: metrics.gauge(
      "batch_sequencing_window_used_ratio",
      "Share of the sequencing window that the oldest unposted block has used up; at 1 it is void.",
    ),
    admissionShare: metrics.gauge(
      "batch_admission_share_ratio",
      "Share of new transactions that the backlog leaves to admission.",
    ),
    oldestUnpostedSeconds: metrics.gauge(
      "oldest_unposted_block_age_seconds",
      "Age of the oldest sealed block that L1 does not hold yet; 0 when there is none.",
    ),
    bytesIn: metrics.counter("batch_bytes_in_total", "Bytes of sequenced transactions in posted segments."),
    bytesOut: metrics.counter("batch_bytes_out_total", "Bytes of posted segments, compressed."),
    fillRatio: metrics.histogram(
      "batch_blob_fill_ratio",
      "How much of the blobs paid for a segment fills.",
      [0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1],
    ),
    halted: metrics.gauge("batch_posting_halted", "1 while posting is halted after a revert."),
    reposts: metrics.counter("batch_reposts_total", "Segments posted again because L1 or derivation dropped them."),
    readBackFailures: metrics.counter("batch_read_back_failures_total", "Posted blobs that L1 did not serve back."),
  };
}

const WINDOW_MS = 30 * 60_000;
const OUTCOMES_MAX = 10_000;

/** Share of successes in a sliding half hour. */
export class SuccessRate {
  readonly #outcomes: { atMs: number; success: boolean }[] = [];

  add(success: boolean, nowMs: number): void {
    this.#outcomes.push({ atMs: nowMs, success });
    if (this.#outcomes.length > OUTCOMES_MAX) this.#outcomes.shift();
  }

  /** NaN when nothing was tried. */
  at(nowMs: number): number {
    while ((this.#outcomes[0]?.atMs ?? nowMs) < nowMs - WINDOW_MS) this.#outcomes.shift();
    if (this.#outcomes.length === 0) return Number.NaN;
    return this.#outcomes.filter((o) => o.success).length / this.#outcomes.length;
  }
}
