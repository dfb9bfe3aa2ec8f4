/**
 * Owns codecs that are declared once for both directions: a shape writes a value and reads it back. For messages between
 * processes of one program, where each field said twice would be one to forget. Reading foreign bytes throws CodecError.
 */
import type { Reader, Writer } from "./binary.ts";

export type Shape<T> = { readonly write: (w: Writer, value: T) => void; readonly read: (r: Reader) => T };
export type ValueOf<S> = S extends Shape<infer T> ? T : never;

const COUNT_MAX = 1_000_000;
const TEXT_MAX_BYTES = 1 << 20;

export const uint: Shape<number> = { write: (w, v) => w.uvarint(v), read: (r) => r.uvarint() };
export const flag: Shape<boolean> = { write: (w, v) => w.byte(v ? 1 : 0), read: (r) => r.byte() === 1 };
export const bigUint: Shape<bigint> = { write: (w, v) => w.bigint(v), read: (r) => r.bigint() };
export const byteString: Shape<Uint8Array> = { write: (w, v) => w.bytes(v), read: (r) => r.bytes() };
export const string: Shape<string> = { write: (w, v) => w.text(v), read: (r) => r.text(TEXT_MAX_BYTES) };

export function fixedBytes(length: number): Shape<Uint8Array> {
  return { write: (w, v) => w.fixed(v), read: (r) => r.fixed(length) };
}

export function maybe<T>(shape: Shape<T>): Shape<T | undefined> {
  return {
    write: (w, v) => w.optional(v, (value) => shape.write(w, value)),
    read: (r) => r.optional(() => shape.read(r)),
  };
}

export function listOf<T>(shape: Shape<T>, countMax = COUNT_MAX): Shape<readonly T[]> {
  return {
    write: (w, v) => w.list(v, (value) => shape.write(w, value)),
    read: (r) => r.list(countMax, () => shape.read(r)),
  };
}

/** Of any value: each field knows its own. */
type FieldShape = { readonly write: (w: Writer, value: never) => void; readonly read: (r: Reader) => unknown };
type ValueOfFields<F> = { readonly [K in keyof F]: F[K] extends { read: (r: Reader) => infer T } ? T : never };

/** Fields in the order of their declaration. */
export function record<F extends Readonly<Record<string, FieldShape>>>(fields: F): Shape<ValueOfFields<F>> {
  const entries = Object.entries(fields) as unknown as [string, Shape<unknown>][];
  return {
    write: (w, v) => {
      for (const [name, shape] of entries) shape.write(w, (v as Record<string, unknown>)[name]);
    },
    read: (r) => {
      const value: Record<string, unknown> = {};
      for (const [name, shape] of entries) value[name] = shape.read(r);
      return value as ValueOfFields<F>;
    },
  };
}

export const nothing: Shape<void> = { write: () => undefined, read: () => undefined };
