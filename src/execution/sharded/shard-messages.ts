/**
 * Owns what travels between the coordinator and a key shard elsewhere, as bytes. A round goes out with everything there
 * is to tell (results' parts, base values, reads), one answer comes back. Parts are accounts of the engine's records,
 * copied once and read in place; so are the corrections that come back. Decoding checks every length and offset; what
 * does not decode is a CodecError and ends the link it came over.
 */
import { codecError, Reader, Writer } from "../../base/binary.ts";
import { fromHex, toHexKey } from "../../base/bytes.ts";
import type { AccountWrite, StateWrites } from "../../protocol/state-writes.ts";
import { ACCOUNT, SLOT } from "../wasm/layout.ts";
import { Output, TxRecord } from "../wasm/result.ts";
import { hasEffect } from "./effects.ts";
import type { Conflict, StateKey } from "./epoch-shard.ts";
import { readAccount, readEntries, type StateEntry, writeAccount, writeEntries } from "./messages.ts";

/** A transaction's result as far as it concerns a shard. */
export type Part = {
  readonly index: number;
  /** Undefined: nothing came of the transaction. */
  readonly record: TxRecord | undefined;
  /** Offsets of its accounts; undefined: all the record has. */
  readonly accounts: readonly number[] | undefined;
};

export type Round = {
  readonly epoch: number;
  /** From 0 on, without a gap; the first begins the epoch. */
  readonly round: number;
  /** Transactions of the epoch. */
  readonly count: number;
  /** Below it results are final. */
  readonly watermark: number;
  /** Values before the epoch, of keys named for the first time. */
  readonly base: readonly StateEntry[];
  readonly parts: readonly Part[];
  readonly reads: readonly { readonly index: number; readonly key: StateKey }[];
};

/** What a serial run would have found in an account of a final result. */
export type Correction = {
  readonly index: number;
  /** Offset of the account in the result's record. */
  readonly at: number;
  /** The account's fields, from the nonce before on. */
  readonly fields: Uint8Array;
};

export type Answer = {
  readonly epoch: number;
  readonly round: number;
  /** First transaction whose part is missing or does not hold, and why if it is there. */
  readonly frontier: number;
  readonly conflict: Conflict | undefined;
  /** Of the parts of this round: what read something that has another value by now. */
  readonly stale: readonly { readonly index: number; readonly conflict: Conflict }[];
  /** Answers the reads, in their order. */
  readonly values: readonly StateEntry[];
  /** Final results below have been corrected; `corrections` are those of this round. */
  readonly settledTo: number;
  readonly corrections: readonly Correction[];
  /** Net effect of the epoch, once all is final and settled; of codes only the hashes. */
  readonly net: StateWrites | undefined;
  /** Time of the round's work, and the accounts and slots in its parts. */
  readonly micros: number;
  readonly accesses: number;
};

/** Kinds of messages; those below are for the durable state, which may be at the other end of the same link. */
const READY = 32;
const ROUND = 33;
const ANSWER = 34;
const ACCOUNT_KEY = 0;
const SLOT_KEY = 1;
const COUNT_MAX = 10_000_000;
const EMPTY = new Uint8Array(0);

/** Where a part's copy of an account keeps its offset in the record: free in the engine's layout. */
const ORIGIN = 28;
const PART_HEADER = 8;
const FIELDS_AT = ACCOUNT.nonceBefore;
const FIELDS_SIZE = ACCOUNT.size - FIELDS_AT;
const CORRECTION_SIZE = 8 + FIELDS_SIZE;

const accountSize = (record: TxRecord, at: number): number =>
  ACCOUNT.size + record.u32(at + ACCOUNT.slotCount) * SLOT.size;
const aligned = (at: number): number => (at + 7) & ~7;

/** Offsets of a part's accounts that validation needs. */
export function consequentialAccounts({ record, accounts }: Omit<Part, "index">): number[] {
  if (record === undefined) return [];
  if (accounts !== undefined) return accounts.filter((at) => hasEffect(record, at));
  const all: number[] = [];
  record.forEachAccount((at) => {
    if (hasEffect(record, at)) all.push(at);
  });
  return all;
}

/** What `part` takes in a round, about. */
export function partSizeBytes({ record, accounts }: Part): number {
  let size = PART_HEADER;
  if (record !== undefined) for (const at of accounts ?? []) size += accountSize(record, at);
  return size;
}

/** Of each part the accounts must be given. */
export function encodeRound(m: Round): Uint8Array {
  const head = new Writer(1_024).byte(ROUND).uvarint(m.epoch).uvarint(m.round).uvarint(m.count).uvarint(m.watermark);
  writeEntries(head, m.base);
  head.list(m.reads, ({ index, key }) => {
    head.uvarint(index);
    if (key.kind === "account") head.byte(ACCOUNT_KEY).fixed(key.address);
    else head.byte(SLOT_KEY).fixed(key.address).fixed(key.slot);
  });
  head.uvarint(m.parts.length);
  const start = aligned(head.length);
  let size = start;
  for (const part of m.parts) size += partSizeBytes(part);
  const bytes = new Uint8Array(size);
  bytes.set(head.view());
  const view = new DataView(bytes.buffer);
  let at = start;
  for (const { index, record, accounts } of m.parts) {
    const own = record === undefined ? [] : (accounts ?? []);
    view.setUint32(at, index, true);
    view.setUint32(at + 4, own.length, true);
    at += PART_HEADER;
    for (const from of own) {
      const length = accountSize(record as TxRecord, from);
      bytes.set((record as TxRecord).slice(from, from + length), at);
      view.setUint32(at + ORIGIN, from, true);
      at += length;
    }
  }
  return bytes;
}

/** `bytes` in a buffer of its own: parts are read in place. @throws {CodecError} */
export function decodeRound(bytes: Uint8Array): Round {
  const r = new Reader(bytes);
  expectKind(r, ROUND);
  const [epoch, round, count, watermark] = [r.uvarint(), r.uvarint(), r.uvarint(COUNT_MAX), r.uvarint()];
  const base = readEntries(r);
  const reads = r.list(COUNT_MAX, () => {
    const index = r.uvarint();
    const key: StateKey =
      r.byte() === ACCOUNT_KEY
        ? { kind: "account", address: r.fixed(20) }
        : { kind: "slot", address: r.fixed(20), slot: r.fixed(32) };
    return { index, key };
  });
  const partCount = r.uvarint(COUNT_MAX);
  const record = new TxRecord(new Output(bytes), 0);
  const parts: Part[] = [];
  let at = aligned(bytes.length - r.remaining);
  const take = (size: number): number => {
    if (!(at + size <= bytes.length))
      throw codecError("CODEC_TRUNCATED", `a part of ${size} bytes at ${at}`, { at, size: bytes.length });
    at += size;
    return at - size;
  };
  for (let n = 0; n < partCount; n++) {
    const header = take(PART_HEADER);
    const index = record.u32(header);
    if (index >= count) throw codecError("CODEC_LIMIT", `transaction ${index} of ${count}`, { index, count });
    const accounts: number[] = [];
    for (let left = record.u32(header + 4); left > 0; left--) {
      const account = take(ACCOUNT.size);
      take(record.u32(account + ACCOUNT.slotCount) * SLOT.size);
      accounts.push(account);
    }
    parts.push({ index, record, accounts });
  }
  return { epoch, round, count, watermark, base, reads, parts };
}

/** Offset in the original record of the account at `at` of a part that was sent. */
export function originOf(record: TxRecord, at: number): number {
  return record.u32(at + ORIGIN);
}

/** The account at `at` of a part as a correction; a view. */
export function correctionOf(index: number, record: TxRecord, at: number): Correction {
  return { index, at: originOf(record, at), fields: record.slice(at + FIELDS_AT, at + ACCOUNT.size) };
}

/** Writes a correction into the record it is for; false when it has no account there. */
export function correct(record: TxRecord, { at, fields }: Correction): boolean {
  if (at % 8 !== 0 || !(at + ACCOUNT.size <= record.size)) return false;
  record.slice(at + FIELDS_AT, at + ACCOUNT.size).set(fields);
  return true;
}

/** Says that a shard takes rounds from now on. */
export function encodeReady(): Uint8Array {
  return Uint8Array.of(READY);
}

export function encodeAnswer(m: Answer): Uint8Array {
  const head = new Writer(1_024).byte(ANSWER).uvarint(m.epoch).uvarint(m.round).uvarint(m.frontier);
  head.optional(m.conflict, (conflict) => writeConflict(head, conflict));
  head.list(m.stale, ({ index, conflict }) => writeConflict(head.uvarint(index), conflict));
  writeEntries(head, m.values);
  head.uvarint(m.settledTo).uvarint(m.micros).uvarint(m.accesses);
  head.optional(m.net, (net) => writeNet(head, net));
  head.uvarint(m.corrections.length);
  const start = aligned(head.length);
  const bytes = new Uint8Array(start + m.corrections.length * CORRECTION_SIZE);
  bytes.set(head.view());
  const view = new DataView(bytes.buffer);
  let at = start;
  for (const { index, at: origin, fields } of m.corrections) {
    view.setUint32(at, index, true);
    view.setUint32(at + 4, origin, true);
    bytes.set(fields, at + 8);
    at += CORRECTION_SIZE;
  }
  return bytes;
}

/** An answer, or undefined: the shard is ready. @throws {CodecError} */
export function decodeFromShard(bytes: Uint8Array): Answer | undefined {
  if (bytes.length === 1 && bytes[0] === READY) return undefined;
  const r = new Reader(bytes);
  expectKind(r, ANSWER);
  const [epoch, round, frontier] = [r.uvarint(), r.uvarint(), r.uvarint()];
  const conflict = r.optional(() => readConflict(r));
  const stale = r.list(COUNT_MAX, () => ({ index: r.uvarint(), conflict: readConflict(r) }));
  const values = readEntries(r);
  const [settledTo, micros, accesses] = [r.uvarint(), r.uvarint(), r.uvarint()];
  const net = r.optional(() => readNet(r));
  const correctionCount = r.uvarint(COUNT_MAX);
  const start = aligned(bytes.length - r.remaining);
  if (start + correctionCount * CORRECTION_SIZE !== bytes.length)
    throw codecError("CODEC_TRUNCATED", `${correctionCount} corrections announced`, { size: bytes.length });
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const corrections: Correction[] = [];
  for (let at = start; at < bytes.length; at += CORRECTION_SIZE)
    corrections.push({
      index: view.getUint32(at, true),
      at: view.getUint32(at + 4, true),
      fields: bytes.subarray(at + 8, at + CORRECTION_SIZE),
    });
  return { epoch, round, frontier, conflict, stale, values, settledTo, corrections, net, micros, accesses };
}

function expectKind(r: Reader, expected: number): void {
  const kind = r.byte();
  if (kind !== expected) throw codecError("CODEC_MALFORMED", `a message of kind ${kind}, not ${expected}`, { kind });
}

function writeConflict(w: Writer, { address, slot, writer, value }: Conflict): void {
  w.fixed(fromHex(address));
  w.optional(slot, (key) =>
    w
      .fixed(fromHex(key))
      .uvarint(writer + 1)
      .fixed(value as Uint8Array),
  );
}

function readConflict(r: Reader): Conflict {
  const address = toHexKey(r.fixed(20));
  return (
    r.optional(() => ({
      address,
      slot: toHexKey(r.fixed(32)),
      writer: r.uvarint() - 1,
      value: r.fixed(32).slice(),
    })) ?? { address, slot: undefined, writer: -1, value: undefined }
  );
}

function writeNet(w: Writer, { accounts, codes }: StateWrites): void {
  w.list([...accounts], ([key, { cleared, account, storage }]) => {
    w.fixed(fromHex(key)).byte(cleared ? 1 : 0);
    writeAccount(w, account);
    w.list([...storage], ([slot, value]) => w.fixed(fromHex(slot)).fixed(value));
  });
  w.list([...codes.keys()], (hash) => w.fixed(fromHex(hash)));
}

function readNet(r: Reader): StateWrites {
  const accounts = r.list(COUNT_MAX, (): [string, AccountWrite] => {
    const key = toHexKey(r.fixed(20));
    const cleared = r.byte() === 1;
    const read = readAccount(r);
    const account = read && { nonce: read.nonce, balanceWei: read.balanceWei, codeHash: read.codeHash };
    const storage = r.list(COUNT_MAX, (): [string, Uint8Array] => [toHexKey(r.fixed(32)), r.fixed(32).slice()]);
    return [key, { cleared, account, storage: new Map(storage) }];
  });
  const codes = r.list(COUNT_MAX, (): [string, Uint8Array] => [toHexKey(r.fixed(32)), EMPTY]);
  return { accounts: new Map(accounts), codes: new Map(codes) };
}
