/**
 * Owns one key shard: a database of its own with the flat state, tries and history of the first bytes it is told to
 * hold. It hashes and stores what it is sent, in order, and decides nothing: which trie holds a byte is in each request.
 * Invariants: a version is stored once it is committed after its `prepare`; an answer `landed` means that no end of this
 * process takes the version back. What it is sent wrongly, or cannot store, ends it: the node opens it again and sends
 * what it lacks.
 */
import { performance } from "node:perf_hooks";
import { assert } from "../base/assert.ts";
import type { Receive } from "../link/link.ts";
import { emptyWrites, mergeWrites, type StateWrites } from "../protocol/state-writes.ts";
import { LmdbState } from "../state/lmdb-state.ts";
import type { ByteTrie } from "../state/placement.ts";
import type { TopChange } from "../state/root-joiner.ts";
import type { PreparedState } from "../state/state.ts";
import { Database } from "../store/database.ts";
import { copyTries, dropTrie, storedTries } from "./import.ts";
import {
  decodeGroups,
  decodeToShard,
  encodeFromShard,
  type FromShard,
  type ImportJob,
  STATE_KINDS,
  type ToShard,
  type WriteGroup,
} from "./messages.ts";

/** Writes that may wait for a copy to be whole; beyond, the copy is given up. */
const WAITING_BYTES_MAX = 256 * 1024 * 1024;
type Outstanding = {
  readonly version: number;
  readonly prepared: PreparedState;
  /** Writes to accounts that are being copied here. */
  readonly waiting: readonly WriteGroup[];
  readonly sizeBytes: number;
};

/** Bytes on their way here. */
type Import = {
  readonly id: number;
  readonly job: ImportJob;
  /** Committed writes to them since the copy began. */
  readonly waiting: { readonly version: number; readonly groups: readonly WriteGroup[] }[];
  waitingBytes: number;
  /** Version of the copy, when it is there. */
  copied: number | undefined;
  isWanted: boolean;
};

type Drop = { readonly trieId: number; readonly after: number; steps: Generator<void, void> | undefined };

export class ShardHost {
  readonly #database: Database;
  readonly #state: LmdbState;
  readonly #send: (message: Uint8Array) => void;
  readonly #fail: (error: unknown) => void;
  /** Takes requests of other kinds, see {@link STATE_KINDS}. */
  readonly #others: Receive | undefined;
  #outstanding: Outstanding | undefined;
  #import: Import | undefined;
  readonly #drops: Drop[] = [];
  #isClosed = false;
  /** What storing the last version took; it counts with hashing the next one. */
  #commitMs = 0;

  /** `fail`: told when it cannot go on. */
  constructor(
    folder: string,
    p: { send: (message: Uint8Array) => void; fail: (error: unknown) => void; others?: Receive },
  ) {
    this.#database = Database.open(folder);
    this.#state = new LmdbState(this.#database, { part: true });
    this.#send = p.send;
    this.#fail = p.fail;
    this.#others = p.others;
  }

  /** @throws {CodecError} and for requests that do not fit; the shard is of no use afterwards */
  receive(bytes: Uint8Array): void {
    if (this.#isClosed) return;
    if ((bytes[0] ?? 0) >= STATE_KINDS && this.#others !== undefined) {
      this.#others(bytes);
      return;
    }
    const { id, message } = decodeToShard(bytes);
    this.#take(id, message);
  }

  /** Ends without an answer. */
  async close(): Promise<void> {
    this.#isClosed = true;
    if (this.#import !== undefined) this.#import.isWanted = false;
    await this.#importing;
    await this.#database.close();
  }

  #answer(id: number, message: FromShard): void {
    if (!this.#isClosed) this.#send(encodeFromShard(id, message));
  }

  /** Runs what takes turns, and ends the shard when it fails. */
  #later(body: () => Promise<void>): void {
    body().catch((error: unknown) => {
      if (!this.#isClosed) this.#fail(error);
    });
  }

  #take(id: number, m: ToShard): void {
    const state = this.#state;
    switch (m.kind) {
      case "open": {
        const known = new Set([...m.keep, ...m.tries.map(({ trieId }) => trieId)]);
        if (known.size === 0 && state.head !== m.version) this.#beginAt(m.version);
        for (const { trieId } of [...this.#drops, ...(this.#import?.job.bytes ?? [])]) known.add(trieId);
        for (const trieId of storedTries(this.#database))
          if (!known.has(trieId)) this.#drops.push({ trieId, after: state.head, steps: undefined });
        this.#answer(id, this.#stateOf(m.tries));
        return;
      }
      case "prepare":
        this.#prepare(id, m.version, m.groups);
        return;
      case "commit":
        this.#commit(id, m.version, m.oldest);
        return;
      case "rollback":
        this.#outstanding = undefined;
        this.#endImport();
        this.#database.transaction(() => state.rollback(m.version));
        this.#later(async () => {
          const answer = this.#stateOf(m.tries);
          await this.#database.landed();
          this.#answer(id, answer);
        });
        return;
      case "flush": {
        const version = state.head;
        this.#later(async () => {
          await this.#database.flushed();
          this.#answer(id, { kind: "landed", version });
        });
        return;
      }
      case "import":
        this.#beginImport(id, m);
        return;
      case "drop":
        if (this.#import?.job.bytes.some(({ trieId }) => m.trieIds.includes(trieId)) === true) this.#endImport();
        for (const trieId of m.trieIds) this.#drops.push({ trieId, after: m.after, steps: undefined });
        this.#answer(id, { kind: "landed", version: state.head });
        return;
      case "close":
        this.#later(async () => {
          const version = state.head;
          const send = this.#send;
          await this.close();
          send(encodeFromShard(id, { kind: "landed", version }));
        });
        return;
    }
  }

  /** Holds nothing that any version needs: whatever is here goes. */
  #beginAt(version: number): void {
    this.#outstanding = undefined;
    this.#endImport();
    this.#drops.length = 0;
    this.#database.transaction(() => {
      this.#state.rollback(-1);
      if (version >= 0) this.#state.begin(version);
    });
  }

  #stateOf(tries: readonly ByteTrie[]): FromShard {
    const tops: TopChange[] = [];
    for (const { byte, trieId } of tries) {
      this.#state.assign(byte, trieId);
      tops.push(this.#state.top(byte));
    }
    return { kind: "state", head: this.#state.head, oldest: this.#state.oldest, tops };
  }

  #prepare(id: number, version: number, encoded: Uint8Array): void {
    const state = this.#state;
    const startMs = performance.now();
    assert(version === state.head + 1, "a shard is sent the version after its newest");
    const waiting: WriteGroup[] = [];
    const writes = emptyWrites();
    const leaves = new Map<number, number>();
    let allLeaves = 0;
    for (const group of decodeGroups(encoded)) {
      if (this.#isComing(group.trieId)) {
        waiting.push(group);
        continue;
      }
      state.assign(group.byte, group.trieId);
      let count = group.accounts.size;
      for (const [address, write] of group.accounts) {
        writes.accounts.set(address, write);
        count += write.storage.size;
      }
      leaves.set(group.byte, count);
      allLeaves += count;
    }
    const prepared = state.prepare(writes);
    this.#outstanding = { version, prepared, waiting, sizeBytes: encoded.length };
    const micros = (performance.now() - startMs + this.#commitMs) * 1_000;
    const tops = state.topsOf(prepared).map((top) => ({
      ...top,
      micros: Math.round((micros * (leaves.get(top.byte) ?? 0)) / allLeaves),
    }));
    this.#answer(id, { kind: "tops", version, tops });
  }

  #commit(id: number, version: number, oldest: number): void {
    const outstanding = this.#outstanding;
    assert(outstanding?.version === version, "what is committed was prepared before");
    this.#outstanding = undefined;
    const { prepared, waiting, sizeBytes } = outstanding;
    const startMs = performance.now();
    this.#database.transaction(() => {
      this.#state.commit(version, prepared);
      if (oldest > this.#state.oldest) this.#state.prune(oldest);
      this.#dropPiece();
    });
    this.#commitMs = performance.now() - startMs;
    this.#later(async () => {
      await this.#database.landed();
      this.#answer(id, { kind: "landed", version });
    });
    const coming = this.#import;
    if (coming === undefined) return;
    if (waiting.length > 0) {
      coming.waiting.push({ version, groups: waiting });
      coming.waitingBytes += sizeBytes;
      if (coming.waitingBytes > WAITING_BYTES_MAX) {
        this.#answer(coming.id, { kind: "refused", reason: "more was written meanwhile than may wait" });
        this.#endImport();
        return;
      }
    }
    this.#finishImport();
  }

  // --- bytes that come and go ---

  #importing: Promise<void> = Promise.resolve();

  #isComing(trieId: number): boolean {
    return this.#import?.job.bytes.some((byte) => byte.trieId === trieId) === true;
  }

  #beginImport(id: number, job: ImportJob): void {
    if (this.#import !== undefined) {
      this.#answer(id, { kind: "refused", reason: "another import is under way" });
      return;
    }
    const taken = new Set([...storedTries(this.#database), ...this.#drops.map(({ trieId }) => trieId)]);
    if (job.bytes.some(({ trieId }) => taken.has(trieId))) {
      this.#answer(id, { kind: "refused", reason: "a trie of this number is here already" });
      return;
    }
    const started: Import = { id, job, waiting: [], waitingBytes: 0, copied: undefined, isWanted: true };
    this.#import = started;
    // The first writes of blocks may have come before this request did: then they went to the tries as they are.
    this.#importing = copyTries(this.#database, job, () => started.isWanted).then(
      (version) => {
        if (!started.isWanted) return;
        started.copied = version;
        if (this.#outstanding === undefined) this.#finishImport();
      },
      (error: unknown) => {
        if (!started.isWanted) return;
        this.#endImport();
        this.#answer(id, { kind: "refused", reason: error instanceof Error ? error.message : String(error) });
      },
    );
  }

  /** Once everything is copied: adds what was written since, and from here on the bytes are as any others. */
  #finishImport(): void {
    const { id, job, copied, waiting } = this.#import ?? {};
    if (id === undefined || job === undefined || copied === undefined) return;
    this.#import = undefined;
    // Between its copy and here the source may have been ahead of this shard: nothing of a block may come twice, but
    // writes are absolute, so what the copy has already changes nothing.
    const writes = emptyWrites();
    for (const { version, groups } of waiting ?? [])
      if (version > copied) for (const { accounts } of groups) mergeWrites(writes, asWrites(accounts));
    for (const { byte, trieId } of job.bytes) {
      this.#state.forgetTrie(trieId);
      this.#state.assign(byte, trieId);
    }
    this.#database.transaction(() => this.#state.amend(writes));
    const version = Math.max(copied, this.#state.head);
    this.#later(async () => {
      await this.#database.flushed();
      this.#answer(id, { kind: "landed", version });
    });
  }

  /** Forgets a copy under way; what is there already goes. */
  #endImport(): void {
    const ended = this.#import;
    if (ended === undefined) return;
    this.#import = undefined;
    ended.isWanted = false;
    for (const { trieId } of ended.job.bytes) this.#drops.push({ trieId, after: -1, steps: undefined });
  }

  /** Removes a piece of a trie that no served version needs. Within a transaction. */
  #dropPiece(): void {
    const at = this.#drops.findIndex(({ after }) => after < this.#state.oldest);
    const drop = this.#drops[at];
    if (drop === undefined) return;
    drop.steps ??= dropTrie(this.#database, drop.trieId);
    if (drop.steps.next().done !== true) return;
    this.#state.forgetTrie(drop.trieId);
    this.#drops.splice(at, 1);
  }
}

function asWrites(accounts: WriteGroup["accounts"]): StateWrites {
  return { accounts: new Map(accounts), codes: new Map() };
}
