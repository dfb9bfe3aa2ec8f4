/** Owns the collection of garbage at a moment of one's choice: before what is measured, so that it is not in it. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { systemClock } from "../base/clock.ts";

/** Sweeping goes on in other threads for a while. */
const SWEEP_MS = 25;

let collect: (() => void) | undefined;

export async function collectGarbage(): Promise<void> {
  if (collect === undefined) {
    setFlagsFromString("--expose-gc");
    collect = runInNewContext("gc") as () => void;
  }
  collect();
  await systemClock.sleep(SWEEP_MS);
}
