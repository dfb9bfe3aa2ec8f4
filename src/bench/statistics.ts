/**
 * Owns the figures of repeated measurements: median with spread, percentiles. No figure is printed without the number
 * of samples behind it.
 */
export type Spread = { readonly median: number; readonly min: number; readonly max: number; readonly samples: number };

/** Median with the least and the greatest; undefined without samples. */
export function spread(samples: readonly number[]): Spread | undefined {
  if (samples.length === 0) return undefined;
  const sorted = samples.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median =
    sorted.length % 2 === 1
      ? (sorted[middle] as number)
      : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
  return { median, min: sorted[0] as number, max: sorted.at(-1) as number, samples: sorted.length };
}

/** The value below which `share` (0–1) of the samples lie, by nearest rank; undefined without samples. */
export function percentile(samples: readonly number[], share: number): number | undefined {
  if (samples.length === 0) return undefined;
  const sorted = samples.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(sorted.length * share) - 1))];
}

export type Latency = { readonly p50Ms: number; readonly p99Ms: number; readonly samples: number };

export function latencyOf(samplesMs: readonly number[]): Latency | undefined {
  const p50Ms = percentile(samplesMs, 0.5);
  const p99Ms = percentile(samplesMs, 0.99);
  return p50Ms === undefined || p99Ms === undefined ? undefined : { p50Ms, p99Ms, samples: samplesMs.length };
}
