/**
 * Owns what a verifier must remember of its place: the state of derivation and the posted outputs that it could not check
 * yet. One such value is stored with every block (to restart from) and one with every L1 block (to unwind to).
 */
import { Reader, Writer } from "../base/binary.ts";
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
