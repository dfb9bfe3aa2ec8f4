/**
 * Owns that one of several processes does a role's work: whoever holds the lease in a log of the role's own
 * (src/log/lease.ts) opens the role's parts, and ends them with the lease. The others stand by, with their links and
 * views warm, and take the place of one that fell silent or is not ready for too long.
 * The log decides who holds the lease. One that lost it while it stood still learns that from its next append, a third
 * of a lease later at most; what it may send to L1 until then stands at the nonces of accounts that all processes of
 * the role share, so of two contents for one place L1 takes one.
 * On failure: a log that fails ends the process; a lease that is lost ends the work, and it stands by again.
 */
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import { runAll, type Service } from "../base/service.ts";
import { abortWith } from "../base/signal.ts";
import { isLeadLost, type Leadership, takeLead } from "../log/lease.ts";
import type { AppendLog } from "../log/log.ts";
import type { RoleLeaseMetrics } from "./metrics.ts";

export type LeasedRoleOptions = {
  /** Of the role, as in /readyz. */
  readonly name: string;
  readonly lease: AppendLog;
  /** This process, for people. */
  readonly holder: string;
  readonly leaseMs: number;
  /** One that works and is not ready for so long gives the lease up. */
  readonly patienceMs: number;
  /** Why this process could not do the work now. */
  readonly notReady: () => string | undefined;
  /** Opens the parts of the role, anew for each time it works. */
  readonly open: (term: number) => readonly Service[];
  readonly log: Log;
  readonly clock: Clock;
  readonly metrics: RoleLeaseMetrics;
};

/** Records of the lease that are kept: nobody looks behind the newest. */
const RECORDS_KEPT = 64;
const LOOK_MS = 250;

export class LeasedRole implements Service {
  readonly name: string;
  readonly #o: LeasedRoleOptions;
  #working: readonly Service[] | undefined;

  constructor(options: LeasedRoleOptions) {
    this.name = options.name;
    this.#o = options;
    options.metrics.works.set(0);
  }

  /** True while this process does the work. */
  get works(): boolean {
    return this.#working !== undefined;
  }

  notReady(): string | undefined {
    const standing = this.#o.lease.notReady() ?? this.#o.notReady();
    if (standing !== undefined) return standing;
    for (const service of this.#working ?? []) {
      const reason = service.notReady?.();
      if (reason !== undefined) return `${service.name}: ${reason}`;
    }
    return undefined;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { lease, holder, leaseMs, clock, notReady } = this.#o;
    while (!signal.aborted) {
      const leadership = await takeLead(
        lease,
        { holder, leaseMs, clock, mayStand: () => notReady() === undefined },
        signal,
      );
      if (leadership === undefined) return;
      await this.#work(leadership, signal);
    }
  }

  async #work(leadership: Leadership, signal: AbortSignal): Promise<void> {
    const { log, metrics, open } = this.#o;
    const { term } = leadership;
    const stop = new AbortController();
    const untie = abortWith(stop, signal);
    log.info("this process works", { role: this.name, term });
    const working = open(term);
    this.#working = working;
    metrics.works.set(1);
    metrics.changes.inc(1, { event: "won" });
    try {
      await runAll(stop.signal, [
        { name: "lease", run: (s) => leadership.run(s) },
        ...working,
        { name: "watch", run: (s) => this.#watch(stop, s) },
      ]);
      this.#working = undefined;
      await leadership.resign(); // the work has ended: the next one may begin at once
    } catch (error) {
      if (!isLeadLost(error)) throw error;
      log.warn("the lease is lost", { role: this.name, term, err: error });
      metrics.changes.inc(1, { event: "lost" });
    } finally {
      untie();
      this.#working = undefined;
      metrics.works.set(0);
    }
  }

  /** Keeps the log short, and gives the lease up when what the work needs has been away for too long. */
  async #watch(stop: AbortController, signal: AbortSignal): Promise<void> {
    const { clock, lease, notReady, patienceMs, log, metrics } = this.#o;
    let readyMs = clock.nowMs();
    while (!signal.aborted) {
      await clock.sleep(LOOK_MS, signal);
      if (lease.tip.seq - lease.oldestSeq > 2 * RECORDS_KEPT) await lease.trim(lease.tip.seq - RECORDS_KEPT);
      const reason = notReady();
      if (reason === undefined) readyMs = clock.nowMs();
      if (clock.nowMs() - readyMs < patienceMs || signal.aborted) continue;
      log.error("the lease is given up: another process may fare better", { role: this.name, reason });
      metrics.changes.inc(1, { event: "stuck" });
      stop.abort();
    }
  }
}
