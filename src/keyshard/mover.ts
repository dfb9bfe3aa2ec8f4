/**
 * Owns the moving of bytes between key shards while blocks go on: weighs bytes by the time they take, plans with
 * balance.ts, has the shard that is to hold them copy them and be sent what blocks write there meanwhile, and hands the
 * moves over at a block boundary once the copy shows the same tops as the original. A move that fails leaves everything
 * as it was and is planned anew.
 */
import { bytesEqual } from "../base/bytes.ts";
import type { Log } from "../base/log.ts";
import { BYTES, type Move, type Place, type Placement, SHARDS_MAX } from "../state/placement.ts";
import { encodeTops, type TopChange } from "../state/root-joiner.ts";
import { imbalance, planMoves } from "./balance.ts";
import type { TimedTop } from "./messages.ts";
import type { KeyShardMetrics } from "./metrics.ts";
import type { ShardSeat } from "./seat.ts";

/** Blocks after which an older load counts for half. */
const LOAD_HALF_LIFE_BLOCKS = 32;
const KEPT = 0.5 ** (1 / LOAD_HALF_LIFE_BLOCKS);
/** A plan is made this often, in blocks, and after a failed move as late. */
const PLAN_EVERY_BLOCKS = 16;
/** Bytes that one shard takes at a time: what is written to them meanwhile is sent twice. */
const BYTES_AT_A_TIME = 64;

export type MoverDeps = {
  readonly seats: readonly ShardSeat[];
  readonly placement: () => Placement;
  readonly head: () => number;
  /** Stores the placement. */
  readonly store: () => void;
  /** What hangs in a byte's slot at the head. */
  readonly top: (byte: number) => TopChange["top"];
  /** Opens shards until there are as many. */
  readonly grow: (count: number) => Promise<void>;
  /** Resolves when all shards show a version. */
  readonly showing: (version: number) => Promise<void>;
  readonly log: Log;
  readonly metrics: Pick<KeyShardMetrics, "imbalance" | "movedBytes" | "shards">;
};

type Job = { readonly moves: readonly Move[]; readonly to: number; isReady: boolean };

export class Mover {
  readonly #deps: MoverDeps;
  /** Time each byte takes, in microseconds a block. */
  readonly #loads: number[] = Array.from({ length: BYTES }, () => 0);
  /** By the shard that takes the bytes. */
  readonly #jobs = new Map<number, Job>();
  readonly #coming = new Map<number, Place>();
  #target = 1;
  #growing: Promise<void> | undefined;
  #blocksToPlan = 0;

  constructor(deps: MoverDeps) {
    this.#deps = deps;
  }

  /** Shards that are to hold the state. */
  get target(): number {
    return this.#target;
  }

  /** Takes effect beside the blocks that follow. */
  set target(shards: number) {
    if (!Number.isInteger(shards) || shards < 1 || shards > SHARDS_MAX)
      throw new RangeError(`a state is spread over 1 to ${SHARDS_MAX} key shards, not ${shards}`);
    this.#target = shards;
    this.#blocksToPlan = 0;
  }

  /** Nothing is on its way and every byte is on a shard that is to hold the state. */
  get isSettled(): boolean {
    if (this.#jobs.size > 0 || this.#growing !== undefined) return false;
    return this.#shardOf().every((shard) => shard < this.#target);
  }

  /** Shards that hold bytes now. */
  get shards(): number {
    return new Set(this.#shardOf()).size;
  }

  /** Where a byte is on its way to: there, too, it is to be written. */
  coming(byte: number): Place | undefined {
    return this.#coming.get(byte);
  }

  /** What a block took. */
  weigh(tops: readonly TimedTop[]): void {
    const loads = this.#loads;
    for (let byte = 0; byte < BYTES; byte++) loads[byte] = (loads[byte] as number) * KEPT;
    for (const { byte, micros } of tops) loads[byte] = (loads[byte] as number) + (1 - KEPT) * micros;
    this.#deps.metrics.imbalance.set(imbalance(this.#shardOf(), loads, Math.max(this.#target, this.#spread())));
  }

  #shardOf(): number[] {
    return this.#deps.placement().current.map(({ shard }) => shard);
  }

  #spread(): number {
    return 1 + Math.max(...this.#shardOf());
  }

  /** At a block boundary: moves that hold from the next block on. Starts others. */
  async due(): Promise<Move[]> {
    const moves: Move[] = [];
    for (const [to, job] of [...this.#jobs]) {
      if (!job.isReady) continue;
      await this.#deps.showing(this.#deps.head());
      if (this.#jobs.get(to) !== job) continue;
      if (this.#isSame(job)) moves.push(...job.moves);
      else this.#giveUp(job, "the copy differs from the original");
    }
    if (this.#blocksToPlan > 0) this.#blocksToPlan--;
    else if (this.#jobs.size === 0 && this.#growing === undefined) this.#plan();
    return moves;
  }

  /** Whether the copies show at the head what the originals show. */
  #isSame({ moves }: Job): boolean {
    const { seats, head, top } = this.#deps;
    return moves.every(({ byte, to }) => {
      const copy = (seats[to.shard] as ShardSeat).view.top(to.trieId, byte, head());
      return bytesEqual(encodeTops([{ byte, top: copy }]), encodeTops([{ byte, top: top(byte) }]));
    });
  }

  #plan(): void {
    this.#blocksToPlan = PLAN_EVERY_BLOCKS;
    const planned = planMoves(this.#shardOf(), this.#loads, this.#target);
    if (planned.length === 0) return;
    const most = 1 + Math.max(...planned.map(({ to }) => to));
    if (most > this.#deps.seats.length) {
      this.#growing = this.#deps.grow(most).finally(() => {
        this.#growing = undefined;
        this.#blocksToPlan = 0;
      });
      this.#growing.catch((err: unknown) => this.#deps.log.warn("a key shard could not be opened", { err }));
      return;
    }
    const places = this.#deps.placement().current;
    // One source for each shard that takes: it copies from one database at a time.
    const sourceOf = new Map<number, number>();
    const moves = new Map<number, Move[]>();
    for (const { byte, to } of planned) {
      const from = (places[byte] as Place).shard;
      if ((sourceOf.get(to) ?? from) !== from) continue;
      sourceOf.set(to, from);
      const list = moves.get(to) ?? [];
      moves.set(to, list);
      if (list.length < BYTES_AT_A_TIME)
        list.push({ byte, to: { shard: to, trieId: this.#deps.placement().takeTrieId() } });
    }
    this.#deps.store(); // no number of a trie is given out twice
    for (const [to, list] of moves) this.#start(sourceOf.get(to) as number, { moves: list, to, isReady: false });
  }

  #start(from: number, job: Job): void {
    const { seats, head, log } = this.#deps;
    const { moves, to } = job;
    const seat = seats[to] as ShardSeat;
    if (!seat.isReady) return; // planned anew
    const places = this.#deps.placement().current;
    this.#jobs.set(to, job);
    for (const move of moves) this.#coming.set(move.byte, move.to);
    log.info("bytes of the state are moving", { from, to, bytes: moves.length });
    seat
      .request({
        kind: "import",
        folder: (seats[from] as ShardSeat).folder,
        version: head(),
        bytes: moves.map(({ byte, to: { trieId } }) => ({ byte, from: (places[byte] as Place).trieId, trieId })),
      })
      .then(
        () => {
          job.isReady = true;
        },
        (error: unknown) => {
          if (this.#jobs.get(to) === job) this.#giveUp(job, error instanceof Error ? error.message : String(error));
        },
      );
  }

  #giveUp(job: Job, reason: string): void {
    const { seats, head, log } = this.#deps;
    this.#end(job);
    this.#blocksToPlan = PLAN_EVERY_BLOCKS;
    log.warn("bytes of the state did not move", { to: job.to, reason });
    const trieIds = job.moves.map(({ to }) => to.trieId);
    seats[job.to]?.request({ kind: "drop", trieIds, after: head() }).catch(() => undefined);
  }

  #end(job: Job): void {
    this.#jobs.delete(job.to);
    for (const { byte } of job.moves) this.#coming.delete(byte);
  }

  /** The moves hold now. */
  switched(moves: readonly Move[]): void {
    for (const job of [...this.#jobs.values()]) if (job.moves.some((move) => moves.includes(move))) this.#end(job);
    this.#deps.metrics.movedBytes.inc(moves.length);
    this.#deps.metrics.shards.set(this.shards);
    this.#deps.log.info("bytes of the state moved", { bytes: moves.length, shards: this.shards });
    this.#blocksToPlan = 0;
  }

  /** The chain goes back: copies under way may be of blocks that are gone. */
  abort(): void {
    for (const job of [...this.#jobs.values()]) this.#giveUp(job, "the chain was rewound");
  }
}
