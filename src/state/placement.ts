/**
 * Owns which key shard holds each first byte of the hashed addresses, and in which of its tries, since which block: a
 * byte that moves gets a new trie where it arrives, and the one it left goes on answering for the blocks before.
 * Pure; the history is as long as that of the state. Invariant: entries rise by version, the first covers the oldest.
 */
import { assert } from "../base/assert.ts";
import { Reader, Writer } from "../base/binary.ts";
import { PART_ACCOUNT_TRIES } from "./state-key.ts";

export const BYTES = 256;
export const SHARDS_MAX = 256;
const FORMAT = 1;
const ENTRIES_MAX = 1_000_000;

/** Where one byte lies. */
export type Place = { readonly shard: number; readonly trieId: number };

/** The trie of a byte. */
export type ByteTrie = { readonly byte: number; readonly trieId: number };

export type Move = { readonly byte: number; readonly to: Place };

type Entry = { readonly from: number; readonly places: readonly Place[] };

export class Placement {
  #entries: Entry[];
  /** Never given out before, on any shard. */
  #nextTrieId: number;

  private constructor(entries: Entry[], nextTrieId: number) {
    this.#entries = entries;
    this.#nextTrieId = nextTrieId;
  }

  /** Equal ranges of bytes for `shards` shards, from genesis on. */
  static even(shards: number): Placement {
    assert(shards >= 1 && shards <= SHARDS_MAX, "there are 1 to 256 key shards");
    const places = Array.from({ length: BYTES }, (_, byte) => ({
      shard: Math.floor((byte * shards) / BYTES),
      trieId: byte + 1,
    }));
    return new Placement([{ from: 0, places }], BYTES + 1);
  }

  /** Places of all bytes for the blocks that follow. */
  get current(): readonly Place[] {
    return (this.#entries.at(-1) as Entry).places;
  }

  /** Shards that hold anything of any served version. */
  get shards(): number {
    let most = 0;
    for (const { places } of this.#entries) for (const { shard } of places) most = Math.max(most, shard + 1);
    return most;
  }

  /** First served version that needs a shard; infinite for one that none needs. */
  since(shard: number): number {
    const entry = this.#entries.find(({ places }) => places.some((place) => place.shard === shard));
    return entry?.from ?? Number.POSITIVE_INFINITY;
  }

  /** Places as of a version. */
  at(version: number): readonly Place[] {
    for (let i = this.#entries.length - 1; i > 0; i--) {
      const entry = this.#entries[i] as Entry;
      if (entry.from <= version) return entry.places;
    }
    return (this.#entries[0] as Entry).places;
  }

  /** Takes a number for the trie of a byte about to move. */
  takeTrieId(): number {
    assert(this.#nextTrieId < PART_ACCOUNT_TRIES, "a million moves are enough for one chain");
    return this.#nextTrieId++;
  }

  /** From version `from` on, which is not older than any entry, `moves` hold. */
  move(from: number, moves: readonly Move[]): void {
    const last = this.#entries.at(-1) as Entry;
    assert(from >= last.from, "bytes move at the head");
    const places = last.places.slice();
    for (const { byte, to } of moves) places[byte] = to;
    if (from === last.from) this.#entries.pop();
    this.#entries.push({ from, places });
  }

  /** Forgets moves above `version`; true when there were any. */
  rollback(version: number): boolean {
    const kept = this.#entries.filter(({ from }, i) => i === 0 || from <= version);
    const changed = kept.length < this.#entries.length;
    this.#entries = kept;
    return changed;
  }

  /** Forgets what only versions below `oldest` need; true when there was any. */
  prune(oldest: number): boolean {
    let drop = 0;
    while (drop + 1 < this.#entries.length && (this.#entries[drop + 1] as Entry).from <= oldest) drop++;
    this.#entries.splice(0, drop);
    return drop > 0;
  }

  /** The tries that hold the bytes of a shard now. */
  currentOn(shard: number): ByteTrie[] {
    const tries: ByteTrie[] = [];
    for (const [byte, place] of this.current.entries())
      if (place.shard === shard) tries.push({ byte, trieId: place.trieId });
    return tries;
  }

  /** Tries on a shard that some served version needs. */
  triesOf(shard: number): number[] {
    const tries = new Set<number>();
    for (const { places } of this.#entries)
      for (const place of places) if (place.shard === shard) tries.add(place.trieId);
    return [...tries];
  }

  encode(): Uint8Array {
    const w = new Writer(4096).byte(FORMAT).uvarint(this.#nextTrieId);
    let before: readonly (Place | undefined)[] = [];
    w.list(this.#entries, ({ from, places }) => {
      const changed = places
        .map((place, byte) => ({ place, byte }))
        .filter(({ place, byte }) => place !== before[byte]);
      w.uvarint(from).list(changed, ({ place, byte }) => w.byte(byte).uvarint(place.shard).uvarint(place.trieId));
      before = places;
    });
    return w.finish();
  }

  /** @throws {CodecError} */
  static decode(bytes: Uint8Array): Placement {
    const r = new Reader(bytes);
    assert(r.byte() === FORMAT, "the placement has a known format");
    const nextTrieId = r.uvarint();
    let places: (Place | undefined)[] = Array.from({ length: BYTES });
    const entries = r.list(ENTRIES_MAX, (): Entry => {
      const from = r.uvarint();
      places = places.slice();
      for (let n = r.uvarint(BYTES); n > 0; n--)
        places[r.byte()] = { shard: r.uvarint(SHARDS_MAX - 1), trieId: r.uvarint() };
      return { from, places: places as Place[] };
    });
    r.end();
    return new Placement(entries, nextTrieId);
  }
}
