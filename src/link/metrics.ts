/** Metrics of links between processes. */
import type { CounterHandle, GaugeHandle, Metrics } from "../base/metrics.ts";

export type LinkMetrics = {
  readonly open: GaugeHandle;
  readonly refused: CounterHandle;
  readonly lost: CounterHandle;
};

export function linkMetrics(metrics: Metrics): LinkMetrics {
  return {
    open: metrics.gauge("sheaf_link_open", "Links that others have to this process, by service.", ["service"]),
    refused: metrics.counter("sheaf_link_refused_total", "Callers that were refused, by the code of the reason.", [
      "reason",
    ]),
    lost: metrics.counter("sheaf_link_lost_total", "Links that this process made and lost, or could not make.", [
      "service",
    ]),
  };
}
