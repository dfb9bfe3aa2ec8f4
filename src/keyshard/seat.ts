/**
 * Owns the node's end of one key shard: its link, requests with their answers, and a view of its database. A shard that
 * is lost is opened again and brought to where the chain is: versions above the chain's head are taken back, missing
 * ones are sent again. Callers only wait longer.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { hasCode } from "../base/error.ts";
import type { Log } from "../base/log.ts";
import type { Link, OpenLink } from "../link/link.ts";
import type { ByteTrie } from "../state/placement.ts";
import type { TopChange } from "../state/root-joiner.ts";
import { ShardView } from "../state/shard-view.ts";
import { keyshardError } from "./error.ts";
import { decodeFromShard, encodeToShard, type FromShard, type TimedTop, type ToShard } from "./messages.ts";

/** A lost shard is opened again after this: one that cannot start is not to cost a process per moment. */
const REOPEN_MS = 250;
const HOLD_MS = 3_600_000;

/** What a seat needs to know of the chain; always as of now. */
export type SeatChain = {
  /** Newest version of the chain: where every shard is to be. */
  head(): number;
  tries(shard: number): readonly ByteTrie[];
  keep(shard: number): readonly number[];
  /** What a version wrote in this shard, as sent before; undefined when it is not kept. */
  redo(version: number, shard: number): Uint8Array | undefined;
  /** A shard has committed more. */
  landed(): void;
  /** A shard is beyond repair. */
  failed(error: unknown): void;
};

type Waiting = { readonly resolve: (message: FromShard) => void; readonly reject: (cause: Error) => void };

export class ShardSeat {
  readonly index: number;
  readonly folder: string;
  readonly #open: OpenLink;
  readonly #chain: SeatChain;
  readonly #log: Log;
  #link: Link | undefined;
  #nextId = 1;
  readonly #waiting = new Map<number, Waiting>();
  #hold: NodeJS.Timeout | undefined;
  #view: ShardView | undefined;
  #isClosed = false;
  /** Grows with every loss and rollback: answers to what was asked before say nothing any more. */
  #epoch = 0;
  /** Version whose writes the shard holds prepared. */
  #prepared: number | undefined;
  /** Resolves when the shard is where the chain is; replaced after a loss. */
  #ready: Promise<void> = Promise.resolve();
  /** Newest version of the chain that the view shows. */
  landed = -1;

  constructor(index: number, p: { folder: string; open: OpenLink; chain: SeatChain; log: Log }) {
    this.index = index;
    this.folder = p.folder;
    this.#open = p.open;
    this.#chain = p.chain;
    this.#log = p.log;
  }

  get view(): ShardView {
    if (this.#view === undefined) throw keyshardError("KEYSHARD_LOST", `key shard ${this.index} has not been opened`);
    return this.#view;
  }

  get isReady(): boolean {
    return this.#link !== undefined && this.#isSynchronized;
  }
  #isSynchronized = false;

  /** Opens the shard and brings it to the chain's head. @throws {KeyShardError} KEYSHARD_BEHIND */
  start(): Promise<void> {
    this.#ready = this.#synchronize();
    this.#ready.catch(() => undefined);
    return this.#ready;
  }

  /** @throws {KeyShardError} KEYSHARD_LOST, KEYSHARD_REFUSED */
  request(message: ToShard): Promise<FromShard> {
    const link = this.#link;
    if (link === undefined) return Promise.reject(this.#lostError());
    const id = this.#nextId++;
    // Links hold no process open; what waits for an answer does.
    this.#hold ??= setTimeout(() => undefined, HOLD_MS);
    return new Promise<FromShard>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      link.send(encodeToShard(id, message));
    }).then((answer) => {
      if (answer.kind === "refused") throw keyshardError("KEYSHARD_REFUSED", answer.reason, { shard: this.index });
      return answer;
    });
  }

  #letGo(): void {
    clearTimeout(this.#hold);
    this.#hold = undefined;
  }

  #lostError(cause?: Error): Error {
    return keyshardError("KEYSHARD_LOST", `key shard ${this.index} is not there`, { shard: this.index }, { cause });
  }

  #openLink(): void {
    const link = this.#open({
      received: (bytes) => {
        if (this.#link !== link) return;
        try {
          const { id, message } = decodeFromShard(bytes);
          const waiting = this.#waiting.get(id);
          this.#waiting.delete(id);
          if (this.#waiting.size === 0) this.#letGo();
          waiting?.resolve(message);
        } catch (error) {
          this.#lose(error as Error);
        }
      },
      lost: (cause) => {
        if (this.#link === link) this.#lose(cause);
      },
    });
    this.#link = link;
  }

  #lose(cause: Error): void {
    const link = this.#link;
    this.#link = undefined;
    this.#isSynchronized = false;
    this.#prepared = undefined;
    this.#epoch++;
    void link?.close();
    this.#giveUpWaiting(cause);
    if (this.#isClosed) return;
    this.#log.warn("key shard lost", { shard: this.index, err: cause });
    this.#ready = sleep(REOPEN_MS).then(() => this.#synchronize());
    this.#ready.catch((error: unknown) => this.#failed(error));
  }

  /** No answer comes any more. */
  #giveUpWaiting(cause?: Error): void {
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    this.#letGo();
    for (const { reject } of waiting) reject(this.#lostError(cause));
  }

  #failed(error: unknown): void {
    if (!this.#isClosed) this.#chain.failed(error);
  }

  async #synchronize(): Promise<void> {
    while (!this.#isClosed) {
      try {
        this.#openLink();
        await this.#catchUp();
        this.#isSynchronized = true;
        return;
      } catch (error) {
        // When the link was lost on the way, the loss has begun the next try.
        if (hasCode(error, "KEYSHARD_LOST")) return this.#isClosed ? undefined : await this.#ready;
        throw error;
      }
    }
  }

  async #catchUp(): Promise<void> {
    const { index } = this;
    const chain = this.#chain;
    let state = await this.#state(this.#openRequest());
    this.#view ??= new ShardView(this.folder);
    if (state.head > chain.head())
      state = await this.#state({ kind: "rollback", version: chain.head(), tries: chain.tries(index) });
    const epoch = this.#epoch;
    let at = state.head;
    this.#shows(at, epoch);
    // The chain may go on meanwhile by what this shard had prepared before it was lost.
    while (at < chain.head()) {
      const groups = chain.redo(at + 1, index);
      if (groups === undefined)
        throw keyshardError("KEYSHARD_BEHIND", `key shard ${index} is at block ${at}, the chain at ${chain.head()}`, {
          shard: index,
        });
      void this.request({ kind: "prepare", version: at + 1, groups }).catch(() => undefined);
      await this.request({ kind: "commit", version: at + 1, oldest: 0 });
      at++;
      this.#shows(at, epoch);
    }
  }

  #openRequest(): ToShard {
    const { index } = this;
    const chain = this.#chain;
    return { kind: "open", version: chain.head(), tries: chain.tries(index), keep: chain.keep(index) };
  }

  async #state(message: ToShard): Promise<FromShard & { kind: "state" }> {
    const answer = await this.request(message);
    if (answer.kind !== "state") throw keyshardError("KEYSHARD_LOST", "a key shard gave another answer than asked for");
    return answer;
  }

  #shows(version: number, epoch: number): void {
    if (epoch !== this.#epoch) return;
    this.landed = version;
    this.#view?.refresh();
    this.#chain.landed();
  }

  /** Runs `body` on a shard that is there, again after a loss. */
  async #retrying<T>(body: () => Promise<T>): Promise<T> {
    for (;;) {
      await this.#ready;
      try {
        return await body();
      } catch (error) {
        if (this.#isClosed || !hasCode(error, "KEYSHARD_LOST")) throw error;
      }
    }
  }

  /** What hangs in the slots of its bytes at the chain's head, and the oldest version it serves. */
  holds(): Promise<{ readonly tops: readonly TopChange[]; readonly oldest: number }> {
    return this.#retrying(() => this.#state(this.#openRequest()));
  }

  /** Hashes the writes of the version after the chain's head. */
  prepare(version: number, groups: Uint8Array): Promise<readonly TimedTop[]> {
    return this.#retrying(async () => {
      const answer = await this.request({ kind: "prepare", version, groups });
      if (answer.kind !== "tops") throw this.#lostError();
      this.#prepared = version;
      return answer.tops;
    });
  }

  /** The chain has `version` now. */
  commit(version: number, oldest: number): void {
    if (!this.#isSynchronized) return; // it is on its way to the chain's head
    if (this.#prepared !== version) {
      this.follow(); // it was lost between the two, and has nothing prepared
      return;
    }
    this.#prepared = undefined;
    const epoch = this.#epoch;
    this.request({ kind: "commit", version, oldest }).then(
      () => this.#shows(version, epoch),
      () => undefined, // the loss is known, and what follows from it
    );
  }

  /** Sends what it lacks, where it has nothing prepared. */
  follow(): void {
    if (!this.#isSynchronized) return;
    this.#isSynchronized = false;
    this.#ready = this.#catchUp().then(
      () => {
        this.#isSynchronized = true;
      },
      (error: unknown) => (hasCode(error, "KEYSHARD_LOST") && !this.#isClosed ? this.#ready : Promise.reject(error)),
    );
    this.#ready.catch((error: unknown) => this.#failed(error));
  }

  /** The chain is at `version` now, which is below. Resolves with what the slots hold then. */
  rollback(version: number): Promise<readonly TopChange[]> {
    this.#epoch++;
    this.#prepared = undefined;
    this.landed = Math.min(this.landed, version);
    return this.#retrying(async () => {
      const epoch = this.#epoch;
      const chain = this.#chain;
      const tries = chain.tries(this.index);
      // One that holds nothing at that version begins there anew: it may have no history down to it.
      const holdsNothing = tries.length === 0 && chain.keep(this.index).length === 0;
      const { tops } = await this.#state(holdsNothing ? this.#openRequest() : { kind: "rollback", version, tries });
      this.#shows(version, epoch);
      return tops;
    });
  }

  /** The version up to which nothing is lost with the power. */
  async flush(): Promise<number> {
    const answer = await this.request({ kind: "flush" });
    return answer.kind === "landed" ? answer.version : -1;
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#view?.close();
    const link = this.#link;
    if (link === undefined) return;
    // A thread that is ended while it writes would take the process with it.
    await this.request({ kind: "close" }).catch(() => undefined);
    this.#link = undefined;
    await link.close();
    this.#giveUpWaiting();
  }
}
