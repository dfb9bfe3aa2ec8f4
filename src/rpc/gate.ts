/**
 * Owns the limit on expensive work: at most `runningMax` at once, at most `waitingMax` in line, first come first
 * served. Beyond that the caller is refused at once: a queue that grows under load helps nobody.
 */
import { RpcError } from "./errors.ts";

export class Gate {
  readonly #runningMax: number;
  readonly #waitingMax: number;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(runningMax: number, waitingMax: number) {
    this.#runningMax = runningMax;
    this.#waitingMax = waitingMax;
  }

  get running(): number {
    return this.#running;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** @throws {RpcError} LIMIT_EXCEEDED when the line is full. Each enter needs one leave. */
  async enter(): Promise<void> {
    if (this.#running < this.#runningMax) {
      this.#running++;
      return;
    }
    if (this.#waiting.length >= this.#waitingMax)
      throw new RpcError("LIMIT_EXCEEDED", `too many calls in progress (${this.#waitingMax} waiting)`);
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  leave(): void {
    const next = this.#waiting.shift();
    // The place passes on to the next in line, so the count stays.
    if (next === undefined) this.#running--;
    else next();
  }
}
