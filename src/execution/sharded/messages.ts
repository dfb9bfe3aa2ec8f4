/**
 * Owns what travels between the coordinator and its executors, as bytes: the same over a thread's port and over a
 * socket. Results are the engine's own records without their zeros, read where they are unpacked. Decoding checks
 * every length; what does not decode is a CodecError and ends the link it came over.
 */
import { codecError, Reader, Writer } from "../../base/binary.ts";
import { bytesEqual } from "../../base/bytes.ts";
import { packedSizeMax, packWords, unpackWords } from "../../base/zero-words.ts";
import { EMPTY_CODE_HASH } from "../../protocol/ordered-trie.ts";
import type { StateWrites } from "../../protocol/state-writes.ts";
import type { Account, BlockEnv, Fork, MissingKey, TxInput } from "../execution.ts";
import { ACCOUNT as ACCOUNT_LAYOUT, SLOT as SLOT_LAYOUT } from "../wasm/layout.ts";
import { Output, TxRecord } from "../wasm/result.ts";

/** Something an executor may take for true; wrong ones cost time only. Block hashes and code must be right. */
export type StateEntry =
  | { readonly kind: "account"; readonly address: Uint8Array; readonly account: Account | undefined }
  | { readonly kind: "slot"; readonly address: Uint8Array; readonly slot: Uint8Array; readonly value: Uint8Array }
  | { readonly kind: "code"; readonly codeHash: Uint8Array; readonly code: Uint8Array }
  | { readonly kind: "blockHash"; readonly number: number; readonly hash: Uint8Array };

/**
 * What the transaction at position `writer` left in a slot, which is what the one at `reader` finds; -1: it was there
 * before the epoch. Like entries, it may be wrong.
 */
export type SlotVersion = {
  readonly address: Uint8Array;
  readonly slot: Uint8Array;
  readonly value: Uint8Array;
  readonly writer: number;
  readonly reader: number;
};

export type DealtTx = {
  readonly index: number;
  readonly l1FeeWei: bigint;
  readonly sender: Uint8Array;
  readonly raw: Uint8Array;
};

export type ToExecutor =
  /** Batches that follow run in this block; those of earlier epochs are dropped. */
  | { readonly kind: "epoch"; readonly epoch: number; readonly env: BlockEnv }
  | {
      readonly kind: "run";
      readonly epoch: number;
      readonly batch: number;
      readonly entries: readonly StateEntry[];
      readonly versions: readonly SlotVersion[];
      readonly txs: readonly DealtTx[];
    }
  /** Answers `need`. */
  | {
      readonly kind: "state";
      readonly epoch: number;
      readonly batch: number;
      readonly entries: readonly StateEntry[];
    }
  /** What is known better now. */
  | { readonly kind: "update"; readonly entries: readonly StateEntry[] }
  /** Nothing that was said about the state is to be relied on. */
  | { readonly kind: "forget" };

export type FromExecutor =
  | {
      readonly kind: "done";
      readonly epoch: number;
      readonly batch: number;
      /** Time of the runs. */
      readonly micros: number;
      /** Of the transactions in `records`, in the same order; what is left out could not be run. */
      readonly indexes: readonly number[];
      readonly records: readonly TxRecord[];
    }
  | {
      readonly kind: "need";
      readonly epoch: number;
      readonly batch: number;
      readonly keys: readonly MissingKey[];
    };

const EPOCH = 1;
const RUN = 2;
const STATE = 3;
const UPDATE = 4;
const FORGET = 5;
const DONE = 1;
const NEED = 2;
const ACCOUNT = 0;
const SLOT = 1;
const CODE = 2;
const BLOCK_HASH = 3;
const COUNT_MAX = 10_000_000;
/** Fees below it take the short form. */
const SHORT_FEE_MAX = 2n ** 52n;
/** Slots of one result that others are told of. */
const TOLD_SLOTS_MAX = 16;
/** Of one batch. */
const RECORD_BYTES_MAX = 1024 * 1024 * 1024;
const FORKS: readonly Fork[] = ["london", "paris", "shanghai", "cancun", "prague", "osaka"];

/** One for all messages, since each is written at once and copied out of it. */
let scratch = new Writer(64 * 1024);
const SCRATCH_MAX = 8 * 1024 * 1024;

function begin(kind: number): Writer {
  if (scratch.length > SCRATCH_MAX) scratch = new Writer(64 * 1024);
  scratch.truncate(0);
  return scratch.byte(kind);
}

export function encodeToExecutor(m: ToExecutor): Uint8Array {
  switch (m.kind) {
    case "epoch": {
      const w = begin(EPOCH).uvarint(m.epoch);
      const e = m.env;
      w.uvarint(e.chainId).uvarint(e.number).uvarint(e.timestamp).uvarint(e.gasLimit);
      w.bigint(e.baseFeePerGasWei).bigint(e.blobBaseFeeWei).fixed(e.coinbase).fixed(e.prevRandao);
      return w
        .byte(FORKS.indexOf(e.fork))
        .byte(e.feePolicy === "op" ? 1 : 0)
        .finish();
    }
    case "run":
      return encodeRun({ ...m, indexes: m.txs.map(({ index }) => index), news: [] });
    case "state": {
      const w = begin(STATE).uvarint(m.epoch).uvarint(m.batch);
      writeEntries(w, m.entries);
      return w.finish();
    }
    case "update":
      return encodeUpdate(undefined, m.entries);
    case "forget":
      break;
  }
  return Uint8Array.of(FORGET);
}

/** A result others are to know of: what the transaction at `writer` left behind in slots. */
export type News = { readonly writer: number; readonly record: TxRecord };

/** A batch as it is dealt, without an object for each of its parts; `indexes`: of `txs`, one for one. */
export function encodeRun(p: {
  readonly epoch: number;
  readonly batch: number;
  readonly entries: readonly StateEntry[];
  readonly versions: Iterable<SlotVersion>;
  readonly news: readonly News[];
  readonly indexes: readonly number[];
  readonly txs: readonly TxInput[];
}): Uint8Array {
  const w = begin(RUN).uvarint(p.epoch).uvarint(p.batch);
  writeEntries(w, p.entries);
  for (const v of p.versions)
    w.byte(1)
      .fixed(v.address)
      .fixed(v.slot)
      .fixed(v.value)
      .uvarint(v.writer + 1)
      .uvarint(v.reader);
  for (const { writer, record } of p.news) writeNews(w, record, writer);
  w.byte(0).uvarint(p.indexes.length);
  for (let i = 0; i < p.indexes.length; i++) {
    const { l1FeeWei, sender, raw } = p.txs[i] as TxInput;
    w.uvarint(p.indexes[i] as number);
    if (l1FeeWei < SHORT_FEE_MAX) w.uvarint(Number(l1FeeWei) + 1);
    else w.byte(0).bigint(l1FeeWei);
    w.fixed(sender).bytes(raw);
  }
  return w.finish();
}

/** The slots that a result left behind, as versions. */
function writeNews(w: Writer, record: TxRecord, writer: number): void {
  let told = 0;
  record.forEachAccount((at, slotsAt, slotCount) => {
    for (let i = 0, slot = slotsAt; i < slotCount && told < TOLD_SLOTS_MAX; i++, slot += SLOT_LAYOUT.size) {
      if (record.u32(slot + SLOT_LAYOUT.written) === 0) continue;
      told++;
      w.byte(1)
        .fixed(record.slice(at + ACCOUNT_LAYOUT.address, at + ACCOUNT_LAYOUT.address + 20))
        .fixed(record.slice(slot + SLOT_LAYOUT.key, slot + SLOT_LAYOUT.key + 32))
        .fixed(record.slice(slot + SLOT_LAYOUT.value, slot + SLOT_LAYOUT.value + 32))
        .uvarint(writer + 1)
        .uvarint(writer + 1);
    }
  });
}

/** What is known better now: a net effect, and `entries` beside it. */
export function encodeUpdate(writes: StateWrites | undefined, entries: readonly StateEntry[]): Uint8Array {
  const w = begin(UPDATE);
  let count = entries.length;
  if (writes !== undefined) {
    count += writes.codes.size;
    for (const write of writes.accounts.values()) count += 1 + write.storage.size;
  }
  w.uvarint(count);
  if (writes !== undefined) {
    for (const [address, write] of writes.accounts) {
      writeAccount(w.byte(ACCOUNT).hex(address), write.account);
      for (const [slot, value] of write.storage) w.byte(SLOT).hex(address).hex(slot).fixed(value);
    }
    for (const [hash, code] of writes.codes) w.byte(CODE).hex(hash).bytes(code);
  }
  for (const entry of entries) writeEntry(w, entry);
  return w.finish();
}

/** @throws {CodecError} */
export function decodeToExecutor(bytes: Uint8Array): ToExecutor {
  const r = new Reader(bytes);
  const kind = r.byte();
  switch (kind) {
    case EPOCH: {
      const epoch = r.uvarint();
      const [chainId, number, timestamp, gasLimit] = [r.uvarint(), r.uvarint(), r.uvarint(), r.uvarint()];
      const env: BlockEnv = {
        chainId,
        number,
        timestamp,
        gasLimit,
        baseFeePerGasWei: r.bigint(),
        blobBaseFeeWei: r.bigint(),
        coinbase: r.fixed(20),
        prevRandao: r.fixed(32),
        fork: FORKS[r.byte()] ?? "prague",
        feePolicy: r.byte() === 1 ? "op" : "ethereum",
      };
      return { kind: "epoch", epoch, env };
    }
    case RUN: {
      const [epoch, batch] = [r.uvarint(), r.uvarint()];
      const entries = readEntries(r);
      const versions: SlotVersion[] = [];
      while (r.byte() === 1)
        versions.push({
          address: r.fixed(20),
          slot: r.fixed(32),
          value: r.fixed(32),
          writer: r.uvarint() - 1,
          reader: r.uvarint(),
        });
      const txs = r.list(COUNT_MAX, () => {
        const index = r.uvarint();
        const fee = r.uvarint();
        return { index, l1FeeWei: fee === 0 ? r.bigint() : BigInt(fee - 1), sender: r.fixed(20), raw: r.bytes() };
      });
      return { kind: "run", epoch, batch, entries, versions, txs };
    }
    case STATE:
      return { kind: "state", epoch: r.uvarint(), batch: r.uvarint(), entries: readEntries(r) };
    case UPDATE:
      return { kind: "update", entries: readEntries(r) };
    default:
      return { kind: "forget" };
  }
}

export function encodeDone(p: {
  readonly epoch: number;
  readonly batch: number;
  readonly micros: number;
  readonly indexes: readonly number[];
  /** Their records, one behind the other, each a multiple of 8 bytes. */
  readonly records: readonly Uint8Array[];
}): Uint8Array {
  const head = new Writer(64 + p.indexes.length * 3).byte(DONE).uvarint(p.epoch).uvarint(p.batch).uvarint(p.micros);
  head.list(p.indexes, (index) => head.uvarint(index));
  let size = 0;
  for (const part of p.records) size += part.length;
  head.uvarint(size);
  const start = (head.length + 7) & ~7;
  const bytes = new Uint8Array(start + packedSizeMax(size));
  bytes.set(head.view());
  return bytes.slice(0, packWords(p.records, bytes, start));
}

export function encodeNeed(epoch: number, batch: number, keys: readonly MissingKey[]): Uint8Array {
  const w = new Writer(1_024).byte(NEED).uvarint(epoch).uvarint(batch);
  w.list(keys, (key) => {
    switch (key.kind) {
      case "account":
        w.byte(ACCOUNT).fixed(key.address);
        break;
      case "slot":
        w.byte(SLOT).fixed(key.address).fixed(key.slot);
        break;
      case "code":
        w.byte(CODE).fixed(key.codeHash);
        break;
      case "blockHash":
        w.byte(BLOCK_HASH).uvarint(key.number);
        break;
    }
  });
  return w.finish();
}

/** `bytes` in a buffer of its own. @throws {CodecError} */
export function decodeFromExecutor(bytes: Uint8Array): FromExecutor {
  const r = new Reader(bytes);
  if (r.byte() === NEED) {
    const [epoch, batch] = [r.uvarint(), r.uvarint()];
    const keys = r.list(COUNT_MAX, (): MissingKey => {
      switch (r.byte()) {
        case ACCOUNT:
          return { kind: "account", address: r.fixed(20) };
        case SLOT:
          return { kind: "slot", address: r.fixed(20), slot: r.fixed(32) };
        case CODE:
          return { kind: "code", codeHash: r.fixed(32) };
        default:
          return { kind: "blockHash", number: r.uvarint() };
      }
    });
    return { kind: "need", epoch, batch, keys };
  }
  const [epoch, batch, micros] = [r.uvarint(), r.uvarint(), r.uvarint()];
  const indexes = r.list(COUNT_MAX, () => r.uvarint());
  const size = r.uvarint();
  if (size > RECORD_BYTES_MAX) throw codecError("CODEC_LIMIT", `${size} bytes of records`, { size });
  const unpacked = unpackWords(bytes, (bytes.length - r.remaining + 7) & ~7, size);
  const output = new Output(unpacked);
  let at = 0;
  const records = indexes.map(() => {
    const record = new TxRecord(output, at);
    // Beyond the end the size is undefined, and compares as false.
    if (!(record.size > 0 && at + record.size <= size))
      throw codecError("CODEC_TRUNCATED", `the record at ${at} goes beyond the message`, { at, size });
    at += record.size;
    return record;
  });
  return { kind: "done", epoch, batch, micros, indexes, records };
}

export function writeEntries(w: Writer, entries: readonly StateEntry[]): void {
  w.uvarint(entries.length);
  for (const entry of entries) writeEntry(w, entry);
}

function writeEntry(w: Writer, entry: StateEntry): void {
  switch (entry.kind) {
    case "account":
      writeAccount(w.byte(ACCOUNT).fixed(entry.address), entry.account);
      break;
    case "slot":
      w.byte(SLOT).fixed(entry.address).fixed(entry.slot).fixed(entry.value);
      break;
    case "code":
      w.byte(CODE).fixed(entry.codeHash).bytes(entry.code);
      break;
    case "blockHash":
      w.byte(BLOCK_HASH).uvarint(entry.number).fixed(entry.hash);
      break;
  }
}

/** Entries hold views of what is read. */
export function readEntries(r: Reader): StateEntry[] {
  return r.list(COUNT_MAX, (): StateEntry => {
    switch (r.byte()) {
      case ACCOUNT: {
        const address = r.fixed(20);
        return { kind: "account", address, account: readAccount(r) };
      }
      case SLOT:
        return { kind: "slot", address: r.fixed(20), slot: r.fixed(32), value: r.fixed(32) };
      case CODE:
        return { kind: "code", codeHash: r.fixed(32), code: r.bytes() };
      default:
        return { kind: "blockHash", number: r.uvarint(), hash: r.fixed(32) };
    }
  });
}

export function isUpdate(message: Uint8Array): boolean {
  return message[0] === UPDATE;
}

/** Goes over an update without unpacking it: `account` and `slot` are told where an entry's key begins. @throws {CodecError} */
export function forEachEntry(
  update: Uint8Array,
  on: {
    readonly account: (at: number) => void;
    readonly slot: (at: number) => void;
    readonly code: (codeHash: Uint8Array, code: Uint8Array) => void;
  },
): void {
  const r = new Reader(update);
  r.skip(1);
  for (let left = r.uvarint(COUNT_MAX); left > 0; left--) {
    const kind = r.byte();
    const at = update.length - r.remaining;
    switch (kind) {
      case ACCOUNT:
        r.skip(20);
        if (r.byte() === 1) {
          r.skip(r.uvarint());
          r.skip(r.uvarint());
          r.skip(33);
        }
        on.account(at);
        break;
      case SLOT:
        r.skip(84);
        on.slot(at);
        break;
      case CODE:
        on.code(r.fixed(32), r.bytes());
        break;
      default:
        r.uvarint();
        r.skip(32);
    }
  }
}

export function writeAccount(w: Writer, account: Account | undefined): void {
  if (account === undefined) w.byte(0);
  else
    w.byte(1)
      .bigint(account.nonce)
      .bigint(account.balanceWei)
      .fixed(account.codeHash)
      .byte(account.hasStorage === true ? 1 : 0);
}

export function readAccount(r: Reader): Account | undefined {
  return r.optional(() => ({
    nonce: r.bigint(),
    balanceWei: r.bigint(),
    codeHash: readCodeHash(r),
    hasStorage: r.byte() === 1,
  }));
}

/** Most are the one of no code: as one object. */
function readCodeHash(r: Reader): Uint8Array {
  const hash = r.fixed(32);
  return bytesEqual(hash, EMPTY_CODE_HASH) ? EMPTY_CODE_HASH : hash.slice();
}
