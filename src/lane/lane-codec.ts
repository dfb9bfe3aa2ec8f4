/**
 * Owns the records of a lane's log: accepted transactions, releases of them for ordering, releases taken back, and
 * transactions that went to another lane.
 */
import { codecError, Reader, Writer } from "../base/binary.ts";
import type { OrderedTx } from "../protocol/cut.ts";
import type { Arrival, LaneTx } from "../protocol/ordering.ts";

export type LaneRecord =
  /** `txs` were accepted here at `acceptedMs`, under the ids `firstId`, `firstId + 1`, …, which are their sequence. */
  | {
      readonly kind: "accepted";
      readonly firstId: number;
      readonly acceptedMs: number;
      readonly txs: readonly OrderedTx[];
    }
  /** `txs`, accepted before, wait here (again) under these ids: skipped for now, rewound, or from another lane. */
  | { readonly kind: "returned"; readonly firstId: number; readonly txs: readonly LaneTx[] }
  /** The transactions with these ids were released, in this order. */
  | { readonly kind: "release"; readonly ids: readonly number[] }
  /** The release record `seq` never became part of the order. */
  | { readonly kind: "withdraw"; readonly seq: number }
  /** The transactions with these ids are durable in another lane. */
  | { readonly kind: "moved"; readonly ids: readonly number[] };

const VERSION = 2;
/** Did not say when anything was accepted. */
const VERSION_TIMELESS = 1;
const KINDS = ["accepted", "release", "withdraw", "returned", "moved"] as const;
const RECORD_TXS_MAX = 1_000_000;

export function encodeLaneRecord(record: LaneRecord): Uint8Array {
  const holdsTxs = record.kind === "accepted" || record.kind === "returned";
  const w = new Writer(holdsTxs ? record.txs.length * 160 + 16 : 64);
  w.byte(VERSION).byte(KINDS.indexOf(record.kind));
  switch (record.kind) {
    case "accepted":
      w.uvarint(record.firstId)
        .uvarint(record.acceptedMs)
        .list(record.txs, (t) => w.fixed(t.sender).bytes(t.raw));
      break;
    case "returned":
      w.uvarint(record.firstId).list(record.txs, (t) => writeLaneTx(w, t));
      break;
    case "release":
    case "moved":
      w.list(record.ids, (id) => w.uvarint(id));
      break;
    case "withdraw":
      w.uvarint(record.seq);
      break;
  }
  return w.finish();
}

/** @throws {CodecError} on anything that `encodeLaneRecord` cannot have written. */
export function decodeLaneRecord(bytes: Uint8Array): LaneRecord {
  const r = new Reader(bytes);
  const version = r.byte();
  if (version !== VERSION && version !== VERSION_TIMELESS)
    throw codecError("CODEC_MALFORMED", `lane record version ${version} is not known`);
  const kind = KINDS[r.byte()];
  if (kind === undefined) throw codecError("CODEC_MALFORMED", "lane record kind is not known");
  let record: LaneRecord;
  switch (kind) {
    case "accepted":
      record = {
        kind,
        firstId: r.uvarint(),
        acceptedMs: version === VERSION_TIMELESS ? 0 : r.uvarint(),
        txs: r.list(RECORD_TXS_MAX, () => ({ sender: r.fixed(20), raw: r.bytes() })),
      };
      break;
    case "returned":
      record = { kind, firstId: r.uvarint(), txs: r.list(RECORD_TXS_MAX, () => readLaneTx(r)) };
      break;
    case "release":
    case "moved":
      record = { kind, ids: r.list(RECORD_TXS_MAX, () => r.uvarint()) };
      break;
    case "withdraw":
      record = { kind, seq: r.uvarint() };
      break;
  }
  r.end();
  return record;
}

export function writeLaneTx(w: Writer, tx: LaneTx): void {
  writeArrival(w, tx.arrival);
  w.fixed(tx.sender).bytes(tx.raw);
}

export function readLaneTx(r: Reader): LaneTx {
  return { arrival: readArrival(r), sender: r.fixed(20), raw: r.bytes() };
}

export function writeArrival(w: Writer, arrival: Arrival): void {
  w.uvarint(arrival.acceptedMs).uvarint(arrival.lane).uvarint(arrival.sequence);
}

export function readArrival(r: Reader): Arrival {
  return { acceptedMs: r.uvarint(), lane: r.uvarint(), sequence: r.uvarint() };
}
