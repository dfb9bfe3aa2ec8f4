/** Owns what is done with abort signals in many places: waiting for one, and passing one on. */

/** Resolves when `signal` aborts, or has. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

/** Aborts `stop` when `signal` aborts, or has. The function it returns unties them: call it where `signal` lives on. */
export function abortWith(stop: AbortController, signal: AbortSignal): () => void {
  const abort = (): void => stop.abort();
  if (signal.aborted) abort();
  else signal.addEventListener("abort", abort, { once: true });
  return () => signal.removeEventListener("abort", abort);
}
