/** Metrics of sharded execution. */
import type { CounterHandle, GaugeHandle, Metrics } from "../../base/metrics.ts";

export type ShardedMetrics = {
  readonly epochs: CounterHandle;
  readonly dealt: CounterHandle;
  readonly conflicts: CounterHandle;
  readonly exactRuns: CounterHandle;
  readonly stolen: CounterHandle;
  readonly executorBytes: CounterHandle;
  readonly slowness: GaugeHandle;
  readonly ignored: CounterHandle;
  readonly stalls: CounterHandle;
  readonly lost: CounterHandle;
  readonly executorSeconds: CounterHandle;
  readonly shardsLost: CounterHandle;
  readonly validationSeconds: CounterHandle;
  readonly accesses: CounterHandle;
  readonly shardMessages: CounterHandle;
  readonly shardBytes: CounterHandle;
  readonly affinity: GaugeHandle;
  readonly imbalance: GaugeHandle;
};

export function shardedMetrics(metrics: Metrics): ShardedMetrics {
  return {
    epochs: metrics.counter(
      "sheaf_sharded_epochs_total",
      "Batches executed, by path: dealt out to executors, or in place because that costs less.",
      ["path"],
    ),
    dealt: metrics.counter("sheaf_sharded_transactions_total", "Transactions of epochs that were dealt out."),
    conflicts: metrics.counter(
      "sheaf_sharded_conflicts_total",
      "Results that did not hold when the watermark reached them, by what had moved.",
      ["kind"],
    ),
    exactRuns: metrics.counter(
      "sheaf_sharded_exact_runs_total",
      "Transactions run at the watermark, by reason: their result did not hold, they follow such a one, they were not dealt out, or nobody had a result.",
      ["reason"],
    ),
    stolen: metrics.counter(
      "sheaf_sharded_stolen_total",
      "Transactions that another executor took because it had nothing to do.",
    ),
    executorBytes: metrics.counter(
      "sheaf_sharded_executor_bytes_total",
      "Bytes between the coordinator and executors.",
      ["direction"],
    ),
    slowness: metrics.gauge(
      "sheaf_sharded_executor_slowness_ratio",
      "Time an executor takes for its work over what the serial engine would, as measured lately.",
      ["executor"],
    ),
    ignored: metrics.counter("sheaf_sharded_ignored_results_total", "Results that came too late or twice."),
    stalls: metrics.counter(
      "sheaf_sharded_stalls_total",
      "Times an executor was passed over because it held the watermark up.",
    ),
    lost: metrics.counter("sheaf_sharded_executors_lost_total", "Executors that ended and were replaced."),
    executorSeconds: metrics.counter("sheaf_sharded_executor_seconds_total", "Time executors spent running."),
    shardsLost: metrics.counter(
      "sheaf_sharded_shards_lost_total",
      "Key shards elsewhere that ended, fell silent or lost messages, and were replaced.",
    ),
    validationSeconds: metrics.counter(
      "sheaf_sharded_validation_seconds_total",
      "Time key shards spent taking and validating results, wherever they are.",
    ),
    accesses: metrics.counter(
      "sheaf_sharded_validated_accesses_total",
      "Accounts and slots of the results key shards took.",
    ),
    shardMessages: metrics.counter(
      "sheaf_sharded_shard_messages_total",
      "Messages between the coordinator and key shards elsewhere.",
      ["direction"],
    ),
    shardBytes: metrics.counter(
      "sheaf_sharded_shard_bytes_total",
      "Bytes between the coordinator and key shards elsewhere.",
      ["direction"],
    ),
    affinity: metrics.gauge(
      "sheaf_sharded_affinity_ratio",
      "Share of the dependencies of the last plan whose two ends run on one executor.",
    ),
    imbalance: metrics.gauge(
      "sheaf_sharded_imbalance_ratio",
      "How far the time of the executor that ran longest in the last epoch is above the mean.",
    ),
  };
}
