/** Owns the record of what a state's database holds: versions, the root of the newest, and where storage numbers go on. */
import { stateError } from "./error.ts";
import { readTrieId, writeTrieId } from "./state-key.ts";

/** Bumped when stored bytes change their meaning. */
const FORMAT = 1;
const LENGTH = 51;

export const META_TABLE = "state-meta";
/** Tables with records of the state and their history; code is in `codes`. */
export const RECORD_TABLES = ["undo", "tombstones", "checkpoints", "state"] as const;
export const META_KEY = Buffer.from("state");

export type StateMeta = {
  readonly head: number;
  readonly oldest: number;
  /** History up to here is gone; it trails `oldest` while pruning is under way. */
  readonly prunedTo: number;
  readonly nextStorageId: number;
  /** Of a whole state. */
  readonly root: Uint8Array;
};

export function encodeMeta({ head, oldest, prunedTo, nextStorageId, root }: StateMeta): Uint8Array {
  const bytes = new Uint8Array(LENGTH);
  const view = new DataView(bytes.buffer);
  bytes[0] = FORMAT;
  view.setUint32(1, head);
  view.setUint32(5, oldest);
  view.setUint32(9, prunedTo);
  writeTrieId(bytes, 13, nextStorageId);
  bytes.set(root, 19);
  return bytes;
}

/** @throws {StateError} STATE_FORMAT */
export function decodeMeta(bytes: Uint8Array): StateMeta {
  if (bytes[0] !== FORMAT)
    throw stateError("STATE_FORMAT", `state has format ${bytes[0]}, this program reads ${FORMAT}`, {
      format: bytes[0],
    });
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return {
    head: view.getUint32(1),
    oldest: view.getUint32(5),
    prunedTo: view.getUint32(9),
    nextStorageId: readTrieId(bytes, 13),
    root: bytes.slice(19, LENGTH),
  };
}
