/** Owns the records of a lane's log: accepted transactions, releases of them for ordering, and releases taken back. */
import { codecError, Reader, Writer } from "../base/binary.ts";
import type { OrderedTx } from "../protocol/cut.ts";

export type LaneRecord =
  /** `txs` entered the pool under the ids `firstId`, `firstId + 1`, … */
  | { readonly kind: "accepted"; readonly firstId: number; readonly txs: readonly OrderedTx[] }
  /** The transactions with these ids were released, in this order. */
  | { readonly kind: "release"; readonly ids: readonly number[] }
  /** The release record `seq` never became part of the order. */
  | { readonly kind: "withdraw"; readonly seq: number };

const VERSION = 1;
const KINDS = ["accepted", "release", "withdraw"] as const;
const RECORD_TXS_MAX = 1_000_000;

export function encodeLaneRecord(record: LaneRecord): Uint8Array {
  const w = new Writer(record.kind === "accepted" ? record.txs.length * 160 + 16 : 64);
  w.byte(VERSION).byte(KINDS.indexOf(record.kind));
  switch (record.kind) {
    case "accepted":
      w.uvarint(record.firstId).list(record.txs, (t) => w.fixed(t.sender).bytes(t.raw));
      break;
    case "release":
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
  if (r.byte() !== VERSION) throw codecError("CODEC_MALFORMED", "lane record version is not known");
  const kind = KINDS[r.byte()];
  if (kind === undefined) throw codecError("CODEC_MALFORMED", "lane record kind is not known");
  let record: LaneRecord;
  switch (kind) {
    case "accepted":
      record = {
        kind,
        firstId: r.uvarint(),
        txs: r.list(RECORD_TXS_MAX, () => ({ sender: r.fixed(20), raw: r.bytes() })),
      };
      break;
    case "release":
      record = { kind, ids: r.list(RECORD_TXS_MAX, () => r.uvarint()) };
      break;
    case "withdraw":
      record = { kind, seq: r.uvarint() };
      break;
  }
  r.end();
  return record;
}
