/**
 * Owns the column form of transactions inside a segment. Fields of the same kind lie together, because they compress
 * far better so; signatures, which do not compress at all, are kept apart and are never given to the compressor.
 * Invariant: `join(split(raw)) = raw` for any bytes: whatever is not a canonical transaction of type 0, 1, 2 or 4 of the
 * segment's chain with plain fields travels whole in the `raw` column. Splitting looks at the RLP frame only, it is no
 * validation. @see EIP-2718, EIP-155, EIP-2930, EIP-1559, EIP-7702
 */
import { codecError, Reader, Writer } from "../base/binary.ts";

const KIND_RAW = 0;
const KIND_LEGACY = 1;
const KIND_ACCESS_LIST = 2;
const KIND_DYNAMIC_FEE = 3;
const KIND_SET_CODE = 4;
const KIND_MASK = 0x07;
const FLAG_PARITY = 0x08;
const FLAG_CREATE = 0x10;
const FLAG_ACCESS_LIST = 0x20;

export const SIGNATURE_BYTES = 64;

const ZERO_32 = new Uint8Array(32);

/** Order of the compressed columns on the wire. */
const COLUMNS = [
  "kinds",
  "nonces",
  "gasLimits",
  "tips",
  "fees",
  "recipients",
  "values",
  "dataSizes",
  "data",
  "lists",
  "raw",
] as const;
type ColumnName = (typeof COLUMNS)[number];

/** Type byte per kind, and positions of the fields in its RLP list (-1: has no such field). */
type Shape = {
  readonly typeByte: number;
  readonly fields: number;
  readonly chainId: number;
  readonly nonce: number;
  readonly tip: number;
  readonly fee: number;
  readonly gasLimit: number;
  readonly to: number;
  readonly accessList: number;
  readonly authorizations: number;
  /** yParity (or v), followed by r and s. */
  readonly parity: number;
};

const SHAPES: readonly (Shape | undefined)[] = [
  undefined,
  {
    typeByte: 0,
    fields: 9,
    chainId: -1,
    nonce: 0,
    tip: -1,
    fee: 1,
    gasLimit: 2,
    to: 3,
    accessList: -1,
    authorizations: -1,
    parity: 6,
  },
  {
    typeByte: 1,
    fields: 11,
    chainId: 0,
    nonce: 1,
    tip: -1,
    fee: 2,
    gasLimit: 3,
    to: 4,
    accessList: 7,
    authorizations: -1,
    parity: 8,
  },
  {
    typeByte: 2,
    fields: 12,
    chainId: 0,
    nonce: 1,
    tip: 2,
    fee: 3,
    gasLimit: 4,
    to: 5,
    accessList: 8,
    authorizations: -1,
    parity: 9,
  },
  {
    typeByte: 4,
    fields: 13,
    chainId: 0,
    nonce: 1,
    tip: 2,
    fee: 3,
    gasLimit: 4,
    to: 5,
    accessList: 8,
    authorizations: 9,
    parity: 10,
  },
];

/** Where each field of the transaction in hand starts and ends; reused, since splitting never nests. */
const starts = new Int32Array(13);
const ends = new Int32Array(13);
const isList = new Uint8Array(13);
/** Start of the item's own header, for fields kept with it. */
const heads = new Int32Array(13);

/** Reads the items of the list payload [at, end) into the scratch arrays; their count, or -1 if not canonical or more than 13. */
function scanItems(raw: Uint8Array, from: number, end: number): number {
  let at = from;
  let n = 0;
  while (at < end) {
    if (n === 13) return -1;
    const b = raw[at] as number;
    heads[n] = at;
    isList[n] = b >= 0xc0 ? 1 : 0;
    let start = at + 1;
    let size: number;
    if (b < 0x80) {
      start = at;
      size = 1;
    } else {
      const short = b < 0xc0 ? b - 0x80 : b - 0xc0;
      if (short <= 55) {
        size = short;
        if (b === 0x81 && (start >= end || (raw[start] as number) < 0x80)) return -1;
      } else {
        const sizeBytes = short - 55;
        if (sizeBytes > 3 || start + sizeBytes > end || raw[start] === 0) return -1;
        size = 0;
        for (let i = 0; i < sizeBytes; i++) size = size * 256 + (raw[start + i] as number);
        if (size <= 55) return -1;
        start += sizeBytes;
      }
    }
    if (start + size > end) return -1;
    starts[n] = start;
    ends[n] = start + size;
    at = start + size;
    n++;
  }
  return n;
}

/** True when field `i` is an RLP integer of at most `maxBytes`. */
function isInteger(raw: Uint8Array, i: number, maxBytes: number): boolean {
  const start = starts[i] as number;
  const size = (ends[i] as number) - start;
  return isList[i] === 0 && size <= maxBytes && (size === 0 || raw[start] !== 0);
}

/** Integer value of field `i`, or -1 if it is none below 2^53. */
function smallInteger(raw: Uint8Array, i: number): number {
  if (!isInteger(raw, i, 7)) return -1;
  let value = 0;
  for (let at = starts[i] as number; at < (ends[i] as number); at++) value = value * 256 + (raw[at] as number);
  return Number.isSafeInteger(value) ? value : -1;
}

const field = (raw: Uint8Array, i: number): Uint8Array => raw.subarray(starts[i], ends[i]);
const fieldWithHead = (raw: Uint8Array, i: number): Uint8Array => raw.subarray(heads[i], ends[i]);

/** Fills the scratch arrays with the fields of `raw`; its kind, or KIND_RAW when its frame is not one of ours. */
function scan(raw: Uint8Array): number {
  if (raw.length < 2) return KIND_RAW;
  const first = raw[0] as number;
  const kind =
    first >= 0xc0
      ? KIND_LEGACY
      : first === 1
        ? KIND_ACCESS_LIST
        : first === 2
          ? KIND_DYNAMIC_FEE
          : first === 4
            ? KIND_SET_CODE
            : 0;
  if (kind === KIND_RAW) return KIND_RAW;
  const listAt = kind === KIND_LEGACY ? 0 : 1;
  if (scanItems(raw, listAt, raw.length) !== 1 || isList[0] !== 1) return KIND_RAW;
  const shape = SHAPES[kind] as Shape;
  return scanItems(raw, starts[0] as number, raw.length) === shape.fields ? kind : KIND_RAW;
}

/** Takes transactions apart into columns. */
export class ColumnWriter {
  readonly #columns: Record<ColumnName, Writer>;
  readonly #signatures = new Writer(4096);
  readonly #chainId: number;
  #count = 0;

  constructor(chainId: number) {
    this.#chainId = chainId;
    this.#columns = Object.fromEntries(COLUMNS.map((name) => [name, new Writer(1024)])) as Record<ColumnName, Writer>;
  }

  get count(): number {
    return this.#count;
  }

  /** Bytes that the compressor will get. */
  get columnBytes(): number {
    let size = 0;
    for (const name of COLUMNS) size += this.#columns[name].length;
    return size;
  }

  /** r ‖ s of each transaction that is not raw, in order. */
  get signatures(): Uint8Array {
    return this.#signatures.view();
  }

  add(raw: Uint8Array): void {
    this.#count++;
    if (this.#addFields(raw)) return;
    this.#columns.kinds.byte(KIND_RAW);
    this.#columns.raw.bytes(raw);
  }

  /** Writes nothing unless all fields fit the columns. */
  #addFields(raw: Uint8Array): boolean {
    const kind = scan(raw);
    const shape = SHAPES[kind];
    if (shape === undefined) return false;
    const nonce = smallInteger(raw, shape.nonce);
    const gasLimit = smallInteger(raw, shape.gasLimit);
    if (nonce < 0 || gasLimit < 0) return false;
    if (shape.tip >= 0 && !isInteger(raw, shape.tip, 32)) return false;
    const value = shape.to + 1;
    const data = shape.to + 2;
    if (!isInteger(raw, shape.fee, 32) || !isInteger(raw, value, 32) || isList[data] === 1) return false;
    const toSize = (ends[shape.to] as number) - (starts[shape.to] as number);
    if (isList[shape.to] === 1 || (toSize !== 0 && toSize !== 20)) return false;
    if (!isInteger(raw, shape.parity + 1, 32) || !isInteger(raw, shape.parity + 2, 32)) return false;
    let yParity = smallInteger(raw, shape.parity);
    if (shape.chainId >= 0) {
      if (smallInteger(raw, shape.chainId) !== this.#chainId) return false;
    } else yParity -= this.#chainId * 2 + 35;
    if (yParity !== 0 && yParity !== 1) return false;
    if (shape.accessList >= 0 && isList[shape.accessList] !== 1) return false;
    if (shape.authorizations >= 0 && isList[shape.authorizations] !== 1) return false;
    const hasAccessList = shape.accessList >= 0 && starts[shape.accessList] !== ends[shape.accessList];

    const columns = this.#columns;
    columns.kinds.byte(
      kind |
        (yParity === 1 ? FLAG_PARITY : 0) |
        (toSize === 0 ? FLAG_CREATE : 0) |
        (hasAccessList ? FLAG_ACCESS_LIST : 0),
    );
    columns.nonces.uvarint(nonce);
    columns.gasLimits.uvarint(gasLimit);
    if (shape.tip >= 0) columns.tips.bytes(field(raw, shape.tip));
    columns.fees.bytes(field(raw, shape.fee));
    columns.recipients.fixed(field(raw, shape.to));
    columns.values.bytes(field(raw, value));
    columns.dataSizes.uvarint((ends[data] as number) - (starts[data] as number));
    columns.data.fixed(field(raw, data));
    if (hasAccessList) columns.lists.bytes(fieldWithHead(raw, shape.accessList));
    if (shape.authorizations >= 0) columns.lists.bytes(fieldWithHead(raw, shape.authorizations));
    this.#signature(field(raw, shape.parity + 1));
    this.#signature(field(raw, shape.parity + 2));
    return true;
  }

  /** One 32-byte half, without the leading zeros that RLP drops. */
  #signature(half: Uint8Array): void {
    this.#signatures.fixed(ZERO_32.subarray(half.length));
    this.#signatures.fixed(half);
  }

  /** Appends the column sizes and the columns to `out`. */
  writeTo(out: Writer): void {
    for (const name of COLUMNS) out.uvarint(this.#columns[name].length);
    for (const name of COLUMNS) out.fixed(this.#columns[name].view());
  }

  /** A mark to go back to with {@link rewind}. */
  mark(): ColumnMark {
    return {
      count: this.#count,
      signatures: this.#signatures.length,
      lengths: COLUMNS.map((name) => this.#columns[name].length),
    };
  }

  /** Forgets the transactions added after `mark`. */
  rewind(mark: ColumnMark): void {
    this.#count = mark.count;
    this.#signatures.truncate(mark.signatures);
    for (const [i, name] of COLUMNS.entries()) this.#columns[name].truncate(mark.lengths[i] as number);
  }
}

export type ColumnMark = { readonly count: number; readonly signatures: number; readonly lengths: readonly number[] };

/** Bytes of the RLP header of a string or list of `size` bytes. */
function headSize(size: number): number {
  return size <= 55 ? 1 : size < 0x100 ? 2 : size < 0x10000 ? 3 : 4;
}

function stringSize(bytes: Uint8Array): number {
  return bytes.length === 1 && (bytes[0] as number) < 0x80 ? 1 : headSize(bytes.length) + bytes.length;
}

function writeHead(out: Writer, size: number, offset: 0x80 | 0xc0): void {
  if (size <= 55) {
    out.byte(offset + size);
    return;
  }
  const sizeBytes = headSize(size) - 1;
  out.byte(offset + 55 + sizeBytes);
  for (let shift = 8 * (sizeBytes - 1); shift >= 0; shift -= 8) out.byte((size >>> shift) & 0xff);
}

function writeString(out: Writer, bytes: Uint8Array): void {
  if (!(bytes.length === 1 && (bytes[0] as number) < 0x80)) writeHead(out, bytes.length, 0x80);
  out.fixed(bytes);
}

/** Minimal big-endian bytes of a safe integer. */
function integerBytes(value: number): Uint8Array {
  let size = 0;
  for (let v = value; v > 0; v = Math.floor(v / 256)) size++;
  const out = new Uint8Array(size);
  for (let i = size - 1, v = value; i >= 0; i--, v = Math.floor(v / 256)) out[i] = v % 256;
  return out;
}

function withoutLeadingZeros(word: Uint8Array): Uint8Array {
  let i = 0;
  while (i < word.length && word[i] === 0) i++;
  return word.subarray(i);
}

/** Largest data, access list or raw transaction that a column may hold: keeps RLP headers within 4 bytes. */
const ITEM_BYTES_MAX = 0x7fffff;

/**
 * Puts `count` transactions together again from what {@link ColumnWriter} wrote; reads `columns` to its end.
 * @throws {CodecError}
 */
export function joinColumns(columns: Reader, signatures: Uint8Array, count: number, chainId: number): Uint8Array[] {
  const columnBytes = columns.remaining;
  const sizes = COLUMNS.map(() => columns.uvarint());
  const readers = Object.fromEntries(
    COLUMNS.map((name, i) => {
      const bytes = columns.fixed(sizes[i] as number);
      return [name, new Reader(bytes)];
    }),
  ) as Record<ColumnName, Reader>;
  columns.end();
  const signatureReader = new Reader(signatures);
  const chainIdBytes = integerBytes(chainId);
  const out = new Writer(signatures.length + columnBytes + count * 24);
  const offsets: number[] = [0];
  for (let t = 0; t < count; t++) {
    joinOne(readers, signatureReader, chainId, chainIdBytes, out);
    offsets.push(out.length);
  }
  for (const name of COLUMNS) readers[name].end();
  signatureReader.end();
  const all = out.view();
  return Array.from({ length: count }, (_, t) => all.subarray(offsets[t], offsets[t + 1]));
}

function joinOne(
  columns: Record<ColumnName, Reader>,
  signatures: Reader,
  chainId: number,
  chainIdBytes: Uint8Array,
  out: Writer,
): void {
  const flags = columns.kinds.byte();
  if (flags === KIND_RAW) {
    out.fixed(columns.raw.bytes(ITEM_BYTES_MAX));
    return;
  }
  const shape = SHAPES[flags & KIND_MASK];
  const noList = shape?.accessList === -1 && (flags & FLAG_ACCESS_LIST) !== 0;
  if (shape === undefined || flags > 0x3f || noList) throw codecError("CODEC_MALFORMED", `transaction kind ${flags}`);

  const nonce = integerBytes(columns.nonces.uvarint());
  const gasLimit = integerBytes(columns.gasLimits.uvarint());
  const tip = shape.tip >= 0 ? columns.tips.bytes() : undefined;
  const fee = columns.fees.bytes();
  const to = columns.recipients.fixed((flags & FLAG_CREATE) !== 0 ? 0 : 20);
  const value = columns.values.bytes();
  const data = columns.data.fixed(columns.dataSizes.uvarint(ITEM_BYTES_MAX));
  const accessList = (flags & FLAG_ACCESS_LIST) !== 0 ? columns.lists.bytes() : undefined;
  const authorizations = shape.authorizations >= 0 ? columns.lists.bytes() : undefined;
  const yParity = (flags & FLAG_PARITY) === 0 ? 0 : 1;
  const parity = integerBytes(shape.chainId >= 0 ? yParity : chainId * 2 + 35 + yParity);
  const r = withoutLeadingZeros(signatures.fixed(32));
  const s = withoutLeadingZeros(signatures.fixed(32));
  for (const part of [tip, fee, value, accessList, authorizations])
    if (part !== undefined && part.length > ITEM_BYTES_MAX) throw codecError("CODEC_MALFORMED", "a field is too large");

  let size = stringSize(nonce) + stringSize(fee) + stringSize(gasLimit) + stringSize(to) + stringSize(value);
  size += stringSize(data) + stringSize(parity) + stringSize(r) + stringSize(s);
  if (shape.chainId >= 0) size += stringSize(chainIdBytes);
  if (tip !== undefined) size += stringSize(tip);
  if (shape.accessList >= 0) size += accessList?.length ?? 1;
  if (authorizations !== undefined) size += authorizations.length;
  if (size > ITEM_BYTES_MAX) throw codecError("CODEC_MALFORMED", "a transaction is too large");

  if (shape.typeByte !== 0) out.byte(shape.typeByte);
  writeHead(out, size, 0xc0);
  if (shape.chainId >= 0) writeString(out, chainIdBytes);
  writeString(out, nonce);
  if (tip !== undefined) writeString(out, tip);
  writeString(out, fee);
  writeString(out, gasLimit);
  writeString(out, to);
  writeString(out, value);
  writeString(out, data);
  if (shape.accessList >= 0) {
    if (accessList === undefined) out.byte(0xc0);
    else out.fixed(accessList);
  }
  if (authorizations !== undefined) out.fixed(authorizations);
  writeString(out, parity);
  writeString(out, r);
  writeString(out, s);
}
