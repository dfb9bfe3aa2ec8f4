/**
 * Owns what a lane elsewhere and the node it belongs to ask of each other. Facts about accounts travel with what needs
 * them: with a batch of submissions, with settlements, with a new head. Only a lane that starts asks for them.
 */
import {
  bigUint,
  byteString,
  fixedBytes,
  flag,
  listOf,
  maybe,
  nothing,
  record,
  type Shape,
  string,
  uint,
  type ValueOf,
} from "../base/shape.ts";
import type { Call } from "../link/calls.ts";

const address = fixedBytes(20);
const hash = fixedBytes(32);
const arrival = record({ acceptedMs: uint, lane: uint, sequence: uint });
const pooled = record({
  raw: byteString,
  sender: address,
  authorities: maybe(listOf(record({ address, nonce: bigUint }))),
});
const laneTx = record({ raw: byteString, sender: address, arrival });
/** Its arrival may not be known. */
const returnedTx = record({ raw: byteString, sender: address, arrival: maybe(arrival) });

/** What the pool needs to know of an account. */
const fact = record({ address, nonce: bigUint, balanceWei: bigUint, codeKind: uint });
const l1Fees = record({
  l1BaseFeeWei: bigUint,
  l1BlobBaseFeeWei: bigUint,
  baseFeeScalar: uint,
  blobBaseFeeScalar: uint,
});
const logState = record({ seq: uint, term: uint, hash, oldestSeq: uint });
const logRecord = record({ seq: uint, term: uint, prevHash: hash, hash, payload: byteString });
const limits = record({
  gasMax: uint,
  gasLeft: uint,
  sizeMaxBytes: uint,
  txOverheadBytes: uint,
  baseFeeWei: bigUint,
  acceptedBeforeMs: uint,
});
const offered = record({ raw: byteString, sender: address, arrival, tipWei: bigUint, gasLimit: uint });

export type Fact = ValueOf<typeof fact>;
export type PooledItem = ValueOf<typeof pooled>;

let codes = 0;
function call<A, R>(args: Shape<A>, result: Shape<R>): Call<A, R> {
  return { code: codes++, args, result };
}

/** Asked of the lane. */
export const LANE = {
  /** `settings`: LaneSettings as JSON. */
  open: call(record({ settings: string }), logState),
  refreshLog: call(nothing, logState),
  appendLog: call(record({ expectedSeq: uint, term: uint, payloads: listOf(byteString) }), logState),
  readLog: call(record({ fromSeq: uint, countMax: uint, sizeMaxBytes: uint }), listOf(logRecord)),
  trimLog: call(record({ seq: uint }), logState),
  lead: call(
    record({ term: uint, holder: string, orderedSeq: uint, gasLimit: uint, l1Fees, owed: listOf(returnedTx) }),
    nothing,
  ),
  submit: call(
    record({ sharePpm: uint, facts: listOf(fact), items: listOf(pooled) }),
    listOf(record({ code: string, message: string })),
  ),
  take: call(limits, record({ txs: listOf(offered), more: flag, clockMs: uint })),
  release: call(record({ kept: maybe(listOf(uint)) }), maybe(uint)),
  settle: call(
    record({ facts: listOf(fact), settlements: listOf(record({ hash, reason: string, tx: maybe(returnedTx) })) }),
    nothing,
  ),
  prepareReturn: call(record({ txs: listOf(returnedTx) }), nothing),
  finishReturn: call(nothing, nothing),
  strays: call(record({ lanes: uint, sizeMaxBytes: uint }), listOf(laneTx)),
  moved: call(record({ txs: listOf(laneTx) }), nothing),
  trim: call(record({ seq: uint }), nothing),
  head: call(record({ gasLimit: uint, l1Fees, facts: listOf(fact) }), nothing),
  holdFor: call(record({ address, hash }), flag),
  letGo: call(record({ address, hash }), nothing),
  delegating: call(nothing, listOf(pooled)),
  arrivalOf: call(
    record({ hash }),
    maybe(record({ lane: uint, firstSequence: uint, acceptedMs: uint, hashes: listOf(hash), index: uint })),
  ),
  nextNonce: call(record({ address }), maybe(bigUint)),
  get: call(record({ hash }), maybe(pooled)),
  status: call(nothing, record({ pending: uint, queued: uint })),
  content: call(
    record({ countMax: uint, sender: maybe(address) }),
    record({ pending: listOf(pooled), queued: listOf(pooled) }),
  ),
  ping: call(nothing, nothing),
};

/** Asked of the node. */
export const NODE = {
  facts: call(record({ addresses: listOf(address) }), listOf(fact)),
  /** How much the lane holds, what it dropped since, why its log does not take appends ("" when it does). */
  news: call(
    record({
      txs: uint,
      sizeBytes: uint,
      dropped: listOf(record({ reason: string, count: uint })),
      notReady: string,
    }),
    nothing,
  ),
  log: call(record({ level: string, message: string, fields: string }), nothing),
};
