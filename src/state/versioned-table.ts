/**
 * Owns a table with history: the newest record of every key in place, older ones in the undo log.
 * A record starts with its stamp: the version that wrote it and where the undo log holds the record before. Reading an
 * old version follows stamps back; every 32nd change of a key leaves a checkpoint, so the way back is short however
 * often a key changes. Removed keys leave a tombstone (a stamp without payload) until their history is pruned.
 * Invariant: for oldest <= v <= head, `at(key, v)` is what `key` held when v was the head.
 */
import { assert } from "../base/assert.ts";
import type { Entry, Table } from "../store/database.ts";
import { UNDO_CHECKPOINTED, UNDO_DIFF, UNDO_FULL, UNDO_REMOVED, type UndoEntry, UndoLog } from "./undo-log.ts";

/** Version (4 bytes), chunk (3), offset (2), change count (1). */
export const STAMP_BYTES = 10;
const CHECKPOINT_EVERY = 32;
const RECORD_BYTES_MAX = 4096;

/** Turns the payload after a change into the one before it. */
export type DiffApplier = (payload: Uint8Array, diff: Uint8Array) => void;

export class VersionedTable {
  readonly #table: Table;
  readonly #tombstones: Table;
  readonly #checkpoints: Table;
  readonly #undo: UndoLog;
  readonly #applyDiff: DiffApplier;
  /** Where the next record's payload is assembled before {@link put}: from STAMP_BYTES on. */
  readonly record = new Uint8Array(RECORD_BYTES_MAX);
  /** Where a caller that knows the replaced record leaves it for {@link put}. */
  readonly old = new Uint8Array(RECORD_BYTES_MAX);
  readonly #checkpoint = new Uint8Array(256);

  constructor(
    table: Table,
    tombstones: Table,
    checkpoints: Table,
    undo: UndoLog,
    applyDiff: DiffApplier = () => assert(false, "this table's history has no diffs"),
  ) {
    this.#table = table;
    this.#tombstones = tombstones;
    this.#checkpoints = checkpoints;
    this.#undo = undo;
    this.#applyDiff = applyDiff;
  }

  /** Length of the newest record (stamp included) or -1; its bytes are at the start of {@link buffer} until the next read. */
  read(key: Uint8Array): number {
    return this.#table.read(key);
  }

  get buffer(): Uint8Array {
    return this.#table.buffer;
  }

  /** Newest records in [start, end) by key, as copies, lazily. */
  records(start: Uint8Array, end: Uint8Array): Iterable<Entry> {
    return this.#table.iterate({ start, end });
  }

  /** Keys in [start, end) that have a record now or had one within the history, unordered, lazily. */
  *keysEver(start: Uint8Array, end: Uint8Array): Generator<Uint8Array> {
    for (const { key } of this.#table.iterate({ start, end })) yield key;
    for (const { key } of this.#tombstones.iterate({ start, end })) yield key;
  }

  /** Payload of `key` as of `version`; undefined when it had none. */
  at(key: Uint8Array, version: number): Uint8Array | undefined {
    let record = this.#table.get(key) ?? this.#tombstones.get(key);
    if (record === undefined) return undefined;
    if (stampVersion(record) > version && stampCount(record) >= CHECKPOINT_EVERY)
      record = this.#checkpointAfter(key, version) ?? record;
    while (stampVersion(record) > version) {
      const view = record;
      const entry = this.#undo.entry(stampVersion(view), stampChunk(view), stampOffset(view));
      record = this.#before(record, entry);
    }
    return record.length === STAMP_BYTES ? undefined : record.subarray(STAMP_BYTES);
  }

  /** The record before the change that `entry` undoes. `record`: the one after it; may be changed in place. */
  #before(record: Uint8Array, entry: UndoEntry): Uint8Array {
    if ((entry.kind & UNDO_DIFF) === 0) return entry.body;
    record.set(entry.body.subarray(0, STAMP_BYTES));
    this.#applyDiff(record.subarray(STAMP_BYTES), entry.body.subarray(STAMP_BYTES));
    return record;
  }

  /** The record that the first checkpointed change after `version` replaced. */
  #checkpointAfter(key: Uint8Array, version: number): Uint8Array | undefined {
    const start = this.#checkpointKey(key, version + 1).slice();
    const end = this.#checkpointKey(key, 0xffffffff).slice();
    return this.#checkpoints.range({ start, end, limit: 1 })[0]?.value;
  }

  /**
   * Stores the payload of `payloadLength` bytes in {@link record} as `key`'s newest. Version 0 has no history.
   * `oldLength`: length of the replaced record when the caller has put it (stamp and payload) into {@link old}, 0 when
   * it knows that there is none; undefined: read it.
   */
  put(key: Uint8Array, payloadLength: number, version: number, oldLength?: number): void {
    if (version === 0) this.record.fill(0, 0, STAMP_BYTES);
    else {
      const length = oldLength ?? this.#table.read(key);
      if (length > 0)
        this.#stamp(key, UNDO_FULL, oldLength === undefined ? this.#table.buffer : this.old, length, version);
      else {
        const removedBefore = this.#tombstones.read(key) >= 0;
        this.#stamp(key, UNDO_FULL, removedBefore ? this.#tombstones.buffer : NEVER, STAMP_BYTES, version);
        if (removedBefore) this.#tombstones.remove(key);
      }
    }
    this.#table.put(key, this.record.subarray(0, STAMP_BYTES + payloadLength));
  }

  /**
   * As {@link put}, for a change small against its record: `diff` undoes it, `stamp` is the replaced record's. Every
   * checkpointed change still keeps the whole old record.
   */
  putDiff(key: Uint8Array, payloadLength: number, version: number, stamp: Uint8Array, diff: Uint8Array): void {
    if (version === 0 || isCheckpoint(nextCount(stamp))) {
      this.put(key, payloadLength, version);
      return;
    }
    const start = this.#undo.reserve(UNDO_DIFF, key, STAMP_BYTES + diff.length);
    const bodyAt = start + UndoLog.bodyAt(key);
    this.#undo.bytes.set(stamp, bodyAt);
    this.#undo.bytes.set(diff, bodyAt + STAMP_BYTES);
    writeStamp(this.record, version, this.#undo.chunk, start, nextCount(stamp));
    this.#table.put(key, this.record.subarray(0, STAMP_BYTES + payloadLength));
  }

  /** Removes a key that has a record. */
  remove(key: Uint8Array, version: number): void {
    const length = this.#table.read(key);
    assert(length >= 0, "only stored records are removed");
    if (version > 0) {
      this.#stamp(key, UNDO_FULL | UNDO_REMOVED, this.#table.buffer, length, version);
      this.#tombstones.put(key, this.record.subarray(0, STAMP_BYTES));
    }
    this.#table.remove(key);
  }

  /** Logs the old record (the first `length` bytes of `old`) and writes the new record's stamp. */
  #stamp(key: Uint8Array, kind: number, old: Uint8Array, length: number, version: number): void {
    const count = nextCount(old);
    const checkpointed = isCheckpoint(count);
    const start = this.#undo.reserve(kind | (checkpointed ? UNDO_CHECKPOINTED : 0), key, length);
    const bodyAt = start + UndoLog.bodyAt(key);
    this.#undo.bytes.set(old.subarray(0, length), bodyAt);
    writeStamp(this.record, version, this.#undo.chunk, start, count);
    if (checkpointed)
      this.#checkpoints.put(this.#checkpointKey(key, version), this.#undo.bytes.subarray(bodyAt, bodyAt + length));
  }

  /** Undoes one change of `version`. */
  undo(entry: UndoEntry, version: number): void {
    const { key, kind } = entry;
    if (kind & UNDO_CHECKPOINTED) this.#checkpoints.remove(this.#checkpointKey(key, version));
    if (kind & UNDO_REMOVED) this.#tombstones.remove(key);
    if (kind & UNDO_DIFF) {
      const record = this.#table.get(key);
      assert(record !== undefined, "a diff undoes a stored record");
      this.#table.put(key, this.#before(record, entry));
    } else if (entry.body.length > STAMP_BYTES) this.#table.put(key, entry.body);
    else {
      this.#table.remove(key);
      if (stampVersion(entry.body) > 0) this.#tombstones.put(key, entry.body);
    }
  }

  /** Drops what only reads before `version` need of one change that `version` made. */
  forget(entry: UndoEntry, version: number): void {
    const { key, kind } = entry;
    if (kind & UNDO_CHECKPOINTED) this.#checkpoints.remove(this.#checkpointKey(key, version));
    if ((kind & UNDO_REMOVED) === 0) return;
    if (this.#tombstones.read(key) >= 0 && stampVersion(this.#tombstones.buffer) === version)
      this.#tombstones.remove(key);
  }

  /** Removes up to `countMax` records in [start, end) for good, without history; returns how many there were. */
  wipe(start: Uint8Array, end: Uint8Array, countMax: number): number {
    const keys = this.#table.keys({ start, end, limit: countMax });
    for (const key of keys) this.#table.remove(key);
    return keys.length;
  }

  /** The key's length comes first: keys of different lengths must not interleave. */
  #checkpointKey(key: Uint8Array, version: number): Uint8Array {
    const out = this.#checkpoint;
    out[0] = key.length;
    out.set(key, 1);
    const at = 1 + key.length;
    out[at] = version >>> 24;
    out[at + 1] = version >>> 16;
    out[at + 2] = version >>> 8;
    out[at + 3] = version;
    return out.subarray(0, at + 4);
  }
}

/** Stamp of a key that never had a record. */
const NEVER = new Uint8Array(STAMP_BYTES);

export function stampVersion(record: Uint8Array): number {
  return (
    (((record[0] as number) << 24) |
      ((record[1] as number) << 16) |
      ((record[2] as number) << 8) |
      (record[3] as number)) >>>
    0
  );
}

function stampCount(record: Uint8Array): number {
  return record[9] as number;
}

/** Counts changes; above 255 it stays in the range that says that there are checkpoints. */
function nextCount(record: Uint8Array): number {
  const count = stampCount(record);
  return count === 255 ? CHECKPOINT_EVERY : count + 1;
}

function isCheckpoint(count: number): boolean {
  return count % CHECKPOINT_EVERY === 0;
}

function stampChunk(record: Uint8Array): number {
  return ((record[4] as number) << 16) | ((record[5] as number) << 8) | (record[6] as number);
}

function stampOffset(record: Uint8Array): number {
  return ((record[7] as number) << 8) | (record[8] as number);
}

function writeStamp(record: Uint8Array, version: number, chunk: number, offset: number, count: number): void {
  record[0] = version >>> 24;
  record[1] = version >>> 16;
  record[2] = version >>> 8;
  record[3] = version;
  record[4] = chunk >>> 16;
  record[5] = chunk >>> 8;
  record[6] = chunk;
  record[7] = offset >>> 8;
  record[8] = offset;
  record[9] = count;
}
