/**
 * Owns what a verifier must remember of its place: the state of derivation and the posted outputs that it could not check
 * yet. One such value is stored with every block (to restart from) and one with every L1 block (to unwind to), in a
 * snapshot that says where the chain stood.
 */
import { Reader, Writer } from "../base/binary.ts";
import type { SafeHead } from "../protocol/derivation.ts";
import type { OracleEvent } from "../protocol/oracle-events.ts";

export type ProposedOutput = Extract<OracleEvent, { kind: "proposed" }>;

export type Cursor = { readonly derivation: Uint8Array; readonly outputs: readonly ProposedOutput[] };

const VERSION = 1;

export function encodeCursor(cursor: Cursor): Uint8Array {
  const w = new Writer(cursor.derivation.length + 64).byte(VERSION).bytes(cursor.derivation);
  w.list(cursor.outputs, (o) => w.fixed(o.outputRoot).uvarint(o.outputIndex).uvarint(o.blockNumber));
  return w.finish();
}

/** @throws {CodecError} */
export function decodeCursor(bytes: Uint8Array): Cursor {
  const r = new Reader(bytes);
  r.uvarint(VERSION);
  const derivation = r.bytes();
  const outputs = r.list(1_000_000, (): ProposedOutput => {
    return { kind: "proposed", outputRoot: r.fixed(32), outputIndex: r.uvarint(), blockNumber: r.uvarint() };
  });
  r.end();
  return { derivation, outputs };
}

/** What is stored of a completely derived L1 block: its hash, where the chain stood after it, and the cursor there. */
export function encodeSnapshot(l1Hash: Uint8Array, safe: SafeHead, cursor: Uint8Array): Uint8Array {
  const w = new Writer(cursor.length + 64).fixed(l1Hash).uvarint(safe.number).uvarint(safe.originNumber);
  return w.bytes(cursor).finish();
}

export function decodeSnapshot(bytes: Uint8Array): {
  l1Hash: Uint8Array;
  safeNumber: number;
  originNumber: number;
  cursor: Uint8Array;
} {
  const r = new Reader(bytes);
  return { l1Hash: r.fixed(32), safeNumber: r.uvarint(), originNumber: r.uvarint(), cursor: r.bytes() };
}

/** Of a block. */
export function writeNumber(value: number): Uint8Array {
  const out = new Uint8Array(8);
  new DataView(out.buffer).setBigUint64(0, BigInt(value));
  return out;
}

/** 0 where nothing is stored. */
export function readNumber(bytes: Uint8Array | undefined): number {
  return bytes === undefined ? 0 : Number(new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0));
}
