/** Owns waiting for the end of a log to move: who waits is told when it is beyond a record, or when they give up. */
import type { LogTip } from "./log.ts";

export class TipWatch {
  readonly #waiting = new Map<() => void, number>();

  get idle(): boolean {
    return this.#waiting.size === 0;
  }

  moved(tip: LogTip): void {
    for (const [done, seq] of this.#waiting) if (tip.seq > seq) done();
  }

  /** Resolves when the tip, now `tip`, is beyond `seq` or `signal` aborts. */
  beyond(tip: LogTip, seq: number, signal: AbortSignal): Promise<void> {
    if (tip.seq > seq || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        this.#waiting.delete(done);
        signal.removeEventListener("abort", done);
        resolve();
      };
      this.#waiting.set(done, seq);
      signal.addEventListener("abort", done, { once: true });
    });
  }
}
