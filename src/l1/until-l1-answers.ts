/**
 * Owns patience with L1 while a node starts: what it must know before it can run is asked again while L1 does not answer,
 * answers late or is between two forks. A running node does so by itself. When the time is over the start fails with
 * what L1 said last, and whoever supervises the process decides.
 */
import type { Clock } from "../base/clock.ts";
import { CodedError, isRetryable } from "../base/error.ts";
import type { Log } from "../base/log.ts";

const START_MS_MAX = 60_000;
const PAUSE_MS = 500;

/** @throws {L1Error} when L1 does not answer in time; anything else that `ask` throws, at once */
export async function untilL1Answers<T>(ask: () => Promise<T>, p: { log: Log; clock: Clock }): Promise<T> {
  const endMs = p.clock.nowMs() + START_MS_MAX;
  for (;;)
    try {
      return await ask();
    } catch (error) {
      if (!isRetryable(error) || (error as CodedError).name !== "L1Error" || p.clock.nowMs() > endMs) throw error;
      p.log.warn("the start waits for L1", { err: error });
      await p.clock.sleep(PAUSE_MS);
    }
}
