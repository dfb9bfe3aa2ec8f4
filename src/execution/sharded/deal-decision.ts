/**
 * Owns the decision whether a batch is dealt out to executors or run in place, and from how much work on a transaction
 * is worth sending. It compares the serial time with what the slower of executors and coordinator would take, with costs
 * measured here. It learns from one batch and probes rarely: looking costs time too, so after a refusal the next batches
 * are not looked at while they cost about the same, and after dealing out was slower than running in place the wait
 * doubles each time.
 */

/** What sending a transaction and taking its result costs the coordinator, until it was measured. */
const DEAL_MICROS = 25;
/** A transaction run in place between dealt ones costs this share of it, for its versions. */
const IN_PLACE_SHARE = 1 / 2;
/** A transaction is worth sending from this many times what sending costs. */
const DEAL_FACTOR = 1.5;
/** Before the first result of an epoch can be there. */
const START_MICROS = 400;
/** Dealing out must be expected to take no more than this share of the serial time. */
const GAIN = 0.9;
/** Every so many batches that were planned, and early once, one runs in place to measure. */
const MEASURE_EVERY = 64;
const MEASURE_FIRST = 4;
/** Batches not looked at after refusals, and after dealing out has cost time. */
const REFUSALS_MAX = 32;
const FAILURES_MIN = 8;
const FAILURES_MAX = 512;
/** Looked at again when the time per transaction changes by this factor. */
const CHANGE = 1.5;
/** With a larger share of unknown functions a refusal is no reason to look away. */
const UNTIMED = 0.1;
/** Weight of the newest measurement. */
const WEIGHT = 0.4;
const LATE_MAX = 4;
const BIAS_MAX = 8;

/** What is expected of a plan, in microseconds and numbers of transactions. */
export type Expectation = {
  readonly serialMicros: number;
  /** Until the last executor is done. */
  readonly executorMicros: number;
  /** Of those that are run in place. */
  readonly inPlaceMicros: number;
  readonly inPlace: number;
  readonly dealt: number;
  /** Of all, those of whose function little is known. */
  readonly untimed: number;
};

export class DealDecision {
  #perTxMicros: number | undefined;
  #dealMicros = DEAL_MICROS;
  /** Time over the expected one, of late. */
  #late = 1;
  /** Serial time over the planned one, of late. */
  #bias = 1;
  #planned = 0;
  #wait = 0;
  #refusals = 1;
  #failures = FAILURES_MIN;
  #refusedMicros = 0;

  /** Time of a transaction from which it is worth sending. */
  get dealMicrosMin(): number {
    return DEAL_FACTOR * this.#dealMicros;
  }

  /** Whether to plan the next batch at all. */
  shouldPlan(): boolean {
    if (this.#perTxMicros === undefined) return false;
    if (this.#wait === 0) return true;
    this.#wait--;
    return false;
  }

  expectedMicros({ executorMicros, inPlaceMicros, inPlace, dealt }: Expectation): number {
    const coordinator = inPlaceMicros * this.#bias + this.#dealMicros * (dealt + inPlace * IN_PLACE_SHARE);
    return START_MICROS + Math.max(executorMicros * this.#bias, coordinator);
  }

  isWorthIt(plan: Expectation): boolean {
    this.#planned++;
    if (this.#planned === MEASURE_FIRST || this.#planned % MEASURE_EVERY === 0) return false;
    const isGain = plan.dealt > 0 && this.expectedMicros(plan) * this.#late < plan.serialMicros * this.#bias * GAIN;
    if (isGain) this.#refusals = 1;
    else if (plan.untimed < UNTIMED * (plan.inPlace + plan.dealt)) {
      this.#wait = Math.max(this.#wait, this.#refusals);
      this.#refusals = Math.min(2 * this.#refusals, REFUSALS_MAX);
      this.#refusedMicros = this.#perTxMicros ?? 0;
    }
    return isGain;
  }

  /** `plan`: what was expected of the batch, when it was planned. */
  ranInPlace(txs: number, micros: number, plan?: Expectation): void {
    if (txs === 0) return;
    if (plan !== undefined && plan.serialMicros > 0 && plan.untimed < UNTIMED * txs)
      this.#bias += (Math.min(BIAS_MAX, micros / plan.serialMicros) - this.#bias) * WEIGHT;
    const perTx = micros / txs;
    this.#perTxMicros =
      this.#perTxMicros === undefined ? perTx : this.#perTxMicros + (perTx - this.#perTxMicros) * WEIGHT;
    this.#late = 1 + (this.#late - 1) * (1 - WEIGHT / 4);
    const change = this.#perTxMicros / this.#refusedMicros;
    if (this.#refusals === 1 || (change < CHANGE && change > 1 / CHANGE)) return;
    // Other work than what was refused.
    this.#refusals = 1;
    this.#wait = Math.min(this.#wait, 1);
  }

  /** `overheadMicros`: what the coordinator spent on it beside running transactions. */
  dealtOut(plan: Expectation, micros: number, overheadMicros: number | undefined): void {
    if (overheadMicros !== undefined) {
      const measured = overheadMicros / Math.max(1, plan.dealt + plan.inPlace * IN_PLACE_SHARE);
      this.#dealMicros += (Math.min(measured, 4 * this.#dealMicros) - this.#dealMicros) * WEIGHT;
    }
    const late = Math.min(LATE_MAX, Math.max(1, micros / this.expectedMicros(plan)));
    this.#late += (late - this.#late) * WEIGHT;
    if (micros <= plan.serialMicros * this.#bias) {
      this.#failures = FAILURES_MIN;
      return;
    }
    this.#wait = this.#failures;
    this.#failures = Math.min(2 * this.#failures, FAILURES_MAX);
  }
}
