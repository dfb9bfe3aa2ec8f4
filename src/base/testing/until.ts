/** Owns waiting in tests. */
import { systemClock } from "../clock.ts";

/** Long, to end a test that is broken and not one on a busy machine. */
const WAIT_MAX_MS = 120_000;
const POLL_MS = 5;

/** Resolves to what `look` finds, when it finds something. @throws {Error} that names `what` when it never does */
export async function until<T>(
  what: string,
  look: () => Promise<T | undefined | false> | T | undefined | false,
): Promise<T> {
  const endMs = systemClock.nowMs() + WAIT_MAX_MS;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    if (systemClock.nowMs() > endMs) throw new Error(`waited ${WAIT_MAX_MS} ms for: ${what}`);
    await systemClock.sleep(POLL_MS);
  }
}
