/**
 * Owns what travels between the node and its key shards, as bytes: the same within a thread, between threads and over a
 * socket. A request starts with its kind and a number that its answer carries. What does not decode is a CodecError and
 * ends the link it came over.
 */
import { codecError, Reader, Writer } from "../base/binary.ts";
import { fromHex, toHexKey } from "../base/bytes.ts";
import type { AccountWrite } from "../protocol/state-writes.ts";
import type { ByteTrie } from "../state/placement.ts";
import { decodeTops, encodeTops, type TopChange } from "../state/root-joiner.ts";

/** What a slot holds after a block, and the time that writes below it took. */
export type TimedTop = TopChange & { readonly micros: number };

/** What a block writes to the accounts of one first byte, and the trie that holds them. */
export type WriteGroup = {
  readonly byte: number;
  readonly trieId: number;
  /** By address, as a hex key. */
  readonly accounts: ReadonlyMap<string, AccountWrite>;
};

export type ImportJob = {
  /** Folder of the database of the shard that holds the bytes now. */
  readonly folder: string;
  /** The copy covers everything up to this version; writes of later ones come with their blocks. */
  readonly version: number;
  readonly bytes: readonly { readonly byte: number; readonly from: number; readonly trieId: number }[];
};

export type ToShard =
  /**
   * First on a link: which tries hold the bytes now, and which others some version needs. One that holds nothing begins
   * at `version`, whatever it held before. Answer: `state`.
   */
  | {
      readonly kind: "open";
      readonly version: number;
      readonly tries: readonly ByteTrie[];
      readonly keep: readonly number[];
    }
  /** Hashes the writes of the next version, without storing. `groups` as {@link encodeGroups} made them. Answer: `tops`. */
  | { readonly kind: "prepare"; readonly version: number; readonly groups: Uint8Array }
  /** Stores what was prepared last, and drops history below `oldest`. Answer: `landed`, when others see it. */
  | { readonly kind: "commit"; readonly version: number; readonly oldest: number }
  /** Takes versions back; `tries` as they are then. Answer: `state`. */
  | { readonly kind: "rollback"; readonly version: number; readonly tries: readonly ByteTrie[] }
  /** Answer: `landed` with the version that no loss of power takes back. */
  | { readonly kind: "flush" }
  /** Copies bytes from another shard beside the blocks. Answer: `landed` with the version as of which the copy is whole. */
  | ({ readonly kind: "import" } & ImportJob)
  /** Removes tries when no version above `after` needs them; ends an import of them. Answer: `landed`. */
  | { readonly kind: "drop"; readonly trieIds: readonly number[]; readonly after: number }
  /** Ends; the answer `landed` is the last one. */
  | { readonly kind: "close" };

export type FromShard =
  | { readonly kind: "state"; readonly head: number; readonly oldest: number; readonly tops: readonly TopChange[] }
  | { readonly kind: "tops"; readonly version: number; readonly tops: readonly TimedTop[] }
  | { readonly kind: "landed"; readonly version: number }
  /** The request was refused; the shard goes on. */
  | { readonly kind: "refused"; readonly reason: string };

const TO = ["open", "prepare", "commit", "rollback", "flush", "import", "drop", "close"] as const;
const FROM = ["state", "tops", "landed", "refused"] as const;
/** Kinds of the state's own requests are below this; others are for what else a key shard does. */
export const STATE_KINDS = 32;
const BYTES = 256;
const COUNT_MAX = 10_000_000;
const TEXT_MAX = 4096;

const CLEARED = 1;
const PRESENT = 2;

/** Versions start at -1, before genesis. */
const writeVersion = (w: Writer, version: number): Writer => w.uvarint(version + 1);
const readVersion = (r: Reader): number => r.uvarint() - 1;

export function encodeToShard(id: number, m: ToShard): Uint8Array {
  const w = new Writer(m.kind === "prepare" ? m.groups.length + 32 : 128).byte(TO.indexOf(m.kind)).uvarint(id);
  switch (m.kind) {
    case "open":
      writeTries(writeVersion(w, m.version), m.tries).list(m.keep, (trieId) => w.uvarint(trieId));
      break;
    case "prepare":
      writeVersion(w, m.version).fixed(m.groups);
      break;
    case "commit":
      writeVersion(w, m.version).uvarint(m.oldest);
      break;
    case "rollback":
      writeTries(writeVersion(w, m.version), m.tries);
      break;
    case "import":
      writeVersion(w.text(m.folder), m.version);
      w.list(m.bytes, ({ byte, from, trieId }) => w.byte(byte).uvarint(from).uvarint(trieId));
      break;
    case "drop":
      writeVersion(w, m.after).list(m.trieIds, (trieId) => w.uvarint(trieId));
      break;
    case "flush":
    case "close":
      break;
  }
  return w.finish();
}

/** @throws {CodecError} */
export function decodeToShard(bytes: Uint8Array): { id: number; message: ToShard } {
  const r = new Reader(bytes);
  const kind = TO[r.byte()];
  if (kind === undefined) throw codecError("CODEC_MALFORMED", "a key shard does not know this kind of request");
  const id = r.uvarint();
  const message = readToShard(r, kind);
  r.end();
  return { id, message };
}

function readToShard(r: Reader, kind: ToShard["kind"]): ToShard {
  switch (kind) {
    case "open":
      return {
        kind,
        version: readVersion(r),
        tries: readTries(r),
        keep: r.list(COUNT_MAX, () => r.uvarint()),
      };
    case "prepare":
      return { kind, version: readVersion(r), groups: r.fixed(r.remaining) };
    case "commit":
      return { kind, version: readVersion(r), oldest: r.uvarint() };
    case "rollback":
      return { kind, version: readVersion(r), tries: readTries(r) };
    case "import":
      return {
        kind,
        folder: r.text(TEXT_MAX),
        version: readVersion(r),
        bytes: r.list(BYTES, () => ({ byte: r.byte(), from: r.uvarint(), trieId: r.uvarint() })),
      };
    case "drop":
      return { kind, after: readVersion(r), trieIds: r.list(COUNT_MAX, () => r.uvarint()) };
    case "flush":
    case "close":
      break;
  }
  return { kind };
}

export function encodeFromShard(id: number, m: FromShard): Uint8Array {
  const w = new Writer(256).byte(FROM.indexOf(m.kind)).uvarint(id);
  switch (m.kind) {
    case "state":
      writeVersion(w, m.head).uvarint(m.oldest).bytes(encodeTops(m.tops));
      break;
    case "tops":
      writeVersion(w, m.version).bytes(encodeTops(m.tops));
      for (const { micros } of m.tops) w.uvarint(micros);
      break;
    case "landed":
      writeVersion(w, m.version);
      break;
    case "refused":
      w.text(m.reason.slice(0, TEXT_MAX / 4));
      break;
  }
  return w.finish();
}

/** @throws {CodecError} */
export function decodeFromShard(bytes: Uint8Array): { id: number; message: FromShard } {
  const r = new Reader(bytes);
  const kind = FROM[r.byte()];
  if (kind === undefined) throw codecError("CODEC_MALFORMED", "a key shard gave an unknown kind of answer");
  const id = r.uvarint();
  const message = readFromShard(r, kind);
  r.end();
  return { id, message };
}

function readFromShard(r: Reader, kind: FromShard["kind"]): FromShard {
  switch (kind) {
    case "state":
      return { kind, head: readVersion(r), oldest: r.uvarint(), tops: decodeTops(r.bytes()) };
    case "tops": {
      const version = readVersion(r);
      const tops = decodeTops(r.bytes()).map((top) => ({ ...top, micros: r.uvarint() }));
      return { kind, version, tops };
    }
    case "landed":
      return { kind, version: readVersion(r) };
    case "refused":
      break;
  }
  return { kind, reason: r.text(TEXT_MAX) };
}

function writeTries(w: Writer, tries: readonly ByteTrie[]): Writer {
  return w.list(tries, ({ byte, trieId }) => w.byte(byte).uvarint(trieId));
}

function readTries(r: Reader): ByteTrie[] {
  return r.list(BYTES, () => ({ byte: r.byte(), trieId: r.uvarint() }));
}

export function encodeGroups(groups: readonly WriteGroup[]): Uint8Array {
  const w = new Writer(4096);
  w.list(groups, ({ byte, trieId, accounts }) => {
    w.byte(byte).uvarint(trieId).uvarint(accounts.size);
    for (const [address, { cleared, account, storage }] of accounts) {
      w.fixed(fromHex(address)).byte((cleared ? CLEARED : 0) | (account === undefined ? 0 : PRESENT));
      if (account !== undefined) w.bigint(account.nonce).bigint(account.balanceWei).fixed(account.codeHash);
      w.uvarint(storage.size);
      for (const [slot, value] of storage) w.fixed(fromHex(slot)).fixed(value);
    }
  });
  return w.finish();
}

/** Values are copies. @throws {CodecError} */
export function decodeGroups(bytes: Uint8Array): WriteGroup[] {
  const r = new Reader(bytes);
  const groups = r.list(2 * BYTES, (): WriteGroup => {
    const [byte, trieId] = [r.byte(), r.uvarint()];
    const accounts = new Map<string, AccountWrite>();
    for (let n = r.uvarint(COUNT_MAX); n > 0; n--) {
      const address = toHexKey(r.fixed(20));
      const flags = r.byte();
      const account =
        flags & PRESENT ? { nonce: r.bigint(), balanceWei: r.bigint(), codeHash: r.fixed(32).slice() } : undefined;
      const storage = new Map<string, Uint8Array>();
      for (let slots = r.uvarint(COUNT_MAX); slots > 0; slots--)
        storage.set(toHexKey(r.fixed(32)), r.fixed(32).slice());
      accounts.set(address, { cleared: (flags & CLEARED) !== 0, account, storage });
    }
    return { byte, trieId, accounts };
  });
  r.end();
  return groups;
}
