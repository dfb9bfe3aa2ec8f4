/** Metrics of following and leading, and of the leases of other roles. */
import type { CounterHandle, GaugeHandle, Metrics } from "../base/metrics.ts";

export type ReplicaMetrics = {
  readonly behindRecords: GaugeHandle;
  readonly term: GaugeHandle;
  readonly leaderChanges: CounterHandle;
};

export function replicaMetrics(metrics: Metrics): ReplicaMetrics {
  return {
    behindRecords: metrics.gauge("sheaf_replica_behind_records", "Order records known and not replayed."),
    term: metrics.gauge("sheaf_sequencer_term", "Term of the leadership that this node holds; 0 while it follows."),
    leaderChanges: metrics.counter(
      "sheaf_sequencer_leaderships_total",
      "Leaderships of this node that began (event won), were lost (lost), given up for want of progress (stuck) or handed over (handed-over).",
      ["event"],
    ),
  };
}

/** Of a role that one of several processes does. */
export type RoleLeaseMetrics = { readonly works: GaugeHandle; readonly changes: CounterHandle };

export function roleLeaseMetrics(metrics: Metrics): RoleLeaseMetrics {
  return {
    works: metrics.gauge("sheaf_role_works", "1 while this process does the work of the role, 0 while it stands by."),
    changes: metrics.counter(
      "sheaf_role_leases_total",
      "Leases of the role that this process won (event won), lost (lost) or gave up because it was not ready (stuck).",
      ["event"],
    ),
  };
}
