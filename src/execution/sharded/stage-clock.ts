/**
 * Owns the account of where an epoch's time goes on the thread that coordinates it. Exclusive: entering a stage leaves
 * the one before, so the stages add up to the time between the first entry and the last. Costs nothing where nobody
 * measures: whoever is measured holds `StageClock | undefined`.
 */

/**
 * plan: reading hints and dealing them out to executors in thought. deal: encoding and sending batches. answer: state an
 * executor asked for. take: decoding results and installing them. validate: holding them against the versions below.
 * exact: runs at the watermark. settle: results, net effect, telling executors. idle: none of these.
 */
export const STAGES = ["idle", "plan", "deal", "answer", "take", "validate", "exact", "settle"] as const;
export type Stage = (typeof STAGES)[number];

export class StageClock {
  readonly #nowMicros: () => number;
  readonly #micros = new Map<Stage, number>();
  #stage: Stage = "idle";
  #sinceMicros: number;
  #busyMicros = 0;

  /** `nowMicros`: any clock that does not go back, of wall or of processor time. */
  constructor(nowMicros: () => number) {
    this.#nowMicros = nowMicros;
    this.#sinceMicros = nowMicros();
  }

  /** The stage that was left, to be entered again after a nested one. */
  enter(stage: Stage): Stage {
    const left = this.#stage;
    if (left === stage) return left;
    this.#account();
    this.#stage = stage;
    return left;
  }

  /** Microseconds in any stage but idle, since the clock was made. */
  get busyMicros(): number {
    if (this.#stage !== "idle") this.#account();
    return this.#busyMicros;
  }

  /** Microseconds by stage since the last call, which starts anew. */
  take(): Readonly<Record<Stage, number>> {
    this.#account();
    const taken = Object.fromEntries(STAGES.map((name) => [name, this.#micros.get(name) ?? 0])) as Record<
      Stage,
      number
    >;
    this.#micros.clear();
    return taken;
  }

  #account(): void {
    const now = this.#nowMicros();
    const spent = now - this.#sinceMicros;
    this.#micros.set(this.#stage, (this.#micros.get(this.#stage) ?? 0) + spent);
    if (this.#stage !== "idle") this.#busyMicros += spent;
    this.#sinceMicros = now;
  }
}
