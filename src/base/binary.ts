/**
 * Owns the binary building blocks of every internal codec: a growing writer and a bounds-checked reader of unsigned
 * varints (LEB128, canonical), fixed bytes, length-prefixed bytes and big integers. Reading foreign bytes never throws
 * anything but CodecError, and every length is checked against what is left before memory is taken.
 */
import { assert } from "./assert.ts";
import { bigIntToMinimalBytes, bytesToBigInt, writeHex } from "./bytes.ts";
import { defineErrors } from "./error.ts";

export const codecError = defineErrors("Codec", {
  CODEC_TRUNCATED: { summary: "Bytes end before the value does.", action: "Discard the message.", retryable: false },
  CODEC_MALFORMED: { summary: "Bytes are not a canonical encoding.", action: "Discard the message.", retryable: false },
  CODEC_LIMIT: { summary: "A length or count is beyond its limit.", action: "Discard the message.", retryable: false },
});

export class Writer {
  #buffer: Uint8Array;
  #length = 0;

  constructor(sizeHintBytes = 256) {
    this.#buffer = new Uint8Array(Math.max(16, sizeHintBytes));
  }

  get length(): number {
    return this.#length;
  }

  #reserve(count: number): number {
    const at = this.#length;
    const need = at + count;
    if (need > this.#buffer.length) {
      const grown = new Uint8Array(Math.max(need, this.#buffer.length * 2));
      grown.set(this.#buffer.subarray(0, at));
      this.#buffer = grown;
    }
    this.#length = need;
    return at;
  }

  byte(value: number): this {
    const at = this.#reserve(1);
    this.#buffer[at] = value;
    return this;
  }

  /** Unsigned, up to 2^53 - 1. */
  uvarint(value: number): this {
    assert(Number.isSafeInteger(value) && value >= 0, "varints are unsigned safe integers");
    for (; value > 0x7fffffff; value = Math.floor(value / 0x80)) this.byte((value % 0x80) | 0x80);
    for (; value >= 0x80; value >>>= 7) this.byte((value & 0x7f) | 0x80);
    return this.byte(value);
  }

  /** Bytes whose length the reader knows. */
  fixed(bytes: Uint8Array): this {
    const at = this.#reserve(bytes.length); // before #buffer is read: it may be replaced
    this.#buffer.set(bytes, at);
    return this;
  }

  /** Length-prefixed bytes. */
  bytes(bytes: Uint8Array): this {
    return this.uvarint(bytes.length).fixed(bytes);
  }

  bigint(value: bigint): this {
    if (value < 0x80n && value > 0n) return this.byte(1).byte(Number(value));
    return this.bytes(bigIntToMinimalBytes(value));
  }

  /** Bytes given as hex, without a detour over an array of their own. */
  hex(hex: string): this {
    const at = this.#reserve(hex.length >>> 1);
    writeHex(hex, this.#buffer, at);
    return this;
  }

  text(value: string): this {
    return this.bytes(Buffer.from(value, "utf8"));
  }

  /** Absent or present. */
  optional<T>(value: T | undefined, write: (value: T) => void): this {
    this.byte(value === undefined ? 0 : 1);
    if (value !== undefined) write(value);
    return this;
  }

  list<T>(values: readonly T[], write: (value: T) => void): this {
    this.uvarint(values.length);
    for (const value of values) write(value);
    return this;
  }

  /** Forgets everything after the first `length` bytes. */
  truncate(length: number): void {
    assert(length <= this.#length, "a writer is only cut back");
    this.#length = length;
  }

  /** What was written, without a copy; valid until the next write. */
  view(): Uint8Array {
    return this.#buffer.subarray(0, this.#length);
  }

  /** A copy of what was written. */
  finish(): Uint8Array {
    return this.#buffer.slice(0, this.#length);
  }
}

export class Reader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get remaining(): number {
    return this.#bytes.length - this.#at;
  }

  byte(): number {
    const value = this.#bytes[this.#at];
    if (value === undefined) throw codecError("CODEC_TRUNCATED", "want one more byte", { at: this.#at });
    this.#at++;
    return value;
  }

  uvarint(max: number = Number.MAX_SAFE_INTEGER): number {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 8; i++) {
      const byte = this.byte();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (byte === 0 && i > 0) throw codecError("CODEC_MALFORMED", "varint is not minimal", { at: this.#at });
        if (value > max) throw codecError("CODEC_LIMIT", `value ${value} is above ${max}`, { at: this.#at });
        return value;
      }
      scale *= 0x80;
    }
    throw codecError("CODEC_MALFORMED", "varint is too long", { at: this.#at });
  }

  /** A view (not a copy) of the next `length` bytes. */
  fixed(length: number): Uint8Array {
    if (length > this.remaining)
      throw codecError("CODEC_TRUNCATED", `want ${length} bytes, have ${this.remaining}`, { at: this.#at });
    const out = this.#bytes.subarray(this.#at, this.#at + length);
    this.#at += length;
    return out;
  }

  /** Goes over the next `length` bytes. */
  skip(length: number): void {
    if (length > this.remaining)
      throw codecError("CODEC_TRUNCATED", `want ${length} bytes, have ${this.remaining}`, { at: this.#at });
    this.#at += length;
  }

  bytes(lengthMax: number = Number.MAX_SAFE_INTEGER): Uint8Array {
    return this.fixed(this.uvarint(lengthMax));
  }

  bigint(lengthMax = 32): bigint {
    const bytes = this.bytes(lengthMax);
    if (bytes[0] === 0) throw codecError("CODEC_MALFORMED", "integer has leading zeros", { at: this.#at });
    return bytesToBigInt(bytes);
  }

  text(lengthMax = 4096): string {
    return Buffer.from(this.bytes(lengthMax)).toString("utf8");
  }

  optional<T>(read: () => T): T | undefined {
    const flag = this.byte();
    if (flag > 1) throw codecError("CODEC_MALFORMED", "presence flag is 0 or 1", { at: this.#at });
    return flag === 1 ? read() : undefined;
  }

  /** Reads a counted list; `countMax` and the bytes left bound what is allocated. */
  list<T>(countMax: number, read: () => T): T[] {
    const count = this.uvarint(countMax);
    if (count > this.remaining)
      throw codecError("CODEC_TRUNCATED", `${count} items announced, ${this.remaining} bytes left`, { at: this.#at });
    const out: T[] = [];
    for (let i = 0; i < count; i++) out.push(read());
    return out;
  }

  /** @throws {CodecError} CODEC_MALFORMED when bytes are left over. */
  end(): void {
    if (this.remaining !== 0)
      throw codecError("CODEC_MALFORMED", `${this.remaining} bytes left over`, { at: this.#at });
  }
}
