/**
 * Owns opening the lanes of a new leader, each where it runs: here, on the state as it is executed, or elsewhere, told of
 * that state what it needs. All that the tails have read is in their pools afterwards, with what execution put back.
 */
import { bytesEqual } from "../base/bytes.ts";
import type { Clock } from "../base/clock.ts";
import { readConfig } from "../base/config.ts";
import type { Log } from "../base/log.ts";
import type { Metrics } from "../base/metrics.ts";
import type { Account, StateReader } from "../execution/execution.ts";
import { isDelegation } from "../execution/transaction-rules.ts";
import type { LaneApi } from "../lane/api.ts";
import { laneConfig } from "../lane/config.ts";
import { Lane } from "../lane/lane.ts";
import { CODE_KINDS } from "../lane/lane-host.ts";
import { laneOf } from "../lane/lane-of.ts";
import type { LaneSeat } from "../lane/lane-seat.ts";
import type { LaneTails } from "../lane/lane-tails.ts";
import { Lanes, type LanesDeps } from "../lane/lanes.ts";
import { LinkedLane } from "../lane/linked-lane.ts";
import { laneMetrics } from "../lane/metrics.ts";
import type { CodeKind } from "../lane/pool.ts";
import { type L1FeeParameters, l1DataFeeWei } from "../protocol/l1-fee.ts";
import { EMPTY_CODE_HASH } from "../protocol/ordered-trie.ts";
import { orderingPolicy } from "../protocol/ordering.ts";

/** The tails have been read to the end, and nobody else writes the lanes any more. */
export async function openLedLanes(
  p: {
    readonly tails: LaneTails;
    /** By lane, where the lanes run elsewhere. */
    readonly seats: readonly LaneSeat[] | undefined;
    readonly chainId: number;
    readonly term: number;
    readonly holder: string;
    /** State as executed, sealed or not. */
    readonly reader: () => StateReader;
    readonly l1Fees: () => L1FeeParameters;
    /** Of the newest sealed block. */
    readonly gasLimit: () => number;
    /** Newest position of a lane that the order names. */
    readonly orderedSeq: (lane: number) => number;
    readonly env: Readonly<Record<string, string | undefined>>;
    readonly log: Log;
    readonly metrics: Metrics;
    readonly clock: Clock;
  } & Pick<LanesDeps, "admissionShare" | "onAccepted">,
): Promise<Lanes> {
  const { term, reader, l1Fees, gasLimit, clock } = p;
  const config = readConfig(laneConfig, p.env);
  const log = p.log.child({ role: "lane" });
  const metrics = laneMetrics(p.metrics.withLabels({ role: "lane" }));
  metrics.poolTxsMax.set(config.poolTxsMax * config.lanes);
  const codeKind = ({ codeHash }: Account): CodeKind => {
    if (bytesEqual(codeHash, EMPTY_CODE_HASH)) return "none";
    return isDelegation(reader().code(codeHash)) ? "delegation" : "contract";
  };
  const owed = [...p.tails.owed];
  const lanes = await Promise.all(
    p.tails.tails.map((tail): Promise<LaneApi> => {
      const own = owed.filter(({ sender }) => laneOf(sender, config.lanes) === tail.index);
      const seat = p.seats?.[tail.index];
      if (seat !== undefined)
        return LinkedLane.lead(
          {
            seat,
            term,
            holder: p.holder,
            factOf: (address) => {
              const account = reader().account(address);
              if (account === undefined) return { address, nonce: 0n, balanceWei: 0n, codeKind: 0 };
              const { nonce, balanceWei } = account;
              return { address, nonce, balanceWei, codeKind: CODE_KINDS.indexOf(codeKind(account)) };
            },
            l1Fees,
            orderedSeq: () => p.orderedSeq(tail.index),
            gasLimit,
            onDropped: (code, count) => metrics.rejected.inc(count, { code }),
            log,
          },
          own,
        );
      return Lane.open(
        config,
        {
          index: tail.index,
          ordering: orderingPolicy(config.ordering),
          chainId: p.chainId,
          clock,
          account: (address) => reader().account(address),
          l1FeeWei: (raw) => l1DataFeeWei(raw, l1Fees()),
          codeKind,
          log,
          journal: tail.journal,
          term,
          onDropped: (code) => metrics.rejected.inc(1, { code }),
        },
        tail,
        own,
      );
    }),
  );
  const led = await Lanes.open({
    lanes,
    count: config.lanes,
    ordering: config.ordering,
    admissionShare: p.admissionShare,
    onAccepted: p.onAccepted,
    nonceOf: (address) => reader().account(address)?.nonce ?? 0n,
    metrics,
    log,
    clock,
  });
  led.onHead({ gasLimit: gasLimit(), changed: [] });
  return led;
}
