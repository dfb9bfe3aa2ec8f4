/** Owns the proposer's metrics. */
import type { CounterHandle, GaugeHandle, Metrics } from "../base/metrics.ts";

export type ProposerMetrics = {
  readonly outputs: CounterHandle;
  readonly latestBlock: GaugeHandle;
  readonly halted: GaugeHandle;
};

export function proposerMetrics(metrics: Metrics): ProposerMetrics {
  const outputs = metrics.counter("sheaf_proposer_outputs_total", "Output proposals that ended, by result.", [
    "result",
  ]);
  outputs.inc(0, { result: "success" });
  outputs.inc(0, { result: "failure" });
  return {
    outputs,
    latestBlock: metrics.gauge("sheaf_proposer_latest_block", "Newest block with an output root on L1."),
    halted: metrics.gauge("sheaf_proposer_halted", "1 while no outputs are proposed for a stated reason."),
  };
}
