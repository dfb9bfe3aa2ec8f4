/**
 * Owns the life of long-running parts. A service is created open and reachable; `run` returns only after its signal
 * aborts and throws on a fault it cannot retry; disposal releases what it holds. `runAll` ties services together:
 * the first failure (or early return, which is a failure) aborts the rest, waits for all and rethrows.
 */
import { abortWith } from "./signal.ts";

export type Service = {
  readonly name: string;
  run(signal: AbortSignal): Promise<void>;
  /** Undefined when ready; else what it is waiting for (shown by /readyz and `sheaf status`). */
  notReady?(): string | undefined;
};

export async function runAll(signal: AbortSignal, services: readonly Service[]): Promise<void> {
  const stop = new AbortController();
  const untie = abortWith(stop, signal);
  let failure: { error: unknown } | undefined;
  await Promise.all(
    services.map(async (service) => {
      try {
        await service.run(stop.signal);
        if (!stop.signal.aborted) throw new Error(`service ${service.name} ended before it was asked to stop`);
      } catch (error) {
        failure ??= { error };
        stop.abort();
      }
    }),
  );
  untie();
  if (failure !== undefined) throw failure.error;
}

/** Closes what was opened, in reverse order; every closer runs even when one fails, the first error is rethrown. */
export class CloseStack {
  readonly #closers: { name: string; close: () => Promise<void> | void }[] = [];

  add(name: string, close: () => Promise<void> | void): void {
    this.#closers.push({ name, close });
  }

  async close(): Promise<void> {
    let failure: { error: unknown } | undefined;
    for (let entry = this.#closers.pop(); entry !== undefined; entry = this.#closers.pop()) {
      try {
        await entry.close();
      } catch (error) {
        failure ??= { error: new Error(`closing ${entry.name} failed`, { cause: error }) };
      }
    }
    if (failure !== undefined) throw failure.error;
  }
}
