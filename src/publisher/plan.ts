/**
 * Owns what to post next: a pure function of what derivation has consumed and of the segments that are on L1 or on their
 * way. It foresees derivation by its own rules (decision 0002): entries are taken in index order, one that does not start
 * at safe + 1 gives nothing. Contents are not looked at; when derivation dropped one for what is in it, its next snapshot
 * says so and the plan follows from there.
 */

/** A segment as its heading claims. */
export type HeldSegment = { readonly index: number; readonly firstBlock: number; readonly lastBlock: number };

export type PlanBasis = {
  /** Lowest index that derivation has not consumed. */
  readonly nextIndex: number;
  /** Newest safe block; while an entry is half applied, a block inside it. */
  readonly safeNumber: number;
};

export type Plan = {
  /** Indexes below others that nobody holds: nothing above them is derived until they are posted. */
  readonly gaps: readonly HeldSegment[];
  /** Where the next segment goes on. */
  readonly tail: { readonly index: number; readonly firstBlock: number };
};

/** @param held segments by index, on L1 or in flight; those below the basis are ignored */
export function planSegments(basis: PlanBasis, held: ReadonlyMap<number, HeldSegment>): Plan {
  const gaps: HeldSegment[] = [];
  const indexes = [...held.keys()].filter((i) => i >= basis.nextIndex).sort((a, b) => a - b);
  let expected = basis.safeNumber + 1;
  let next = basis.nextIndex;
  for (const index of indexes) {
    const segment = held.get(index) as HeldSegment;
    if (index > next) {
      const filled = fillGap(next, index - next, expected, segment.firstBlock);
      gaps.push(...filled);
      // What fills the gap is valid where it is contiguous.
      for (const f of filled) if (f.firstBlock === expected) expected = f.lastBlock + 1;
    }
    const inProgress = index === basis.nextIndex && segment.firstBlock <= expected && segment.lastBlock >= expected - 1;
    if (inProgress || segment.firstBlock === expected) expected = Math.max(expected, segment.lastBlock + 1);
    next = index + 1;
  }
  return { gaps, tail: { index: next, firstBlock: expected } };
}

/**
 * Segments for `count` free indexes from `index` on, below a segment that starts at `before`: the blocks between, cut
 * into equal parts. Indexes for which no block is left repeat the last block, which derivation drops: an index must be
 * used, or everything above it waits forever.
 */
function fillGap(index: number, count: number, expected: number, before: number): HeldSegment[] {
  const blocks = Math.max(0, before - expected);
  const parts = Math.min(count, blocks);
  const out: HeldSegment[] = [];
  let first = expected;
  for (let i = 0; i < count; i++) {
    if (i >= parts) {
      const repeated = Math.max(1, first - 1);
      out.push({ index: index + i, firstBlock: repeated, lastBlock: repeated });
      continue;
    }
    const last = i === parts - 1 ? before - 1 : first + Math.floor(blocks / parts) - 1;
    out.push({ index: index + i, firstBlock: first, lastBlock: last });
    first = last + 1;
  }
  return out;
}
