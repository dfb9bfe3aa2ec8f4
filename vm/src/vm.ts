/**
 * Owns the exports of the VM. The host writes the block environment and the inputs, then init, next as often as there
 * are inputs (or batch), finish. Between two exported calls memory and globals are the whole state of the machine.
 */
import { returnSize } from "./frame";
import { ENV, IN, OUT, RETBUF } from "./layout";
import { Skip } from "./skip";
import { beginBatch, executeNext, lastReason, netEndAt, outputEnd, resumePaused, writeNet } from "./transaction";

/** Forgets the previous batch. */
export function init(): void {
  beginBatch();
}

/**
 * Runs the next input; its status (0 failed, 1 succeeded, 2 skipped, 3 a read is missing: the input stays next, 4 a
 * clocked call is paused: `resume`).
 */
export function next(): u32 {
  return executeNext();
}

/** Goes on with a paused call, once it has ticks again; its status as from `next`. */
export function resume(): u32 {
  return resumePaused();
}

/** Runs up to `count` inputs and returns how many were done; stops at a missing read or when a region is full. */
export function batch(count: u32): u32 {
  for (let i: u32 = 0; i < count; i++) {
    const status = executeNext();
    if (status == 3 || (status == 2 && lastReason() == Skip.RESOURCE)) return i;
  }
  return count;
}

/** Writes the net effect of what was done; where it starts, or 0 when it does not fit. */
export function net(): u32 {
  return <u32>writeNet();
}

/** End of the output, which starts at `outputStart`. */
export function finish(): u32 {
  return <u32>outputEnd();
}

/** Where the net effect ends, after `net`. */
export function netEnd(): u32 {
  return <u32>netEndAt();
}

export function environmentAt(): u32 {
  return <u32>ENV;
}
export function inputAt(): u32 {
  return <u32>IN;
}
export function outputAt(): u32 {
  return <u32>OUT;
}
/** For tracers: where return data lies and how much of it there is. */
export function returnDataAt(): u32 {
  return <u32>RETBUF;
}
export function returnDataSize(): u32 {
  return returnSize;
}
