/**
 * Owns finding endpoints that are on a fork of their own while the others agree and nobody asks them: now and then every
 * endpoint is asked for the hash of a block that a quorum has agreed on, a little below the head, where forks are over.
 * One that has another hash diverges: it is told, counted, and asked for nothing that others can answer, until it has
 * the agreed one again.
 * On failure: an endpoint that does not answer is left as it was; its breaker is another matter.
 */
import { toHexKey } from "../base/bytes.ts";
import type { Clock } from "../base/clock.ts";
import type { L1BlockInfo } from "../protocol/system-config.ts";
import type { Endpoint } from "./endpoint.ts";

const AUDIT_EVERY_MS = 5_000;
/** Endpoints may differ for a moment at the tip. */
const BELOW_HEAD_BLOCKS = 2;

type Audited = {
  readonly endpoint: Endpoint;
  readonly reader: { block(number: number): Promise<L1BlockInfo | undefined> };
};

export class ViewAudit {
  readonly #witnesses: readonly Audited[];
  /** The block of a number that a quorum agrees on. @throws {L1Error} */
  readonly #agreed: (number: number) => Promise<L1BlockInfo | undefined>;
  readonly #clock: Clock;
  #auditedMs: number;
  #running: Promise<void> | undefined;

  constructor(
    witnesses: readonly Audited[],
    agreed: (number: number) => Promise<L1BlockInfo | undefined>,
    clock: Clock,
  ) {
    this.#witnesses = witnesses;
    this.#agreed = agreed;
    this.#clock = clock;
    this.#auditedMs = clock.nowMs();
  }

  /** Begins an audit when one is due. Never waits for it. */
  maybe(headNumber: number): void {
    const nowMs = this.#clock.nowMs();
    if (this.#witnesses.length === 1 || this.#running !== undefined || nowMs - this.#auditedMs < AUDIT_EVERY_MS) return;
    this.#auditedMs = nowMs;
    this.#running = Promise.all(this.#witnesses.map((witness) => this.#audit(witness, headNumber)))
      .then(() => undefined)
      .finally(() => {
        this.#running = undefined;
      });
  }

  async #audit({ endpoint, reader }: Audited, headNumber: number): Promise<void> {
    if (endpoint.resting) return;
    // One that lags is held to what it has.
    const reached = endpoint.headNumber < 0 ? headNumber : Math.min(headNumber, endpoint.headNumber);
    const number = Math.max(0, reached - BELOW_HEAD_BLOCKS);
    try {
      const [own, agreed] = await Promise.all([reader.block(number), this.#agreed(number)]);
      if (own === undefined || agreed === undefined) return;
      if (toHexKey(own.hash) === toHexKey(agreed.hash)) endpoint.agrees();
      else endpoint.diverged(number);
    } catch {
      // Faults are blamed where they happen; without a quorum there is nothing to hold it to.
    }
  }
}
