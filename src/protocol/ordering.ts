/**
 * Owns the total order of a cut. A cut names a run of transactions of each lane; the order is a pure function of these
 * runs, the policy that the cut names and the base fee of its block, so whoever holds the logs finds the same order.
 * Invariant: the order keeps that of each lane, so nonces of a sender stay in order; equal input gives equal output.
 * Deposits and forced transactions are before it: they open the block and are no part of any lane.
 * @see docs/decisions/0009-lanes-and-ordering.md
 */
import { codecError } from "../base/binary.ts";
import type { OrderedTx } from "./cut.ts";
import { decodeSignedTransaction } from "./transaction-codec.ts";

export const ORDERINGS = ["priority-fee", "first-come"] as const;
export type OrderingName = (typeof ORDERINGS)[number];

/** When and where a transaction was accepted first. It keeps this for good, wherever it waits. */
export type Arrival = {
  /** Clock of the lane; never falls within a lane. 0 where an old log does not say. */
  readonly acceptedMs: number;
  readonly lane: number;
  /** Rises with every transaction the lane accepts. */
  readonly sequence: number;
};

/** A transaction of a lane's run. */
export type LaneTx = OrderedTx & { readonly arrival: Arrival };

/** What a policy may look at. */
export type Ranked = {
  readonly arrival: Arrival;
  /** Priority fee per gas at the block's base fee. */
  readonly tipWei: bigint;
};

export interface OrderingPolicy {
  readonly name: OrderingName;
  /** In the records of the order log. */
  readonly code: number;
  /** Whether `before` looks at the tip: where it does not, nobody needs to decode for it. */
  readonly looksAtTips: boolean;
  /** A strict total order. */
  before(a: Ranked, b: Ranked): boolean;
}

/** By time, then by lane, then as the lane accepted them. */
export function isEarlier(a: Arrival, b: Arrival): boolean {
  if (a.acceptedMs !== b.acceptedMs) return a.acceptedMs < b.acceptedMs;
  return a.lane === b.lane ? a.sequence < b.sequence : a.lane < b.lane;
}

const POLICIES: Readonly<Record<OrderingName, OrderingPolicy>> = {
  "priority-fee": {
    name: "priority-fee",
    code: 0,
    looksAtTips: true,
    before: (a, b) => (a.tipWei === b.tipWei ? isEarlier(a.arrival, b.arrival) : a.tipWei > b.tipWei),
  },
  "first-come": {
    name: "first-come",
    code: 1,
    looksAtTips: false,
    before: (a, b) => isEarlier(a.arrival, b.arrival),
  },
};

export function orderingPolicy(name: OrderingName): OrderingPolicy {
  return POLICIES[name];
}

/** @throws {CodecError} CODEC_MALFORMED for a code nobody wrote */
export function orderingOfCode(code: number): OrderingName {
  const name = ORDERINGS.find((candidate) => POLICIES[candidate].code === code);
  if (name === undefined) throw codecError("CODEC_MALFORMED", `ordering policy ${code} is not known`);
  return name;
}

/** Priority fee per gas of a transaction with these caps; negative where the fee cap is below the base fee. */
export function effectiveTipWei(
  caps: { readonly maxFeePerGasWei: bigint; readonly maxPriorityFeePerGasWei: bigint },
  baseFeeWei: bigint,
): bigint {
  const roomWei = caps.maxFeePerGasWei - baseFeeWei;
  return roomWei < caps.maxPriorityFeePerGasWei ? roomWei : caps.maxPriorityFeePerGasWei;
}

/**
 * Merges runs into one order: of the first ones left of each run, the one that the policy puts before the others is
 * next. For runs that a policy made out of disjoint senders this is the order one lane with all of them would have
 * made. `take` is called with each in turn and may end the merge.
 */
export function mergeRuns<T extends Ranked>(
  policy: OrderingPolicy,
  runs: readonly (readonly T[])[],
  take: (item: T, run: number, at: number) => "next" | "stop",
): void {
  const places = runs.map(() => 0);
  for (;;) {
    let best: T | undefined;
    let bestRun = -1;
    // Lanes are few: looking at each costs less than a heap.
    for (let run = 0; run < runs.length; run++) {
      const head = (runs[run] as readonly T[])[places[run] as number];
      if (head !== undefined && (best === undefined || policy.before(head, best))) {
        best = head;
        bestRun = run;
      }
    }
    if (best === undefined) return;
    const at = places[bestRun] as number;
    places[bestRun] = at + 1;
    if (take(best, bestRun, at) === "stop") return;
  }
}

/** All of these runs, see {@link mergeRuns}. */
export function mergedRuns<T extends Ranked>(policy: OrderingPolicy, runs: readonly (readonly T[])[]): T[] {
  const merged: T[] = [];
  mergeRuns(policy, runs, (item) => {
    merged.push(item);
    return "next";
  });
  return merged;
}

/** The order of a cut: its runs merged by its policy. */
export function orderOfCut(
  name: OrderingName,
  runs: readonly (readonly LaneTx[])[],
  baseFeeWei: bigint,
): readonly LaneTx[] {
  const [only] = runs;
  if (only === undefined) return [];
  if (runs.length === 1) return only;
  const policy = orderingPolicy(name);
  const ranked = runs.map((run) =>
    run.map((tx) => ({
      tx,
      arrival: tx.arrival,
      tipWei: policy.looksAtTips ? effectiveTipWei(decodeSignedTransaction(tx.raw), baseFeeWei) : 0n,
    })),
  );
  return mergedRuns(policy, ranked).map(({ tx }) => tx);
}
