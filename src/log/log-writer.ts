/**
 * Owns the writing end of a log for its one writer of a term: payloads given while an append is in flight go out
 * together in the next one, in the order given. The first failure is final: every later append fails with it, because
 * what the log holds is then unknown and only a restart (which reads it) may go on.
 */
import type { AppendLog } from "./log.ts";

type Waiting = { payload: Uint8Array; resolve: (seq: number) => void; reject: (error: unknown) => void };

export class LogWriter {
  readonly #log: AppendLog;
  readonly #term: number;
  #waiting: Waiting[] = [];
  #busy = false;
  #newest: Promise<unknown> = Promise.resolve();
  #failure: { error: unknown } | undefined;

  constructor(log: AppendLog, term: number) {
    this.#log = log;
    this.#term = term;
  }

  /** Resolves to the record's sequence number when it is durable. */
  append(payload: Uint8Array): Promise<number> {
    const appended = new Promise<number>((resolve, reject) => {
      if (this.#failure !== undefined) return reject(this.#failure.error);
      this.#waiting.push({ payload, resolve, reject });
      if (!this.#busy) void this.#drain();
    });
    this.#newest = appended;
    return appended;
  }

  /** Resolves when everything given so far is durable. */
  async flushed(): Promise<void> {
    await this.#newest;
  }

  async #drain(): Promise<void> {
    this.#busy = true;
    while (this.#waiting.length > 0) {
      const batch = this.#waiting;
      this.#waiting = [];
      try {
        const first = this.#log.tip.seq + 1;
        await this.#log.append({
          expectedSeq: first - 1,
          term: this.#term,
          payloads: batch.map((w) => w.payload),
        });
        for (const [i, w] of batch.entries()) w.resolve(first + i);
      } catch (error) {
        this.#failure = { error };
        for (const w of [...batch, ...this.#waiting]) w.reject(error);
        this.#waiting = [];
      }
    }
    this.#busy = false;
  }
}
