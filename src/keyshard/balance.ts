/**
 * Owns the rule by which bytes move between key shards: off shards that are to go, and from the busiest to the idlest
 * while one has clearly more to do than its share. Pure. One byte that alone is more than a share stays where it is and
 * the others leave it.
 */
import { assert } from "../base/assert.ts";

/** The busiest shard may have this much more than its share before anything moves. */
const TOLERANCE = 1.25;
/** Once bytes move, they move until it has at most this much more. */
const AIM = 1.05;
/** Part of the mean load that every byte counts beside its own: without load, bytes are spread evenly. */
const IDLE_SHARE = 0.25;

export type PlannedMove = { readonly byte: number; readonly to: number };

/** Load of the busiest shard relative to an even share; 1 is perfect. `shardOf`: shard of each byte. */
export function imbalance(shardOf: readonly number[], loads: readonly number[], shards: number): number {
  const sums = sumsOf(shardOf, weightsOf(loads), shards);
  const all = sums.reduce((sum, load) => sum + load, 0);
  return (Math.max(...sums) * shards) / all;
}

/** Moves after which the bytes are spread well over shards 0 to `shards` - 1. `loads`: time each byte takes, in any unit. */
export function planMoves(shardOf: readonly number[], loads: readonly number[], shards: number): PlannedMove[] {
  assert(shards >= 1 && shardOf.length === loads.length, "every byte has a shard and a load");
  const weights = weightsOf(loads);
  const at = shardOf.slice();
  const sums = sumsOf(at, weights, shards);
  const move = (byte: number, to: number): void => {
    const weight = weights[byte] as number;
    const from = at[byte] as number;
    if (from < shards) sums[from] = (sums[from] as number) - weight;
    sums[to] = (sums[to] as number) + weight;
    at[byte] = to;
  };
  const homeless = [...at.keys()].filter((byte) => (at[byte] as number) >= shards);
  homeless.sort((a, b) => (weights[b] as number) - (weights[a] as number));
  for (const byte of homeless) move(byte, sums.indexOf(Math.min(...sums)));
  const share = weights.reduce((sum, weight) => sum + weight, 0) / shards;
  if (homeless.length > 0 || Math.max(...sums) > TOLERANCE * share)
    for (let n = 0; n < at.length; n++) {
      const most = Math.max(...sums);
      const least = Math.min(...sums);
      if (most <= AIM * share) break;
      const from = sums.indexOf(most);
      const gap = most - least;
      let best = -1;
      let bestDistance = Number.POSITIVE_INFINITY;
      for (const [byte, shard] of at.entries()) {
        const weight = weights[byte] as number;
        const distance = Math.abs(gap / 2 - weight);
        if (shard !== from || weight >= gap || distance >= bestDistance) continue;
        best = byte;
        bestDistance = distance;
      }
      if (best < 0) break;
      move(best, sums.indexOf(least));
    }
  return [...at.entries()].filter(([byte, to]) => to !== shardOf[byte]).map(([byte, to]) => ({ byte, to }));
}

function weightsOf(loads: readonly number[]): number[] {
  const mean = loads.reduce((sum, load) => sum + load, 0) / loads.length;
  return loads.map((load) => load + (mean === 0 ? 1 : IDLE_SHARE * mean));
}

/** Of shards 0 to `shards` - 1. */
function sumsOf(shardOf: readonly number[], weights: readonly number[], shards: number): number[] {
  const sums = Array.from({ length: shards }, () => 0);
  for (const [byte, shard] of shardOf.entries())
    if (shard < shards) sums[shard] = (sums[shard] as number) + (weights[byte] as number);
  return sums;
}
