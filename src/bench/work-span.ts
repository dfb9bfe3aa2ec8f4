/**
 * Owns the bounds that no number of executors gets past: work (T1, everything in turn), span (T∞, the longest chain of
 * dependencies), the longest transaction and the largest component.
 */
import type { Dependencies, DependencyGraph } from "./dependency-graph.ts";

export type WorkSpan = {
  readonly workMicros: number;
  readonly spanMicros: number;
  /** Span if balances were read and written instead of added to. */
  readonly noDeltasSpanMicros: number;
  readonly longestMicros: number;
  readonly largestComponentMicros: number;
};

export function workSpan(micros: readonly number[], { deltas, noDeltas, components }: Dependencies): WorkSpan {
  const pieces = new Map<number, number>();
  for (const [index, component] of components.entries())
    pieces.set(component, (pieces.get(component) ?? 0) + (micros[index] as number));
  return {
    workMicros: micros.reduce((sum, x) => sum + x, 0),
    spanMicros: longestChain(micros, deltas),
    noDeltasSpanMicros: longestChain(micros, noDeltas),
    longestMicros: micros.reduce((most, x) => Math.max(most, x), 0),
    largestComponentMicros: [...pieces.values()].reduce((most, x) => Math.max(most, x), 0),
  };
}

function longestChain(micros: readonly number[], graph: DependencyGraph): number {
  const ends: number[] = [];
  for (const [index, after] of graph.entries()) {
    let startMicros = 0;
    for (const other of after) startMicros = Math.max(startMicros, ends[other] as number);
    ends.push(startMicros + (micros[index] as number));
  }
  return ends.reduce((most, end) => Math.max(most, end), 0);
}

/** The most that `executors` can bring: the work by the span, and never more than there are. */
export function ceilingAt({ workMicros, spanMicros }: WorkSpan, executors: number): number {
  return Math.min(executors, workMicros / Math.max(spanMicros, 1e-9));
}
