/**
 * Owns RLP: a strict decoder, a one-pass encoder, and the cursor that typed codecs read fields with.
 * Invariant: decoding accepts exactly the canonical encodings, so `encodeRlp(decodeRlp(x))` is `x`. Decoded strings
 * are views of the input, not copies. Depth and size are bounded; every refusal is a CodedError.
 * @see https://ethereum.org/developers/docs/data-structures-and-encoding/rlp/, yellow paper appendix B
 */
import { EMPTY_BYTES } from "../base/bytes.ts";
import { defineErrors } from "../base/error.ts";

export type RlpItem = Uint8Array | readonly RlpItem[];

/** Deeper nesting than any Ethereum object has (4), low enough that recursion is safe. */
export const RLP_DEPTH_MAX = 1024;
/**
 * Default bound on what is decoded into a tree: eight times the largest transaction. A tree costs up to 50 times its
 * encoding (empty lists), so this keeps strangers' bytes below 50 MiB.
 */
export const RLP_SIZE_BYTES_MAX = 1024 * 1024;

const rlpError = defineErrors("Rlp", {
  RLP_TRUNCATED: {
    summary: "The input ends before the length it announces.",
    action: "Send the whole encoding.",
    retryable: false,
  },
  RLP_NOT_CANONICAL: {
    summary: "A length or a single byte is not in its shortest form, or an integer has leading zeros.",
    action: "Encode with a canonical RLP encoder.",
    retryable: false,
  },
  RLP_TRAILING_BYTES: {
    summary: "Bytes follow the end of the item.",
    action: "Send exactly one item.",
    retryable: false,
  },
  RLP_UNEXPECTED_SHAPE: {
    summary: "A list stands where a string is due, or the other way round, or a field has a foreign length.",
    action: "Compare the field order and lengths with the specification of the object.",
    retryable: false,
  },
  RLP_TOO_DEEP: {
    summary: "Lists nest deeper than the limit.",
    action: "Nothing in Ethereum nests this deep; check the encoder.",
    retryable: false,
  },
  RLP_TOO_LARGE: { summary: "The item is larger than the limit.", action: "Split the data.", retryable: false },
});

/** Reads a canonical RLP sequence field by field without building a tree. All methods throw RLP_* codes. */
export class RlpReader {
  readonly bytes: Uint8Array;
  /** Next byte to read. */
  at: number;
  /** End of what may be read: of the innermost entered list. */
  end: number;
  /** Payload bounds of the item last seen by {@link next}. */
  private payloadAt = 0;
  private payloadEnd = 0;

  constructor(bytes: Uint8Array, at = 0, end: number = bytes.length) {
    // Views of a Buffer would be Buffers, whose slice() does not copy: hand out plain arrays only.
    this.bytes =
      bytes.constructor === Uint8Array ? bytes : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.at = at;
    this.end = end;
  }

  /** True when the current list has no further item. */
  get isAtEnd(): boolean {
    return this.at === this.end;
  }

  /** Steps over the item header; returns whether it is a list. Payload bounds are then known, `at` is behind the item. */
  private next(): boolean {
    const { bytes, end } = this;
    let at = this.at;
    if (at >= end) throw rlpError("RLP_TRUNCATED", "an item is missing", { at });
    const prefix = bytes[at++] as number;
    if (prefix < 0x80) {
      this.payloadAt = at - 1;
      this.payloadEnd = at;
      this.at = at;
      return false;
    }
    const isList = prefix >= 0xc0;
    const short = prefix - (isList ? 0xc0 : 0x80);
    let length = short;
    if (short > 55) {
      const lengthBytes = short - 55;
      if (at + lengthBytes > end) throw rlpError("RLP_TRUNCATED", "the length field is cut off", { at });
      if (bytes[at] === 0) throw rlpError("RLP_NOT_CANONICAL", "the length has leading zeros", { at });
      // More than 6 bytes cannot fit any input; 6 keep the number exact.
      if (lengthBytes > 6) throw rlpError("RLP_TRUNCATED", "the length exceeds the input", { at, lengthBytes });
      length = 0;
      for (let i = 0; i < lengthBytes; i++) length = length * 256 + (bytes[at++] as number);
      if (length <= 55) throw rlpError("RLP_NOT_CANONICAL", "a short length is written in the long form", { at });
    }
    if (length > end - at) throw rlpError("RLP_TRUNCATED", "the item exceeds its container", { at, length });
    if (!isList && length === 1 && (bytes[at] as number) < 0x80)
      throw rlpError("RLP_NOT_CANONICAL", "a single byte below 0x80 carries a header", { at });
    this.payloadAt = at;
    this.payloadEnd = at + length;
    this.at = at + length;
    return isList;
  }

  /** The next item, which must be a string, as a view. */
  string(): Uint8Array {
    if (this.next()) throw rlpError("RLP_UNEXPECTED_SHAPE", "a list stands where a string is due", { at: this.at });
    return this.payloadEnd === this.payloadAt ? EMPTY_BYTES : this.bytes.subarray(this.payloadAt, this.payloadEnd);
  }

  /** The next item, a string of exactly `length` bytes, as a view. */
  fixed(length: number, what: string): Uint8Array {
    const value = this.string();
    if (value.length !== length)
      throw rlpError("RLP_UNEXPECTED_SHAPE", `${what} has ${value.length} bytes, not ${length}`, { what, length });
    return value;
  }

  /** The next item as an unsigned integer of at most `maxBytes` bytes, without leading zeros. */
  integer(maxBytes: number, what: string): bigint {
    const length = this.integerPayload(maxBytes, what);
    const { bytes, payloadAt } = this;
    // Up to six bytes fit a double; most fields do.
    if (length <= 6) {
      let small = 0;
      for (let i = 0; i < length; i++) small = small * 256 + (bytes[payloadAt + i] as number);
      return BigInt(small);
    }
    let value = 0n;
    let at = payloadAt;
    for (let rest = length % 4; rest > 0; rest--) value = (value << 8n) | BigInt(bytes[at++] as number);
    for (; at < this.payloadEnd; at += 4) {
      const word =
        (bytes[at] as number) * 0x1000000 +
        (((bytes[at + 1] as number) << 16) | ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number));
      value = (value << 32n) | BigInt(word);
    }
    return value;
  }

  /** The next item as an unsigned integer within the safe range of `number`. */
  safeInteger(what: string): number {
    const length = this.integerPayload(7, what);
    let value = 0;
    for (let i = 0; i < length; i++) value = value * 256 + (this.bytes[this.payloadAt + i] as number);
    if (!Number.isSafeInteger(value))
      throw rlpError("RLP_UNEXPECTED_SHAPE", `${what} exceeds 2^53 - 1`, { what, length });
    return value;
  }

  private integerPayload(maxBytes: number, what: string): number {
    if (this.next()) throw rlpError("RLP_UNEXPECTED_SHAPE", `${what} is a list`, { what });
    const length = this.payloadEnd - this.payloadAt;
    if (length > maxBytes)
      throw rlpError("RLP_UNEXPECTED_SHAPE", `${what} has ${length} bytes, at most ${maxBytes} are allowed`, {
        what,
        length,
        maxBytes,
      });
    if (length > 0 && this.bytes[this.payloadAt] === 0)
      throw rlpError("RLP_NOT_CANONICAL", `${what} has leading zeros`, { what });
    return length;
  }

  /** Enters the next item, which must be a list; returns what {@link leave} needs. */
  enter(): number {
    if (!this.next()) throw rlpError("RLP_UNEXPECTED_SHAPE", "a string stands where a list is due", { at: this.at });
    const outerEnd = this.end;
    this.at = this.payloadAt;
    this.end = this.payloadEnd;
    return outerEnd;
  }

  /** Leaves the list entered last, which must be exhausted. */
  leave(outerEnd: number): void {
    if (this.at !== this.end)
      throw rlpError("RLP_UNEXPECTED_SHAPE", "the list has more items than expected", { at: this.at });
    this.end = outerEnd;
  }

  /** The next item of either kind as a tree of views. */
  item(depth = 0): RlpItem {
    if (!this.next())
      return this.payloadEnd === this.payloadAt ? EMPTY_BYTES : this.bytes.subarray(this.payloadAt, this.payloadEnd);
    if (depth >= RLP_DEPTH_MAX) throw rlpError("RLP_TOO_DEEP", `more than ${RLP_DEPTH_MAX} nested lists`);
    const outerEnd = this.end;
    this.at = this.payloadAt;
    this.end = this.payloadEnd;
    const items: RlpItem[] = [];
    while (this.at !== this.end) items.push(this.item(depth + 1));
    this.end = outerEnd;
    return items;
  }

  /** Asserts by error that nothing follows. */
  finish(): void {
    if (this.at !== this.end)
      throw rlpError("RLP_TRAILING_BYTES", `${this.end - this.at} bytes follow the item`, { at: this.at });
  }
}

/**
 * Decodes exactly one canonical item that fills `bytes`.
 * @throws {CodedError} RLP_TRUNCATED, RLP_NOT_CANONICAL, RLP_TRAILING_BYTES, RLP_TOO_DEEP, RLP_TOO_LARGE
 */
export function decodeRlp(bytes: Uint8Array, sizeBytesMax: number = RLP_SIZE_BYTES_MAX): RlpItem {
  if (bytes.length > sizeBytesMax)
    throw rlpError("RLP_TOO_LARGE", `${bytes.length} bytes exceed ${sizeBytesMax}`, { sizeBytes: bytes.length });
  const reader = new RlpReader(bytes);
  const item = reader.item();
  reader.finish();
  return item;
}

/** Bytes that the header of a payload of `length` bytes takes (not for single bytes below 0x80). */
export function rlpHeaderLength(length: number): number {
  if (length <= 55) return 1;
  let bytes = 2;
  for (let rest = length; rest > 0xff; rest = Math.floor(rest / 256)) bytes++;
  return bytes;
}

/** Writes a header into `out` at `at`; `offset` is 0x80 for strings, 0xc0 for lists. Returns the next position. */
export function writeRlpHeader(out: Uint8Array, at: number, offset: 0x80 | 0xc0, length: number): number {
  if (length <= 55) {
    out[at] = offset + length;
    return at + 1;
  }
  const size = rlpHeaderLength(length) - 1;
  out[at] = offset + 55 + size;
  let rest = length;
  for (let i = size; i > 0; i--) {
    out[at + i] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  return at + 1 + size;
}

/** Encoded length of a string. */
export function rlpStringLength(bytes: Uint8Array): number {
  return bytes.length === 1 && (bytes[0] as number) < 0x80 ? 1 : rlpHeaderLength(bytes.length) + bytes.length;
}

/** Writes a string; returns the next position. */
export function writeRlpString(out: Uint8Array, at: number, bytes: Uint8Array): number {
  if (bytes.length === 1 && (bytes[0] as number) < 0x80) {
    out[at] = bytes[0] as number;
    return at + 1;
  }
  const start = writeRlpHeader(out, at, 0x80, bytes.length);
  out.set(bytes, start);
  return start + bytes.length;
}

/** Collects payload lengths of lists in visiting order, so that writing needs no second measurement. */
function measure(item: RlpItem, lengths: number[]): number {
  if (item instanceof Uint8Array) return rlpStringLength(item);
  const slot = lengths.length;
  lengths.push(0);
  let payload = 0;
  for (const child of item) payload += measure(child, lengths);
  lengths[slot] = payload;
  return rlpHeaderLength(payload) + payload;
}

/** Encodes an item into one new array, `prefix` bytes (a transaction type) in front when given. */
export function encodeRlp(item: RlpItem, prefix: Uint8Array = EMPTY_BYTES): Uint8Array {
  const lengths: number[] = [];
  const out = new Uint8Array(prefix.length + measure(item, lengths));
  out.set(prefix, 0);
  let nextList = 0;
  const write = (node: RlpItem, at: number): number => {
    if (node instanceof Uint8Array) return writeRlpString(out, at, node);
    let position = writeRlpHeader(out, at, 0xc0, lengths[nextList++] as number);
    for (const child of node) position = write(child, position);
    return position;
  };
  write(item, prefix.length);
  return out;
}
