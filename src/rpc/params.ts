/**
 * Owns the reading of JSON-RPC parameters: strict, total, and with a message that names the place. A value that passes
 * has the type and range its parser promises; anything else is -32602, never an exception of another kind.
 * Quantities are hex without leading zeros, data has whole bytes (Ethereum JSON-RPC encoding rules, EIP-1474).
 */
import { invalidParams } from "./errors.ts";

/** A positional parameter. `parse` gets the JSON value and the place it stands at, for messages. */
export type Param<T> = {
  readonly name: string;
  /** Shown in the reference. */
  readonly kind: string;
  readonly optional: boolean;
  readonly parse: (value: unknown, at: string) => T;
};

export type Parser<T> = { readonly kind: string; readonly parse: (value: unknown, at: string) => T };

export function required<T>(name: string, parser: Parser<T>): Param<T> {
  return { name, kind: parser.kind, optional: false, parse: parser.parse };
}

/** Absent and null both give `fallback`. */
export function optional<T, F>(name: string, parser: Parser<T>, fallback: F): Param<T | F> {
  return {
    name,
    kind: parser.kind,
    optional: true,
    parse: (value, at) => (value === undefined || value === null ? fallback : parser.parse(value, at)),
  };
}

/** Values of a parameter list, in order. */
export type ArgsOf<P extends readonly Param<unknown>[]> = {
  -readonly [K in keyof P]: P[K] extends Param<infer T> ? T : never;
};

/** Reads a positional list against its declaration. */
export function readParams(params: readonly Param<unknown>[], values: readonly unknown[]): unknown[] {
  if (values.length > params.length)
    throw invalidParams(`too many arguments, want at most ${params.length}, have ${values.length}`);
  const out: unknown[] = [];
  for (let i = 0; i < params.length; i++) {
    const param = params[i] as Param<unknown>;
    const value = values[i];
    if (!param.optional && (value === undefined || value === null))
      throw invalidParams(`missing value for required argument ${i} (${param.name})`);
    out.push(param.parse(value, `argument ${i} (${param.name})`));
  }
  return out;
}

/** At most 40 characters of what was sent, for messages: input is never echoed whole. */
function shown(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value);
  if (value === null || typeof value === "number" || typeof value === "boolean") return String(value);
  return Array.isArray(value) ? "an array" : typeof value === "object" ? "an object" : typeof value;
}

function wrong(at: string, what: string, value: unknown): never {
  throw invalidParams(`invalid ${at}: ${what}, have ${shown(value)}`);
}

function stringOf(value: unknown, at: string, want: string): string {
  if (typeof value !== "string") wrong(at, `want ${want} as a string`, value);
  return value;
}

const HEX_DIGITS = /^[0-9a-fA-F]*$/;

/** Hex quantity as bigint, below 2^bits. */
function quantityText(value: unknown, at: string, bits: number): string {
  const text = stringOf(value, at, "a hex quantity");
  if (!text.startsWith("0x") && !text.startsWith("0X")) wrong(at, "hex string without 0x prefix", value);
  if (text.length === 2) wrong(at, "hex string without digits", value);
  // The longest acceptable value is bits / 4 digits: refuse before anything scans a megabyte of them.
  if (text.length > 2 + bits / 4) wrong(at, `hex number > ${bits} bits or with leading zero digits`, value);
  if (!HEX_DIGITS.test(text.slice(2))) wrong(at, "not a hex number", value);
  if (text.length > 3 && text[2] === "0") wrong(at, "hex number with leading zero digits", value);
  return text;
}

function quantityOf(bits: number): Parser<bigint> {
  return { kind: `QUANTITY (${bits} bits)`, parse: (value, at) => BigInt(quantityText(value, at, bits)) };
}

export const uint256 = quantityOf(256);
export const uint64 = quantityOf(64);

/** A quantity that is a safe integer in JavaScript: block numbers, gas, timestamps, indexes. */
export const safeUint: Parser<number> = {
  kind: "QUANTITY",
  parse: (value, at) => {
    const number = Number(quantityText(value, at, 64));
    if (!Number.isSafeInteger(number)) wrong(at, "number out of range (above 2^53 - 1)", value);
    return number;
  },
};

/** A quantity, or a JSON integer: where the field's clients send both (block counts). */
export const countParser: Parser<number> = {
  kind: "QUANTITY or integer",
  parse: (value, at) => {
    if (typeof value === "number") {
      if (!Number.isSafeInteger(value) || value < 0) wrong(at, "want a non-negative integer", value);
      return value;
    }
    if (typeof value === "string" && /^(0|[1-9][0-9]{0,15})$/.test(value)) return Number(value);
    return safeUint.parse(value, at);
  },
};

export const bool: Parser<boolean> = {
  kind: "Boolean",
  parse: (value, at) => (typeof value === "boolean" ? value : wrong(at, "want true or false", value)),
};

export const text: Parser<string> = {
  kind: "String",
  parse: (value, at) => stringOf(value, at, "text"),
};

/** Bytes of any length (bounded by the body limit). */
export const data: Parser<Uint8Array> = {
  kind: "DATA",
  parse: (value, at) => bytesOf(value, at, undefined),
};

function bytesOf(value: unknown, at: string, length: number | undefined): Uint8Array {
  const hex = stringOf(value, at, "hex data");
  if (!hex.startsWith("0x") && !hex.startsWith("0X")) wrong(at, "hex string without 0x prefix", value);
  if (length !== undefined && hex.length !== 2 + length * 2)
    wrong(at, `hex string has length ${hex.length - 2}, want ${length * 2} (${length} bytes)`, value);
  if (hex.length % 2 !== 0) wrong(at, "hex string of odd length", value);
  const digits = hex.slice(2);
  // Buffer alone would not do: it reads only the low byte of characters such as U+8530.
  if (!HEX_DIGITS.test(digits)) wrong(at, "invalid hex string", value);
  const buffer = Buffer.from(digits, "hex");
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length);
}

function fixedBytes(length: number, kind: string): Parser<Uint8Array> {
  return { kind, parse: (value, at) => bytesOf(value, at, length) };
}

export const address = fixedBytes(20, "DATA, 20 bytes");
export const hash = fixedBytes(32, "DATA, 32 bytes");

/** Storage keys: clients send both a padded word and a quantity, so up to 32 bytes with any padding. */
export const slot: Parser<Uint8Array> = {
  kind: "DATA or QUANTITY, up to 32 bytes",
  parse: (value, at) => {
    const hex = stringOf(value, at, "a storage key");
    if (!hex.startsWith("0x") && !hex.startsWith("0X")) wrong(at, "hex string without 0x prefix", value);
    if (hex.length === 2) wrong(at, "hex string without digits", value);
    if (hex.length > 66) wrong(at, `storage key too long (want at most 32 bytes)`, value);
    if (!HEX_DIGITS.test(hex.slice(2))) wrong(at, "invalid hex string", value);
    return bytesOf(`0x${hex.slice(2).padStart(64, "0")}`, at, 32);
  },
};

export function arrayOf<T>(item: Parser<T>, lengthMax: number): Parser<T[]> {
  return {
    kind: `Array of ${item.kind}`,
    parse: (value, at) => {
      if (!Array.isArray(value)) wrong(at, "want an array", value);
      if (value.length > lengthMax)
        throw invalidParams(`invalid ${at}: at most ${lengthMax} items, have ${value.length}`);
      return value.map((v: unknown, i) => item.parse(v, `${at}[${i}]`));
    },
  };
}

/** A JSON object that is not an array. Fields are read by {@link field}. */
export function objectOf(value: unknown, at: string): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) wrong(at, "want an object", value);
  return value as Readonly<Record<string, unknown>>;
}

/** Field of an object; absent and null give undefined. Only own fields count. */
export function field<T>(
  object: Readonly<Record<string, unknown>>,
  name: string,
  parser: Parser<T>,
  at: string,
): T | undefined {
  const value = Object.hasOwn(object, name) ? object[name] : undefined;
  return value === undefined || value === null ? undefined : parser.parse(value, `${at}.${name}`);
}

export type BlockTag = "latest" | "pending" | "earliest" | "safe" | "finalized";

/** A block as a client names it. */
export type BlockRef =
  | { readonly tag: BlockTag }
  | { readonly number: number }
  | { readonly hash: Uint8Array; readonly requireCanonical: boolean };

const TAGS: ReadonlyMap<string, BlockRef> = new Map(
  (["latest", "pending", "earliest", "safe", "finalized"] as const).map((tag) => [tag, { tag }]),
);

export const LATEST: BlockRef = { tag: "latest" };
export const PENDING: BlockRef = { tag: "pending" };

/** Number or tag. */
export const blockNumberOrTag: Parser<BlockRef> = {
  kind: "QUANTITY or tag",
  parse: (value, at) => {
    if (typeof value === "string") {
      const tag = TAGS.get(value);
      if (tag !== undefined) return tag;
    }
    return { number: safeUint.parse(value, at) };
  },
};

/** Number, tag, hash, or the object of EIP-1898. */
export const blockRef: Parser<BlockRef> = {
  kind: "QUANTITY, tag, 32-byte hash or EIP-1898 object",
  parse: (value, at) => {
    if (typeof value === "string") {
      const tag = TAGS.get(value);
      if (tag !== undefined) return tag;
      if (value.length === 66) return { hash: hash.parse(value, at), requireCanonical: false };
      return { number: safeUint.parse(value, at) };
    }
    if (typeof value !== "object" || value === null)
      wrong(at, "want a block number, tag, hash or {blockNumber | blockHash}", value);
    const object = objectOf(value, at);
    const blockHash = field(object, "blockHash", hash, at);
    const blockNumber = field(object, "blockNumber", blockNumberOrTag, at);
    if (blockHash !== undefined && blockNumber !== undefined)
      throw invalidParams(`invalid ${at}: cannot specify both blockHash and blockNumber, choose one or the other`);
    if (blockHash !== undefined)
      return { hash: blockHash, requireCanonical: field(object, "requireCanonical", bool, at) ?? false };
    if (blockNumber !== undefined) return blockNumber;
    throw invalidParams(`invalid ${at}: want blockNumber or blockHash`);
  },
};
