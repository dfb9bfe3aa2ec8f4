/**
 * Owns one epoch of the order while it is executed out of order: takes results as they come, has them validated by the
 * key shards, and advances one watermark. Below it a result is final: equal, byte for byte, to that of a serial run.
 * Pure and synchronous; knows nothing of who executes, and of shards elsewhere only the messages. Whatever is delivered
 * (late, twice, wrong, never) and whatever becomes of shards, the results and the net effect are the same, as long as
 * somebody runs `exactRange` when the watermark waits and says which shards are lost.
 *
 * A transaction is missing, installed (its result is taken part in validation), stale (installed, but a dependency is
 * known to have moved: a newer result replaces it), or exact (run on the final state below it). The watermark passes a
 * transaction when every shard holds it and the gas left in the block covers it as it assumed.
 * @see docs/decisions/0014-sharded-execution.md, 0026-key-shards-over-links.md
 */
import { assert } from "../../base/assert.ts";
import { toHexKey } from "../../base/bytes.ts";
import { keccak256 } from "../../protocol/keccak.ts";
import { mergeWrites, type StateWrites } from "../../protocol/state-writes.ts";
import type { Account, SkipReason, StateReader, TxResult } from "../execution.ts";
import { ACCOUNT, RECORD, STATUS_SKIPPED } from "../wasm/layout.ts";
import type { TxRecord } from "../wasm/result.ts";
import { resultOf } from "../wasm/result.ts";
import type { Conflict, EpochShard, ShardRead } from "./epoch-shard.ts";
import { KeyVersions } from "./key-versions.ts";
import { RemoteShard } from "./remote-shard.ts";
import type { Answer } from "./shard-messages.ts";

/** Reasons that do not depend on how much gas the block has left: they are found before gas is looked at. */
const BEFORE_GAS: ReadonlySet<SkipReason> = new Set<SkipReason>([
  "UNDECODABLE",
  "UNSUPPORTED_TYPE",
  "WRONG_CHAIN",
  "NONCE_TOO_LOW",
  "NONCE_TOO_HIGH",
  "NONCE_MAX",
  "FEE_BELOW_BASE",
  "TIP_ABOVE_FEE",
  "SENDER_NOT_EOA",
  "INIT_CODE_TOO_LARGE",
  "BLOBS_INVALID",
  "AUTHORIZATIONS_INVALID",
]);

const MISSING = 0;
const INSTALLED = 1;
const STALE = 2;
const EXACT = 3;

export type EpochInput = {
  readonly count: number;
  /** Gas limit of each transaction as far as it can be told; undefined: only an exact run tells. */
  readonly gasLimits: readonly (number | undefined)[];
  /** State before the epoch. */
  readonly state: StateReader;
  readonly gasAvailable: number;
  /** Key shards: each owns a range of the first byte of keccak(address). */
  readonly shards: number;
  /** Ways to the shards that are elsewhere, and the epoch's number there; without one a shard is kept here. */
  readonly elsewhere?: {
    readonly epoch: number;
    readonly sends: readonly (((message: Uint8Array) => void) | undefined)[];
  };
};

export type EpochStats = {
  /** Results that did not hold when the watermark reached them, by what moved. */
  slotConflicts: number;
  fieldConflicts: number;
  gasConflicts: number;
  /** Transactions run at the watermark. */
  exactRuns: number;
  /** Results found stale before the watermark came. */
  staleResults: number;
  /** Results that came too late, twice, or for nothing. */
  ignoredResults: number;
  /** Shards whose part was taken over here. */
  takenOver: number;
};

/** What a delivered result came to. */
export type Delivery = "installed" | "ignored";

/** A result that is known not to hold before the watermark comes to it. */
export type StaleResult = { readonly index: number; readonly conflict: Conflict };

export class Epoch {
  readonly stats: EpochStats = {
    slotConflicts: 0,
    fieldConflicts: 0,
    gasConflicts: 0,
    exactRuns: 0,
    staleResults: 0,
    ignoredResults: 0,
    takenOver: 0,
  };
  readonly count: number;
  readonly #gasLimits: readonly (number | undefined)[];
  readonly #state: StateReader;
  /** By shard: those elsewhere. */
  readonly #remotes: (RemoteShard | undefined)[];
  /** All the others, as one: what they hold is the same in whatever pieces. */
  #here: KeyVersions | undefined;
  /** All of these. */
  #shards: readonly EpochShard[] = [];
  /** Owner of an account, kept: the hash costs more than the lookup. */
  readonly #owners = new Map<string, number>();
  readonly #records: (TxRecord | undefined)[];
  readonly #phases: Uint8Array;
  readonly #attempts: Float64Array;
  readonly #codes = new Map<string, Uint8Array>();
  #stale: StaleResult[] = [];
  #watermark = 0;
  /** Exact results end here, when they reach the watermark: final, whatever shards elsewhere have seen of them. */
  #exactTo = 0;
  #gasLeft: number;
  #conflict: Conflict | undefined;
  /** What the final results wrote, for keys whose shard is elsewhere; made when somebody asks. */
  #finals: KeyVersions | undefined;
  #finalsTo = 0;

  constructor(p: EpochInput) {
    this.count = p.count;
    this.#gasLimits = p.gasLimits;
    this.#state = p.state;
    this.#gasLeft = p.gasAvailable;
    this.#records = Array.from({ length: p.count });
    this.#phases = new Uint8Array(p.count);
    this.#attempts = new Float64Array(p.count).fill(-1);
    this.#remotes = Array.from({ length: p.shards }, (_, shard) => {
      const send = p.elsewhere?.sends[shard];
      if (p.elsewhere === undefined || send === undefined) return undefined;
      const { epoch } = p.elsewhere;
      return new RemoteShard({ epoch, count: p.count, base: p.state, send, record: (index) => this.#records[index] });
    });
    if (this.#remotes.includes(undefined)) this.#here = new KeyVersions(p.state, p.count);
    this.#listShards();
  }

  #listShards(): void {
    const remotes = this.#remotes.filter((remote) => remote !== undefined);
    this.#shards = this.#here === undefined ? remotes : [this.#here, ...remotes];
  }

  /** No key shard is elsewhere (any more). */
  get #isAllHere(): boolean {
    return this.#shards.length === 1 && this.#here !== undefined;
  }

  /** Gives memory back, when nothing is to be asked of the epoch any more; results that were read stay. */
  close(): void {
    this.#here?.close();
    this.#finals?.close();
  }

  /** Transactions below it are final. */
  get watermark(): number {
    return this.#watermark;
  }

  /** All results are final. */
  get isDone(): boolean {
    return this.#watermark === this.count;
  }

  /** Results and net effect are there to be read. */
  get isOver(): boolean {
    return this.isDone && this.#remotes.every((remote) => remote === undefined || remote.isOver);
  }

  /** Gas the block has left at the watermark. */
  get gasLeft(): number {
    return this.#gasLeft;
  }

  /** The dependency that stopped the watermark, when it was one. */
  get conflict(): Conflict | undefined {
    return this.#conflict;
  }

  /** Accounts and slots validated here. */
  get accesses(): number {
    return this.#here?.accesses ?? 0;
  }

  /** Is a result of the transaction at hand, and not known to be stale? */
  isInstalled(index: number): boolean {
    const phase = this.#phases[index];
    return phase === INSTALLED || phase === EXACT;
  }

  /**
   * Takes the result of a run. `attempt` grows with every dispatch of a transaction; a result that is final, already
   * there in good standing, or not newer than the rejected one is ignored.
   */
  deliver(index: number, attempt: number, record: TxRecord): Delivery {
    assert(index >= 0 && index < this.count, "results are for transactions of the epoch");
    const phase = this.#phases[index];
    if (
      index < this.#watermark ||
      phase === INSTALLED ||
      phase === EXACT ||
      attempt <= (this.#attempts[index] as number)
    ) {
      this.stats.ignoredResults++;
      return "ignored";
    }
    this.#attempts[index] = attempt;
    this.#install(index, record);
    this.#phases[index] = INSTALLED;
    for (const shard of this.#shards) {
      const conflict = shard.staleSlot(index);
      if (conflict === undefined) continue;
      this.#markStale(index, conflict);
      break;
    }
    return "installed";
  }

  #markStale(index: number, conflict: Conflict): void {
    // At the watermark it is not early any more: there the shards say what stops it.
    if (index <= this.#watermark || this.#phases[index] !== INSTALLED) return;
    this.stats.staleResults++;
    this.#phases[index] = STALE;
    this.#stale.push({ index, conflict });
  }

  /** Results found stale since the last call. */
  takeStale(): readonly StaleResult[] {
    const stale = this.#stale;
    if (stale.length > 0) this.#stale = [];
    return stale;
  }

  /** Validates as far as it goes; the watermark. */
  advance(): number {
    let frontier = this.count;
    for (const shard of this.#shards) {
      const reached = shard.advance();
      // What ran here on the final state needs nobody elsewhere to hold it.
      frontier = Math.min(frontier, shard === this.#here ? reached : Math.max(reached, this.#exactTo));
    }
    this.#conflict = undefined;
    while (this.#watermark < frontier) {
      const index = this.#watermark;
      if (this.#phases[index] !== EXACT && !this.#isGasAsAssumed(index)) {
        if (this.#phases[index] !== STALE) this.stats.gasConflicts++;
        this.#phases[index] = STALE;
        return index;
      }
      this.#finalize(index);
    }
    const index = this.#watermark;
    if (this.isDone || this.#phases[index] === MISSING) return index;
    for (const shard of this.#shards) {
      this.#conflict = shard.conflict(index);
      if (this.#conflict !== undefined) break;
    }
    if (this.#conflict === undefined) {
      assert(!this.#isAllHere, "a transaction with a result stops the watermark for a reason");
      return index;
    }
    assert(this.#phases[index] !== EXACT, "what ran on the final state holds");
    if (this.#phases[index] !== STALE) {
      if (this.#conflict.slot === undefined) this.stats.fieldConflicts++;
      else this.stats.slotConflicts++;
    }
    this.#phases[index] = STALE;
    return index;
  }

  /**
   * The run of transactions from the watermark on that have no result in good standing, at most `max`: what must be run
   * on {@link reader} of its start with `gasLeft` and without assumptions.
   */
  exactRange(max: number): { readonly from: number; readonly to: number } {
    const from = this.#watermark;
    let to = from;
    while (to < this.count && to - from < max && !this.isInstalled(to)) to++;
    return { from, to };
  }

  /** Takes the results of an exact run from the watermark on and advances over them. */
  deliverExact(records: readonly (TxRecord | undefined)[]): number {
    const from = this.#watermark;
    for (const [i, record] of records.entries()) {
      const index = from + i;
      this.#phases[index] = EXACT;
      if (record === undefined) this.#installNothing(index);
      else this.#install(index, record);
      this.stats.exactRuns++;
    }
    this.#exactTo = from + records.length;
    const watermark = this.advance();
    assert(watermark >= this.#exactTo, "what ran on the final state is final");
    return watermark;
  }

  /** Sends to the shards elsewhere what there is to tell them. */
  flush(): void {
    for (const remote of this.#remotes) remote?.flush(this.#watermark);
  }

  /** Takes what a shard elsewhere answered; false: it is out of step and lost, see {@link takeOver}. */
  received(shard: number, answer: Answer): boolean {
    const remote = this.#remotes[shard];
    if (remote === undefined) return true;
    const stale = remote.received(answer);
    if (stale === undefined) return false;
    // What is final holds: a shard that says otherwise does not know what it is talking about.
    if (answer.frontier < this.#watermark && remote.conflict(answer.frontier) !== undefined) return false;
    for (const { index, conflict } of stale) if (index < this.count) this.#markStale(index, conflict);
    return true;
  }

  /** The oldest round a shard elsewhere has not answered. */
  awaitedRound(shard: number): number | undefined {
    return this.#remotes[shard]?.awaitedRound;
  }

  /** A shard elsewhere is lost: its part is validated here from what is at hand, and its reads are answered. */
  takeOver(shard: number): void {
    const remote = this.#remotes[shard];
    if (remote === undefined) return;
    this.stats.takenOver++;
    this.#remotes[shard] = undefined;
    const here = this.#here ?? new KeyVersions(this.#state, this.count);
    this.#here = here;
    this.#listShards();
    for (let index = 0; index < this.count; index++)
      if (this.#phases[index] !== MISSING) {
        const record = this.#records[index];
        const isPart = record !== undefined && !this.#isAllHere;
        here.install(index, record, isPart ? this.#partHere(this.#partsOf(record)) : undefined);
      }
    assert(here.advance() >= this.#watermark, "what is final holds, whoever looks at it");
    for (const read of remote.unansweredReads()) here.read(read);
  }

  /** Asks the key's shard, which may answer later. */
  read(read: ShardRead): void {
    (this.#remoteOwner(read.key.address) ?? (this.#here as KeyVersions)).read(read);
  }

  /** The state as the transaction at `index` finds it, as far as results are known here: all of them at the watermark. */
  reader(index: number): StateReader {
    return new EpochReader(this, this.#state, index);
  }

  account(address: Uint8Array, index: number): Account | undefined {
    return this.#knownHere(address).account(address, index);
  }

  storage(address: Uint8Array, slot: Uint8Array, index: number): Uint8Array {
    return this.#knownHere(address).storage(address, slot, index);
  }

  /** What a transaction at `index` may find, as far as that is known without asking anybody: a hint. */
  likelyAccount(address: Uint8Array, index: number): Account | undefined {
    if (this.#remoteOwner(address) === undefined) return (this.#here as KeyVersions).account(address, index);
    return this.#finals === undefined ? this.#state.account(address) : this.#finals.account(address, index);
  }

  code(codeHash: Uint8Array): Uint8Array {
    return this.#codes.get(toHexKey(codeHash)) ?? this.#state.code(codeHash);
  }

  /** The newest result of a transaction, in whatever standing. */
  record(index: number): TxRecord | undefined {
    return this.#records[index];
  }

  /** Final results, in order. */
  results(): TxResult[] {
    assert(this.isOver, "results are read when all are final and corrected");
    const here = this.#here;
    const isAllHere = this.#isAllHere;
    return this.#records.map((record, index): TxResult => {
      if (record === undefined) return { included: false, reason: "RESOURCE" };
      // Shards elsewhere have sent their corrections.
      if (isAllHere) here?.settle(index, record);
      else here?.settlePart(index, record);
      return resultOf(record);
    });
  }

  /** Net effect of the whole epoch. */
  net(): StateWrites {
    assert(this.isOver, "the net effect is known when all are final");
    const [first, ...others] = this.#shards;
    const writes = (first as EpochShard).net();
    for (const shard of others) mergeWrites(writes, shard.net());
    for (const hash of writes.codes.keys()) {
      const code = this.#codes.get(hash);
      if (code === undefined) writes.codes.delete(hash);
      else writes.codes.set(hash, code);
    }
    return writes;
  }

  #finalize(index: number): void {
    const record = this.#records[index];
    if (record !== undefined && record.status !== STATUS_SKIPPED)
      this.#gasLeft = Math.max(0, this.#gasLeft - record.gasUsed);
    this.#watermark++;
  }

  /** Speculation runs with more gas in the block than there is: right only if its own limit is covered. */
  #isGasAsAssumed(index: number): boolean {
    const record = this.#records[index];
    if (record === undefined) return false;
    const gasLimit = this.#gasLimits[index];
    if (gasLimit !== undefined && gasLimit <= this.#gasLeft) return true;
    const result = resultOf(record);
    return !result.included && BEFORE_GAS.has(result.reason);
  }

  #install(index: number, record: TxRecord): void {
    this.#records[index] = record;
    if (record.u32(RECORD.codeCount) > 0) for (const [hash, code] of record.codes()) this.#codes.set(hash, code);
    if (this.#isAllHere) {
      this.#here?.install(index, record, undefined);
      return;
    }
    const parts = this.#partsOf(record);
    for (const [shard, remote] of this.#remotes.entries()) remote?.install(index, record, parts[shard] as number[]);
    this.#here?.install(index, record, this.#partHere(parts));
  }

  /** By shard: offsets of its accounts. */
  #partsOf(record: TxRecord): number[][] {
    const parts: number[][] = this.#remotes.map(() => []);
    record.forEachAccount((at) => {
      parts[this.#ownerIndex(record.hex(at + ACCOUNT.address, 20))]?.push(at);
    });
    return parts;
  }

  /** Of the parts of a record, what is validated here. */
  #partHere(parts: readonly number[][]): number[] {
    return parts.flatMap((part, shard) => (this.#remotes[shard] === undefined ? part : []));
  }

  #installNothing(index: number): void {
    this.#records[index] = undefined;
    for (const shard of this.#shards) shard.install(index, undefined, undefined);
  }

  #ownerIndex(key: string): number {
    let owner = this.#owners.get(key);
    if (owner === undefined) {
      const first = keccak256(Buffer.from(key, "hex"))[0] as number;
      owner = (first * this.#remotes.length) >>> 8;
      this.#owners.set(key, owner);
    }
    return owner;
  }

  /** The shard elsewhere that has the account's keys. */
  #remoteOwner(address: Uint8Array): RemoteShard | undefined {
    return this.#isAllHere ? undefined : this.#remotes[this.#ownerIndex(toHexKey(address))];
  }

  /** Versions of the account's keys in this thread: all of them, or those of final results. */
  #knownHere(address: Uint8Array): KeyVersions {
    return this.#remoteOwner(address) === undefined ? (this.#here as KeyVersions) : this.#finalVersions();
  }

  /** Versions of the final results, as far as the watermark has come. */
  #finalVersions(): KeyVersions {
    this.#finals ??= new KeyVersions(this.#state, this.count);
    for (; this.#finalsTo < this.#watermark; this.#finalsTo++) {
      const record = this.#records[this.#finalsTo];
      if (record !== undefined) this.#finals.install(this.#finalsTo, record, undefined);
    }
    return this.#finals;
  }
}

class EpochReader implements StateReader {
  readonly #epoch: Epoch;
  readonly #base: StateReader;
  readonly #index: number;

  constructor(epoch: Epoch, base: StateReader, index: number) {
    this.#epoch = epoch;
    this.#base = base;
    this.#index = index;
  }

  account(address: Uint8Array): Account | undefined {
    return this.#epoch.account(address, this.#index);
  }
  storage(address: Uint8Array, slot: Uint8Array): Uint8Array {
    return this.#epoch.storage(address, slot, this.#index);
  }
  code(codeHash: Uint8Array): Uint8Array {
    return this.#epoch.code(codeHash);
  }
  blockHash(number: number): Uint8Array {
    return this.#base.blockHash(number);
  }
}
