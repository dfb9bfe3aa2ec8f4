/** Owns the meaning of a log filter on one log: addresses are alternatives, topics go by position, missing is any. */
import { bytesEqual, toHexKey } from "../base/bytes.ts";
import type { Log } from "../protocol/receipt.ts";
import type { LogScan } from "./block-codec.ts";
import type { LogFilter } from "./chain-store.ts";

type Wanted = Pick<LogFilter, "addresses" | "topics">;

/** Decoded form, for logs at hand (subscriptions, the memory twin). */
export function logMatches(log: Log, filter: Wanted): boolean {
  if (filter.addresses.length > 0 && !filter.addresses.some((one) => bytesEqual(one, log.address))) return false;
  for (let i = 0; i < filter.topics.length; i++) {
    const wanted = filter.topics[i];
    // A filter with more positions than the log has topics does not match it, even where a position takes anything.
    const topic = log.topics[i];
    if (topic === undefined) return false;
    if (wanted !== undefined && wanted.length > 0 && !wanted.some((one) => bytesEqual(one, topic))) return false;
  }
  return true;
}

/** Alternatives above this many are looked up in a set instead of compared one by one. */
const COMPARED_MAX = 8;

/** Stored form: compares in place, so that a log that does not match costs no allocation. */
export class LogMatcher {
  readonly #addresses: Alternatives | undefined;
  readonly #topics: readonly (Alternatives | undefined)[];

  constructor(filter: Wanted) {
    this.#addresses = alternatives(filter.addresses);
    this.#topics = filter.topics.map((wanted) => alternatives(wanted ?? []));
  }

  matches(scan: LogScan): boolean {
    if (scan.topicCount < this.#topics.length) return false;
    if (this.#addresses !== undefined && !this.#addresses.has(scan.bytes, scan.addressAt)) return false;
    for (let i = 0; i < this.#topics.length; i++) {
      const wanted = this.#topics[i];
      if (wanted !== undefined && !wanted.has(scan.bytes, scan.topicAt(i))) return false;
    }
    return true;
  }
}

function alternatives(wanted: readonly Uint8Array[]): Alternatives | undefined {
  return wanted.length === 0 ? undefined : new Alternatives(wanted);
}

class Alternatives {
  readonly #list: readonly Uint8Array[];
  readonly #set: ReadonlySet<string> | undefined;

  constructor(list: readonly Uint8Array[]) {
    this.#list = list;
    this.#set = list.length > COMPARED_MAX ? new Set(list.map(toHexKey)) : undefined;
  }

  /** Whether the bytes at `at` are one of the alternatives (all of one length). */
  has(bytes: Uint8Array, at: number): boolean {
    const first = this.#list[0] as Uint8Array;
    if (this.#set !== undefined) return this.#set.has(toHexKey(bytes.subarray(at, at + first.length)));
    for (const one of this.#list) {
      let i = 0;
      while (i < one.length && one[i] === bytes[at + i]) i++;
      if (i === one.length) return true;
    }
    return false;
  }
}
