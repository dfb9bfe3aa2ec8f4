/**
 * Owns the records of the order log. The total order of a cluster is a pure function of them: a cut extends the order
 * to a position of each lane, opens a block with its complete context (so that replay needs no L1), or closes it; a
 * rewind takes blocks back. Transactions are in a record themselves where no lane can give them: those of an adopted
 * block came from L1, and a lane may be lost between taking and releasing.
 * @see docs/decisions/0002-chain-and-derivation.md (heads and logs)
 */
import { codecError, Reader, Writer } from "../base/binary.ts";
import { readL1BlockInfo, readSystemConfig, writeL1BlockInfo, writeSystemConfig } from "./l1-block-codec.ts";
import { type OrderingName, orderingOfCode, orderingPolicy } from "./ordering.ts";
import type { L1BlockInfo, SystemConfigValues } from "./system-config.ts";

/** A transaction as ordered: canonical bytes and recovered sender; `hash` where whoever hands it on knows it. */
export type OrderedTx = { readonly raw: Uint8Array; readonly sender: Uint8Array; readonly hash?: Uint8Array };

/** Everything but the sequenced transactions that a block depends on. */
export type BlockContext = {
  readonly number: number;
  readonly timestamp: number;
  readonly origin: L1BlockInfo;
  readonly sequenceNumber: number;
  readonly systemConfig: SystemConfigValues;
  /** User deposits of the origin (canonical 0x7E bytes), only in the first block of an origin. */
  readonly deposits: readonly Uint8Array[];
};

export type LanePosition = { readonly lane: number; readonly seq: number };

export type OrderRecord =
  | {
      readonly kind: "cut";
      readonly blockNumber: number;
      /** Present in the first cut of a block. */
      readonly open: BlockContext | undefined;
      /** How what the positions name is merged. */
      readonly ordering: OrderingName;
      /** Lane records (release records of the lane logs) added to the order, at most one of a lane. */
      readonly positions: readonly LanePosition[];
      /** Transactions that are ordered without a lane, in this order, behind those of the positions. */
      readonly inline: readonly OrderedTx[];
      /** True in the last cut of a block. */
      readonly close: boolean;
    }
  | {
      /** Blocks above `toBlock` and the open block are void. */
      readonly kind: "rewind";
      readonly toBlock: number;
      readonly reason: string;
    };

const VERSION = 2;
/** Had one lane and no policy to name. */
const VERSION_ONE_LANE = 1;
const KIND_CUT = 0;
const KIND_REWIND = 1;

export function encodeOrderRecord(record: OrderRecord): Uint8Array {
  const w = new Writer(512).byte(VERSION);
  if (record.kind === "rewind") {
    return w.byte(KIND_REWIND).uvarint(record.toBlock).text(record.reason).finish();
  }
  w.byte(KIND_CUT).byte(orderingPolicy(record.ordering).code).uvarint(record.blockNumber);
  w.optional(record.open, (c) => writeContext(w, c));
  w.list(record.positions, (p) => w.uvarint(p.lane).uvarint(p.seq));
  w.list(record.inline, (t) => w.fixed(t.sender).bytes(t.raw));
  return w.byte(record.close ? 1 : 0).finish();
}

/** @throws {CodecError} on anything that `encodeOrderRecord` cannot have written. */
export function decodeOrderRecord(bytes: Uint8Array): OrderRecord {
  const r = new Reader(bytes);
  const version = r.byte();
  if (version !== VERSION && version !== VERSION_ONE_LANE)
    throw codecError("CODEC_MALFORMED", `order record version ${version} is not known`);
  const kind = r.byte();
  if (kind === KIND_REWIND) {
    const record: OrderRecord = { kind: "rewind", toBlock: r.uvarint(), reason: r.text() };
    r.end();
    return record;
  }
  if (kind !== KIND_CUT) throw codecError("CODEC_MALFORMED", `order record kind ${kind} is not known`);
  const ordering = version === VERSION_ONE_LANE ? "priority-fee" : orderingOfCode(r.byte());
  const record: OrderRecord = {
    kind: "cut",
    ordering,
    blockNumber: r.uvarint(),
    open: r.optional(() => readContext(r)),
    positions: r.list(1024, () => ({ lane: r.uvarint(), seq: r.uvarint() })),
    inline: r.list(1_000_000, () => ({ sender: r.fixed(20), raw: r.bytes() })),
    close: r.byte() === 1,
  };
  r.end();
  return record;
}

function writeContext(w: Writer, c: BlockContext): void {
  w.uvarint(c.number).uvarint(c.timestamp).uvarint(c.sequenceNumber);
  writeL1BlockInfo(w, c.origin);
  writeSystemConfig(w, c.systemConfig);
  w.list(c.deposits, (d) => w.bytes(d));
}

function readContext(r: Reader): BlockContext {
  const number = r.uvarint();
  const timestamp = r.uvarint();
  const sequenceNumber = r.uvarint();
  const origin = readL1BlockInfo(r);
  const systemConfig = readSystemConfig(r);
  return { number, timestamp, sequenceNumber, origin, systemConfig, deposits: r.list(100_000, () => r.bytes()) };
}
