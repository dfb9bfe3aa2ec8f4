/**
 * Owns the recording of an epoch by its serial run, transaction by transaction: how long each takes, its record's size,
 * and what it depends on. Times are the least of a few passes, less what a call of its own costs, so that they add up to
 * the time of the whole batch.
 */
import { performance } from "node:perf_hooks";
import { OverlayReader } from "../execution/overlay.ts";
import { type AccountEffect, effectsOf } from "../execution/sharded/effects.ts";
import type { WasmEngine } from "../execution/wasm/wasm.ts";
import { emptyWrites, mergeWrites } from "../protocol/state-writes.ts";
import { dependenciesOf } from "./dependency-graph.ts";
import type { BenchEpoch } from "./epochs.ts";
import { type WorkSpan, workSpan } from "./work-span.ts";

const PASSES = 3;
/** Nothing is free. */
const MICROS_MIN = 0.2;

/** Classes by gas used: as many as the shapes of the load have. */
const CLASSES: readonly (readonly [name: string, gasMax: number])[] = [
  ["ether", 21_000],
  ["to 60,000 gas", 60_000],
  ["to 150,000", 150_000],
  ["to 500,000", 500_000],
  ["above", Number.POSITIVE_INFINITY],
];

export type ClassShare = {
  readonly name: string;
  readonly count: number;
  readonly gas: number;
  readonly micros: number;
};

export type Trace = WorkSpan & {
  /** By transaction. */
  readonly micros: readonly number[];
  readonly gas: number;
  /** Accounts and slots that results depend on or change. */
  readonly accesses: number;
  readonly recordBytes: number;
  readonly rawBytes: number;
  readonly classes: readonly ClassShare[];
};

/** `batchMicros`: what the whole batch takes; undefined: what the transactions alone add up to. */
export function traceOf(engine: WasmEngine, c: BenchEpoch, batchMicros?: number): Trace {
  const micros = new Float64Array(c.txs.length).fill(Number.POSITIVE_INFINITY);
  const gasUsed = new Float64Array(c.txs.length);
  let effects: (readonly AccountEffect[] | undefined)[] = [];
  let recordBytes = 0;
  for (let pass = 0; pass < PASSES; pass++) {
    const written = emptyWrites();
    const reader = new OverlayReader(c.state, [written]);
    let gasLeft = c.gasAvailable;
    effects = [];
    recordBytes = 0;
    for (const [index, tx] of c.txs.entries()) {
      const startMs = performance.now();
      const { records, results } = engine.executePartial(c.env, [tx], reader, gasLeft, { bloom: true });
      micros[index] = Math.min(micros[index] as number, (performance.now() - startMs) * 1_000);
      const [record] = records;
      const [result] = results;
      effects.push(record === undefined ? undefined : effectsOf(record));
      recordBytes += record?.size ?? 0;
      if (result?.included === true) {
        gasUsed[index] = result.gasUsed;
        gasLeft = Math.max(0, gasLeft - result.gasUsed);
        mergeWrites(written, result.writes);
      }
    }
  }
  const overhead = batchMicros === undefined ? 0 : Math.max(0, (sum(micros) - batchMicros) / Math.max(1, c.txs.length));
  const own = Array.from(micros, (x) => Math.max(MICROS_MIN, x - overhead));
  return {
    ...workSpan(own, dependenciesOf(c.env, c.txs, effects)),
    micros: own,
    gas: sum(gasUsed),
    accesses: effects.reduce((n, list) => n + (list ?? []).reduce((m, { slots }) => m + 1 + slots.length, 0), 0),
    recordBytes,
    rawBytes: c.txs.reduce((n, { raw }) => n + raw.length, 0),
    classes: classesOf(gasUsed, own),
  };
}

function classesOf(gasUsed: Float64Array, micros: readonly number[]): ClassShare[] {
  const classes = CLASSES.map(([name]) => ({ name, count: 0, gas: 0, micros: 0 }));
  for (const [index, gas] of gasUsed.entries()) {
    const share = classes[CLASSES.findIndex(([, gasMax]) => gas <= gasMax)];
    if (share === undefined) continue;
    share.count++;
    share.gas += gas;
    share.micros += micros[index] as number;
  }
  return classes.filter(({ count }) => count > 0);
}

const sum = (values: Iterable<number>): number => {
  let total = 0;
  for (const value of values) total += value;
  return total;
};
