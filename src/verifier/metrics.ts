/** Metrics of a verifier: how far derivation is, what it found, and what it waits for. */
import {
  type CounterHandle,
  type GaugeHandle,
  type HistogramHandle,
  LATENCY_BUCKETS_SECONDS,
  type Metrics,
} from "../base/metrics.ts";

export type VerifierMetrics = {
  readonly safeNumber: GaugeHandle;
  readonly safeTimestamp: GaugeHandle;
  readonly finalizedNumber: GaugeHandle;
  readonly l1DerivedNumber: GaugeHandle;
  readonly l1HeadNumber: GaugeHandle;
  readonly derivationIdle: GaugeHandle;
  readonly waitingEntries: GaugeHandle;
  readonly blobMissing: GaugeHandle;
  readonly reorgDepth: GaugeHandle;
  readonly reorgs: CounterHandle;
  readonly segments: CounterHandle;
  readonly invalidSegments: CounterHandle;
  readonly droppedBlocks: CounterHandle;
  readonly forcedBlocks: CounterHandle;
  readonly transactions: CounterHandle;
  readonly skipped: CounterHandle;
  readonly blockSeconds: HistogramHandle;
  readonly replays: CounterHandle;
  readonly diverged: GaugeHandle;
  readonly sealedMismatches: CounterHandle;
  readonly outputsChecked: CounterHandle;
};

export function verifierMetrics(metrics: Metrics): VerifierMetrics {
  return {
    safeNumber: metrics.gauge("sheaf_verifier_safe_number", "Newest block derived from L1."),
    safeTimestamp: metrics.gauge("sheaf_verifier_safe_timestamp_seconds", "Timestamp of the newest derived block."),
    finalizedNumber: metrics.gauge("sheaf_verifier_finalized_number", "Newest block derived from finalized L1 blocks."),
    l1DerivedNumber: metrics.gauge("sheaf_verifier_l1_derived_number", "Newest L1 block that is derived."),
    l1HeadNumber: metrics.gauge("sheaf_verifier_l1_head_number", "Newest L1 block that the verifier has seen."),
    derivationIdle: metrics.gauge("derivation_idle", "1 while everything on L1 is derived."),
    waitingEntries: metrics.gauge("sheaf_verifier_waiting_entries", "Inbox entries posted and not consumed."),
    blobMissing: metrics.gauge(
      "sheaf_verifier_data_missing",
      "1 while derivation stands still because no source serves the bytes of an inbox entry.",
    ),
    reorgDepth: metrics.gauge("l1_reorg_depth", "L1 blocks that the newest L1 reorg took back."),
    reorgs: metrics.counter("sheaf_verifier_l1_reorgs_total", "L1 reorgs that the verifier unwound."),
    segments: metrics.counter("sheaf_verifier_segments_total", "Segments consumed, with or without blocks."),
    invalidSegments: metrics.counter(
      "invalid_batches_total",
      "Segments on L1 that gave no blocks, or not all of theirs, by the rule they break.",
      ["reason"],
    ),
    droppedBlocks: metrics.counter("sheaf_verifier_dropped_blocks_total", "Blocks of segments that broke a rule."),
    forcedBlocks: metrics.counter(
      "sheaf_verifier_forced_blocks_total",
      "Blocks of deposits alone, because the sequencing window ran out.",
    ),
    transactions: metrics.counter("sheaf_verifier_transactions_total", "Transactions executed, deposits included."),
    replays: metrics.counter(
      "sheaf_verifier_replays_total",
      "Blocks replayed with threads at hand, by outcome: parallel, or serial and why.",
      ["outcome"],
    ),
    skipped: metrics.counter("sheaf_verifier_skipped_total", "Posted transactions that are invalid, by reason.", [
      "reason",
    ]),
    blockSeconds: metrics.histogram(
      "sheaf_verifier_block_seconds",
      "Time to execute and store one derived block.",
      LATENCY_BUCKETS_SECONDS,
    ),
    diverged: metrics.gauge(
      "sheaf_verifier_diverged",
      "1 while a posted output or a sealed block contradicts the derived chain.",
    ),
    sealedMismatches: metrics.counter(
      "sheaf_verifier_sealed_mismatches_total",
      "Sealed blocks that L1 does not confirm: made from other inputs, or executed to another result.",
      ["cause"],
    ),
    outputsChecked: metrics.counter(
      "sheaf_verifier_outputs_checked_total",
      "Posted output roots compared, by result.",
      ["result"],
    ),
  };
}
