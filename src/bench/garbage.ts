/**
 * Owns the collection of young garbage at a moment of one's choice: before what is measured, so that it is not in it. Not
 * of all garbage: that takes compiled code with it, and what is measured next runs several times slower.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { systemClock } from "../base/clock.ts";

/** Sweeping goes on in other threads for a while. */
const SWEEP_MS = 25;

type Collect = (options: { readonly type: "minor" }) => void;

let collect: Collect | undefined;

export async function collectGarbage(): Promise<void> {
  if (collect === undefined) {
    setFlagsFromString("--expose-gc");
    collect = runInNewContext("gc") as Collect;
  }
  collect({ type: "minor" });
  await systemClock.sleep(SWEEP_MS);
}
