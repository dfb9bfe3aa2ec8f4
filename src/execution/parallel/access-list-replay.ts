/**
 * Owns the parallel run of one block from its access list: an engine for that block which cuts a batch into parts, lets
 * threads run each on the state the list claims for it, and takes their results only if every claim they stood on is
 * what the parts before really left behind. Otherwise, and for whatever threads are not good at, the engine below runs
 * the batch in order. So a list, true, wrong or hostile, decides how long it takes and nothing else (I13).
 *
 * Why that is enough: a part's result is a function of its transactions, the state before the batch (read here, true),
 * and the claims of parts below it. The first part stands on no claim. If what it changed is exactly what the list claims
 * it to change, the second part stood on the truth as well, and so on to the last.
 * The gas left in the block is not claimed: parts run with all of the batch's, and a transaction that would not have fitted
 * behind those before it takes the batch back to the engine below.
 */
import { bytesEqual, toHexKey } from "../../base/bytes.ts";
import { CodedError } from "../../base/error.ts";
import {
  accessListItemsMax,
  type BlockAccessList,
  bytesKey,
  type Change,
  decodeBlockAccessList,
} from "../../protocol/block-access-list.ts";
import { emptyWrites, mergeWrites, type StateWrites } from "../../protocol/state-writes.ts";
import { DEPOSIT_TYPE, gasLimitOf } from "../../protocol/transaction-codec.ts";
import type {
  Account,
  BatchResults,
  BlockEnv,
  CallInput,
  CallResult,
  Engine,
  StateReader,
  TxInput,
  TxResult,
} from "../execution.ts";
import { readRawBatch } from "../wasm/wasm.ts";
import { AccessListState } from "./access-list-state.ts";
import type { ReplayAnswer, ReplayPart, ReplayThreads } from "./replay-threads.ts";
import { packBlockHashes, packWitness } from "./witness.ts";

/** Fewer transactions run in place: reading the witness and two messages cost more than they do. */
const BATCH_MIN = 16;
/** Parts per thread: enough that a slow one does not keep the others waiting, few enough that each is worth a message. */
const PARTS_PER_THREAD = 3;

export type ReplayOutcome =
  /** Nothing was large enough to be cut, or there was no list. */
  | "serial"
  | "parallel"
  /** The list is malformed, or longer than the block's gas pays for. */
  | "malformed"
  /** The list lacks something that was read. */
  | "incomplete"
  /** The list claims what did not happen, or does not claim what did. */
  | "wrong"
  /** A transaction was skipped or may not fit the block, or a thread failed. */
  | "unsuited";

export class AccessListReplay implements Engine {
  readonly name: string;
  /** The worst that happened to a batch so far. */
  outcome: ReplayOutcome = "serial";
  readonly #inner: Engine;
  readonly #threads: ReplayThreads;
  #encoded: Uint8Array | undefined;
  #list: BlockAccessList | undefined;
  /** Transactions of the block included so far. */
  #included = 0;

  /** `encoded`: the list of the block that is run next, as somebody gave it. */
  constructor(inner: Engine, threads: ReplayThreads, encoded: Uint8Array | undefined) {
    this.name = inner.name;
    this.#inner = inner;
    this.#threads = threads;
    this.#encoded = encoded;
  }

  async executeBatch(
    env: BlockEnv,
    txs: readonly TxInput[],
    state: StateReader,
    gasAvailable: number,
  ): Promise<BatchResults> {
    const results =
      (await this.#parallel(env, txs, state, gasAvailable)) ??
      (await this.#inner.executeBatch(env, txs, state, gasAvailable));
    for (const result of results) if (result.included) this.#included++;
    return results;
  }

  call(env: BlockEnv, call: CallInput, state: StateReader): Promise<CallResult> {
    return this.#inner.call(env, call, state);
  }

  /** The engine below stays open. */
  close(): Promise<void> {
    return Promise.resolve();
  }

  #fail(outcome: ReplayOutcome): undefined {
    this.outcome = outcome;
    // What is wrong for one batch is not worth another try.
    this.#encoded = undefined;
    return undefined;
  }

  async #parallel(
    env: BlockEnv,
    txs: readonly TxInput[],
    state: StateReader,
    gasAvailable: number,
  ): Promise<BatchResults | undefined> {
    const threads = this.#threads.size;
    if (this.#encoded === undefined || txs.length < BATCH_MIN || threads === 0) return undefined;
    if (txs.some(({ raw }) => raw[0] === DEPOSIT_TYPE)) return undefined;
    try {
      this.#list ??= decodeBlockAccessList(this.#encoded, accessListItemsMax(env.gasLimit));
    } catch (error) {
      if (error instanceof CodedError) return this.#fail("malformed");
      throw error;
    }
    const list = this.#list;
    const first = this.#included + 1;
    this.#begin(env, list, first, state, gasAvailable);
    const parts = cut(txs, first, threads * PARTS_PER_THREAD);
    const answers = await Promise.all(parts.map((part) => this.#run(part, env, state)));
    const results: TxResult[] = [];
    const writes = emptyWrites();
    const claimed = new AccessListState(list, state, first);
    let gasLeft = gasAvailable;
    const changes = changesByPart(list, parts);
    for (const [i, answer] of answers.entries()) {
      const { index, txs: own } = parts[i] as ReplayPart;
      if (answer === undefined) return this.#fail("unsuited");
      if (answer.kind !== "batch") return this.#fail("incomplete");
      const batch = readRawBatch(answer);
      for (const [t, result] of batch.entries()) {
        const raw = (own[t] as TxInput).raw;
        if (!result.included || gasLimitOf(raw) > gasLeft) return this.#fail("unsuited");
        gasLeft -= result.gasUsed;
        results.push(result);
      }
      const net = batch.writes ?? emptyWrites();
      // The claims about the last part hold no other up, but a list that is wrong there is wrong.
      if (!isClaimed(net, claimed.before(index + own.length), changes[i] ?? [])) return this.#fail("wrong");
      mergeWrites(writes, net);
    }
    this.outcome = "parallel";
    return Object.assign(results, { writes });
  }

  #begin(env: BlockEnv, list: BlockAccessList, first: number, state: StateReader, gasAvailable: number): void {
    const encoded = this.#encoded as Uint8Array;
    const shared = new Uint8Array(new SharedArrayBuffer(encoded.length));
    shared.set(encoded);
    const codes = new Map<string, Uint8Array>();
    this.#threads.trimCodes();
    const witness = packWitness(list, state, (codeHash) => {
      const key = bytesKey(codeHash);
      if (!this.#threads.knowsCode(key) && !codes.has(key)) codes.set(key, state.code(codeHash));
    });
    this.#threads.begin({ env, first, list: shared, witness, gasAvailable }, codes);
  }

  /** Hashes of ancestors, which few blocks look at, are sent when one does. */
  async #run(part: ReplayPart, env: BlockEnv, state: StateReader): Promise<ReplayAnswer> {
    const answer = await this.#threads.run(part);
    if (answer?.kind !== "blockHash") return answer;
    return await this.#threads.run(part, packBlockHashes(env.number, state));
  }
}

/** Consecutive parts of about equal size. */
function cut(txs: readonly TxInput[], first: number, countMax: number): ReplayPart[] {
  const size = Math.max(4, Math.ceil(txs.length / countMax));
  const parts: ReplayPart[] = [];
  for (let at = 0; at < txs.length; at += size) parts.push({ index: first + at, txs: txs.slice(at, at + size) });
  return parts;
}

/** An account, or one slot of it, that the list claims a part to change. Hex keys. */
type Claim = { readonly address: string; readonly slot: string | undefined };

/** Claims of the list by part; those of other parts of the block are left out. */
function changesByPart(list: BlockAccessList, parts: readonly ReplayPart[]): Claim[][] {
  const claims: Claim[][] = parts.map(() => []);
  const first = parts[0]?.index ?? 0;
  const size = parts[0]?.txs.length ?? 1;
  const note = (changes: readonly Change<unknown>[], claim: Claim): void => {
    let last = -1;
    for (const { index } of changes) {
      const part = Math.floor((index - first) / size);
      if (index < first || part === last) continue;
      claims[part]?.push(claim);
      last = part;
    }
  };
  for (const account of list) {
    const address = toHexKey(account.address);
    for (const changes of [account.balanceChanges, account.nonceChanges, account.codeChanges])
      note(changes, { address, slot: undefined });
    for (const { slot, changes } of account.storageChanges) note(changes, { address, slot: toHexKey(slot) });
  }
  return claims;
}

/** True when the part changed what the list claims it to, to the values claimed, and nothing else. */
function isClaimed(net: StateWrites, after: StateReader, claims: readonly Claim[]): boolean {
  for (const [key, write] of net.accounts) {
    const address = Uint8Array.from(Buffer.from(key, "hex"));
    if (!sameAccount(after.account(address), write.account)) return false;
    // A storage that goes as a whole was never claimed slot by slot: leave it to the engine below.
    if (write.cleared && write.account !== undefined) return false;
    for (const [slot, value] of write.storage)
      if (!bytesEqual(after.storage(address, Uint8Array.from(Buffer.from(slot, "hex"))), value)) return false;
  }
  for (const { address, slot } of claims) {
    const write = net.accounts.get(address);
    if (write === undefined) return false;
    if (slot !== undefined && !write.storage.has(slot)) return false;
  }
  return true;
}

function sameAccount(a: Account | undefined, b: Account | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.nonce === b.nonce && a.balanceWei === b.balanceWei && bytesEqual(a.codeHash, b.codeHash);
}
