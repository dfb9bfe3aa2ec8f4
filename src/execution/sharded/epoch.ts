/**
 * Owns one epoch of the order while it is executed out of order: takes results as they come, validates them through the
 * key shards, and advances one watermark. Below it a result is final: equal, byte for byte, to that of a serial run.
 * Pure and synchronous; knows nothing of who executes. Whatever is delivered (late, twice, wrong, never), the results
 * and the net effect are the same, as long as somebody runs `exactRange` when the watermark waits.
 *
 * A transaction is missing, installed (its result is taken part in validation), stale (installed, but a dependency is
 * known to have moved: a newer result replaces it), or exact (run on the final state below it). The watermark passes a
 * transaction when every shard holds it and the gas left in the block covers it as it assumed.
 * @see docs/decisions/0014-sharded-execution.md
 */
import { assert } from "../../base/assert.ts";
import { toHexKey } from "../../base/bytes.ts";
import { keccak256 } from "../../protocol/keccak.ts";
import { emptyWrites, type StateWrites } from "../../protocol/state-writes.ts";
import type { Account, SkipReason, StateReader, TxResult } from "../execution.ts";
import { ACCOUNT } from "../wasm/layout.ts";
import type { TxRecord } from "../wasm/result.ts";
import { resultOf, WasmIncluded } from "../wasm/result.ts";
import { type AccountEffect, effectsOf } from "./effects.ts";
import { type ConflictKey, KeyVersions } from "./key-versions.ts";

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
};

/** What a delivered result came to. */
export type Delivery = "installed" | "stale" | "ignored";

export class Epoch {
  readonly stats: EpochStats = {
    slotConflicts: 0,
    fieldConflicts: 0,
    gasConflicts: 0,
    exactRuns: 0,
    staleResults: 0,
    ignoredResults: 0,
  };
  readonly count: number;
  readonly #gasLimits: readonly (number | undefined)[];
  readonly #state: StateReader;
  readonly #shards: readonly KeyVersions[];
  /** Owner of an account, kept: the hash costs more than the lookup. */
  readonly #owners = new Map<string, number>();
  readonly #records: (TxRecord | undefined)[];
  readonly #phases: Uint8Array;
  readonly #attempts: Float64Array;
  readonly #codes = new Map<string, Uint8Array>();
  #watermark = 0;
  #gasLeft: number;
  #conflict: ConflictKey | undefined;

  constructor(p: EpochInput) {
    this.count = p.count;
    this.#gasLimits = p.gasLimits;
    this.#state = p.state;
    this.#gasLeft = p.gasAvailable;
    this.#shards = Array.from({ length: p.shards }, () => new KeyVersions(p.state, p.count));
    this.#records = Array.from({ length: p.count });
    this.#phases = new Uint8Array(p.count);
    this.#attempts = new Float64Array(p.count).fill(-1);
  }

  /** Transactions below it are final. */
  get watermark(): number {
    return this.#watermark;
  }

  get isDone(): boolean {
    return this.#watermark === this.count;
  }

  /** Gas the block has left at the watermark. */
  get gasLeft(): number {
    return this.#gasLeft;
  }

  /** The dependency that stopped the watermark, when it was one. */
  get conflict(): ConflictKey | undefined {
    return this.#conflict;
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
    if (index === this.#watermark || this.staleSlot(index) === undefined) return "installed";
    this.stats.staleResults++;
    this.#phases[index] = STALE;
    return "stale";
  }

  /** Validates as far as it goes; the watermark. */
  advance(): number {
    while (!this.isDone) {
      let frontier = this.count;
      for (const shard of this.#shards) frontier = Math.min(frontier, shard.advance());
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
      if (this.isDone) break;
      const index = this.#watermark;
      if (this.#phases[index] === MISSING) break;
      this.#conflict = this.#shards.map((shard) => shard.conflict(index)).find((key) => key !== undefined);
      assert(this.#conflict !== undefined, "a transaction with a result stops the watermark for a reason");
      assert(this.#phases[index] !== EXACT, "what ran on the final state holds");
      if (this.#phases[index] !== STALE) {
        if (this.#conflict.slot === undefined) this.stats.fieldConflicts++;
        else this.stats.slotConflicts++;
      }
      this.#phases[index] = STALE;
      break;
    }
    return this.#watermark;
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
    const watermark = this.advance();
    assert(watermark >= from + records.length, "what ran on the final state is final");
    return watermark;
  }

  /** The state as the transaction at `index` finds it, as far as results are known. */
  reader(index: number): StateReader {
    return new EpochReader(this, this.#state, index);
  }

  account(key: string, index: number): Account | undefined {
    return this.#owner(key).account(key, index);
  }

  storage(key: string, slot: string, index: number): Uint8Array {
    return this.#owner(key).storage(key, slot, index);
  }

  /** The latest transaction below `index` that wrote the slot, or -1. */
  slotWriter(key: string, slot: string, index: number): number {
    return this.#owner(key).slotWriter(key, slot, index);
  }

  /** A slot that the result of `index` read and that has another value now. */
  staleSlot(index: number): ConflictKey | undefined {
    for (const shard of this.#shards) {
      const slot = shard.staleSlot(index);
      if (slot !== undefined) return slot;
    }
    return undefined;
  }

  code(codeHash: Uint8Array): Uint8Array {
    return this.#codes.get(toHexKey(codeHash)) ?? this.#state.code(codeHash);
  }

  /** The newest result of a transaction, in whatever standing. */
  record(index: number): TxRecord | undefined {
    return this.#records[index];
  }

  /** Final results, in order; those below the watermark only. */
  results(): TxResult[] {
    assert(this.isDone, "results are read when all are final");
    return this.#records.map((record, index): TxResult => {
      if (record === undefined) return { included: false, reason: "RESOURCE" };
      const result = resultOf(record);
      if (result instanceof WasmIncluded) result.settleWith(() => this.#settle(index, record));
      return result;
    });
  }

  /** Net effect of the whole epoch. */
  net(): StateWrites {
    assert(this.isDone, "the net effect is known when all are final");
    const writes = emptyWrites();
    for (const shard of this.#shards) shard.net(writes, this.#codes);
    return writes;
  }

  #finalize(index: number): void {
    const record = this.#records[index];
    if (record !== undefined) {
      const result = resultOf(record);
      if (result.included) this.#gasLeft = Math.max(0, this.#gasLeft - result.gasUsed);
    }
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
    for (const [hash, code] of record.codes()) this.#codes.set(hash, code);
    const effects = effectsOf(record);
    if (this.#shards.length === 1) {
      this.#shards[0]?.install(index, effects);
      return;
    }
    const parts: AccountEffect[][] = this.#shards.map(() => []);
    for (const effect of effects) parts[this.#ownerIndex(effect.key)]?.push(effect);
    for (const [i, shard] of this.#shards.entries()) shard.install(index, parts[i] as AccountEffect[]);
  }

  #installNothing(index: number): void {
    this.#records[index] = undefined;
    for (const shard of this.#shards) shard.install(index, []);
  }

  #ownerIndex(key: string): number {
    if (this.#shards.length === 1) return 0;
    let owner = this.#owners.get(key);
    if (owner === undefined) {
      const first = keccak256(Buffer.from(key, "hex"))[0] as number;
      owner = (first * this.#shards.length) >>> 8;
      this.#owners.set(key, owner);
    }
    return owner;
  }

  #owner(key: string): KeyVersions {
    return this.#shards[this.#ownerIndex(key)] as KeyVersions;
  }

  /** Writes into the record what a serial run would have found: fields nobody depended on may have been others. */
  #settle(index: number, record: TxRecord): void {
    record.forEachAccount((at) => {
      const key = record.hex(at + ACCOUNT.address, 20);
      const truth = this.account(key, index);
      const nonceBefore = truth?.nonce ?? 0n;
      const isCounted = record.u64(at + ACCOUNT.nonce) !== record.u64(at + ACCOUNT.nonceBefore);
      record.setU64(at + ACCOUNT.nonceBefore, nonceBefore);
      if (!isCounted) record.setU64(at + ACCOUNT.nonce, nonceBefore);
      const delta = record.word(at + ACCOUNT.balance) - record.word(at + ACCOUNT.balanceBefore);
      const balanceBefore = truth?.balanceWei ?? 0n;
      record.setWord(at + ACCOUNT.balanceBefore, balanceBefore);
      record.setWord(at + ACCOUNT.balance, balanceBefore + delta);
      const isRecoded = !record.sameWord(at + ACCOUNT.codeHash, at + ACCOUNT.codeHashBefore);
      record.setCodeHash(at + ACCOUNT.codeHashBefore, truth?.codeHash);
      if (!isRecoded) record.setCodeHash(at + ACCOUNT.codeHash, truth?.codeHash);
    });
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
    return this.#epoch.account(toHexKey(address), this.#index);
  }
  storage(address: Uint8Array, slot: Uint8Array): Uint8Array {
    return this.#epoch.storage(toHexKey(address), toHexKey(slot), this.#index);
  }
  code(codeHash: Uint8Array): Uint8Array {
    return this.#epoch.code(codeHash);
  }
  blockHash(number: number): Uint8Array {
    return this.#base.blockHash(number);
  }
}
