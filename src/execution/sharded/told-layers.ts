/**
 * Owns what an executor that reads the stored state itself was told of epochs: the messages as they came, one layer each,
 * with an index. Of all that an epoch changed an executor touches little, so nothing is unpacked before somebody asks.
 * A layer goes when what it tells must be stored by now, or when there is no room: then the stored state is older than
 * what is asked for, which costs time only.
 */
import { Reader } from "../../base/binary.ts";
import type { Account } from "../execution.ts";
import { fingerprint, mixFingerprints } from "./hints.ts";
import { forEachEntry, readAccount } from "./messages.ts";

/** A layer told at some stored version is stored this many versions later: the open block, and those being sealed. */
const STORED_AFTER = 4;
const BYTES_MAX = 32 * 1024 * 1024;
/** Places of an index looked at for one key: who chooses keys that collide makes them unknown, not slow. */
const PROBES_MAX = 32;

type Layer = {
  readonly number: number;
  /** Stored version when it was told. */
  readonly head: number;
  readonly bytes: Uint8Array;
  /** Places of entries, plus one, by fingerprint. */
  readonly index: Int32Array;
};

/** Where the key of an entry begins. */
type Place = { readonly bytes: Uint8Array; readonly at: number };

export class ToldLayers {
  /** The oldest first. */
  #layers: Layer[] = [];
  #bytes = 0;
  /** Number of the newest layer, and of the newest that went: what was known before that one may be older than stored. */
  newest = 0;
  base = 0;

  /** Takes an update; `code` is told of the code in it. @throws {CodecError} */
  add(bytes: Uint8Array, head: number, code: (codeHash: Uint8Array, code: Uint8Array) => void): void {
    const places: number[] = [];
    const prints: number[] = [];
    forEachEntry(bytes, {
      account: (at) => {
        places.push(at);
        prints.push(fingerprint(bytes, at, at + 20));
      },
      slot: (at) => {
        places.push(at);
        prints.push(mixFingerprints(fingerprint(bytes, at, at + 20), fingerprint(bytes, at + 20, at + 52)));
      },
      code,
    });
    let size = 16;
    while (size < 2 * places.length) size *= 2;
    const index = new Int32Array(size);
    for (let i = 0; i < places.length; i++) {
      let at = (prints[i] as number) & (size - 1);
      for (let n = 1; n < PROBES_MAX && index[at] !== 0; n++) at = (at + 1) & (size - 1);
      index[at] = (places[i] as number) + 1;
    }
    this.#layers.push({ number: ++this.newest, head, bytes, index });
    this.#bytes += bytes.length + index.byteLength;
    while (this.#bytes > BYTES_MAX && this.#layers.length > 1) this.#dropOldest();
  }

  /** The stored state moved on to version `head`. */
  stored(head: number): void {
    for (let layer = this.#layers[0]; layer !== undefined && layer.head + STORED_AFTER <= head; layer = this.#layers[0])
      this.#dropOldest();
  }

  clear(): void {
    this.#layers = [];
    this.#bytes = 0;
    this.base = this.newest;
  }

  #dropOldest(): void {
    const layer = this.#layers.shift() as Layer;
    this.#bytes -= layer.bytes.length + layer.index.byteLength;
    this.base = layer.number;
  }

  /** What layers newer than `since` say of an account; undefined: nothing. */
  account(address: Uint8Array, since: number): { readonly account: Account | undefined } | undefined {
    const found = this.#find(fingerprint(address), since, address, undefined);
    if (found === undefined) return undefined;
    return { account: readAccount(new Reader(found.bytes.subarray(found.at + 20))) };
  }

  /** What layers newer than `since` say of a slot. */
  slot(address: Uint8Array, slot: Uint8Array, since: number): Uint8Array | undefined {
    const found = this.#find(mixFingerprints(fingerprint(address), fingerprint(slot)), since, address, slot);
    return found?.bytes.slice(found.at + 52, found.at + 84);
  }

  #find(print: number, since: number, address: Uint8Array, slot: Uint8Array | undefined): Place | undefined {
    for (let i = this.#layers.length - 1; i >= 0; i--) {
      const { number, bytes, index } = this.#layers[i] as Layer;
      if (number <= since) return undefined;
      const mask = index.length - 1;
      for (let place = print & mask, n = 0; n < PROBES_MAX; place = (place + 1) & mask, n++) {
        const at = (index[place] as number) - 1;
        if (at < 0) break;
        if (isEntryOf(bytes, at, address, slot)) return { bytes, at };
      }
    }
    return undefined;
  }
}

/** The kind stands before the key. */
function isEntryOf(bytes: Uint8Array, at: number, address: Uint8Array, slot: Uint8Array | undefined): boolean {
  if (bytes[at - 1] !== (slot === undefined ? 0 : 1)) return false;
  for (let i = 0; i < 20; i++) if (bytes[at + i] !== address[i]) return false;
  if (slot !== undefined) for (let i = 0; i < 32; i++) if (bytes[at + 20 + i] !== slot[i]) return false;
  return true;
}
