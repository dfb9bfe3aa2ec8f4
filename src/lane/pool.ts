/**
 * Owns the pool of one lane in memory: admission, replacement, nonce gaps held back, selection by the policy with
 * nonce order kept, and the reservation of each sender's balance. Synchronous and free of I/O; the lane makes it durable.
 * Invariants: an accepted transaction leaves only by release, replacement, expiry or a stated rejection; per sender at
 * most one transaction per nonce; the reserved wei of a sender is the sum of the costs of what it has here.
 * What is executable is offered in the order of the cluster's policy (protocol/ordering.ts).
 */
import { assert } from "../base/assert.ts";
import { toHex, toHexKey } from "../base/bytes.ts";
import type { Clock } from "../base/clock.ts";
import type { Account } from "../execution/execution.ts";
import { L1_ATTRIBUTES_GAS } from "../protocol/l1-attributes.ts";
import type { Arrival, OrderingPolicy } from "../protocol/ordering.ts";
import { recoverAuthority } from "../protocol/sender.ts";
import type { SignedTransaction } from "../protocol/transaction.ts";
import type { Authority, PooledTransaction, PoolRejection } from "../rpc/chain-view.ts";
import type { TakeLimits } from "./api.ts";
import type { LaneConfig } from "./config.ts";
import { type Offered, OrderHeap } from "./order-heap.ts";

export type Entry = {
  readonly id: number;
  readonly tx: SignedTransaction;
  readonly sender: Uint8Array;
  readonly senderKey: string;
  readonly hashKey: string;
  readonly costWei: bigint;
  /** Whose authorizations it holds. */
  readonly authorities: readonly Authority[];
  readonly arrival: Arrival;
  readonly addedMs: number;
  /** Log position of the record that holds it; 0 where none does, yet or any more. */
  recordSeq: number;
};

type SenderState = {
  readonly address: Uint8Array;
  /** Next nonce to release: the state's, plus what is in flight. */
  nextNonce: bigint;
  /** Waiting, by nonce. */
  readonly waiting: Map<bigint, Entry>;
  /** Released and not yet settled, by nonce. */
  readonly inFlight: Map<bigint, Entry>;
  reservedWei: bigint;
};

export type PoolDeps = {
  /** The lane's number. */
  readonly index: number;
  readonly ordering: OrderingPolicy;
  readonly chainId: number;
  readonly clock: Clock;
  /** State at the watermark. */
  readonly account: (address: Uint8Array) => Account | undefined;
  /** L1 data fee a transaction would pay now. */
  readonly l1FeeWei: (raw: Uint8Array) => bigint;
  /** What the account has for code: with a contract it may not send (EIP-3607), with a delegation it may (EIP-7702). */
  readonly codeKind: (account: Account) => CodeKind;
};

export type CodeKind = "none" | "delegation" | "contract";

export type Rejection = { readonly code: PoolRejection; readonly message: string };

const TX_SIZE_MAX_BYTES = 131_072; // what the ecosystem's pools accept per transaction
const INIT_CODE_SIZE_MAX_BYTES = 49_152; // EIP-3860
const MAX_NONCE = 2n ** 64n - 1n; // EIP-2681
/** No transaction asks for less. */
export const LEAST_GAS = 21_000;

export class Pool {
  readonly #config: LaneConfig;
  readonly #deps: PoolDeps;
  readonly #senders = new Map<string, SenderState>();
  readonly #byHash = new Map<string, Entry>();
  /** Senders whose next nonce is waiting. */
  readonly #ready = new Set<string>();
  /** How many transactions here hold an authorization of an account. */
  readonly #authorized = new Map<string, number>();
  /** Accounts of this lane that a transaction in another lane holds an authorization of: the hashes of these. */
  readonly #heldFor = new Map<string, Set<string>>();
  #sizeBytes = 0;
  #waitingCount = 0;
  #nextId = 1;
  #blockGasLimit = Number.MAX_SAFE_INTEGER;

  constructor(config: LaneConfig, deps: PoolDeps) {
    this.#config = config;
    this.#deps = deps;
  }

  get size(): number {
    return this.#byHash.size;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** What the next entry is called. */
  get nextId(): number {
    return this.#nextId;
  }

  /** Takes `count` ids out of circulation and returns the first. */
  reserveIds(count: number): number {
    const first = this.#nextId;
    this.#nextId += count;
    return first;
  }

  /** Ids up to `id` are taken: the log names them. */
  skipIds(id: number): void {
    this.#nextId = Math.max(this.#nextId, id + 1);
  }

  set blockGasLimit(gasLimit: number) {
    this.#blockGasLimit = gasLimit;
  }

  /** Waiting transactions split into executable and held back. O(pool). */
  counts(): { pending: number; queued: number } {
    let pending = 0;
    for (const key of this.#ready) {
      const sender = this.#senders.get(key) as SenderState;
      let nonce = sender.nextNonce;
      while (sender.waiting.has(nonce)) {
        pending++;
        nonce++;
      }
    }
    return { pending, queued: this.#waitingCount - pending };
  }

  get(hashKey: string): Entry | undefined {
    return this.#byHash.get(hashKey);
  }

  /** The nonce a next transaction of the sender should have, counting executable ones here; undefined: none here. */
  nextNonce(address: Uint8Array): bigint | undefined {
    const sender = this.#senders.get(toHexKey(address));
    if (sender === undefined) return undefined;
    let nonce = sender.nextNonce;
    while (sender.waiting.has(nonce)) nonce++;
    return nonce;
  }

  /** Waiting transactions, of one sender when it is named, at most `countMax`. */
  content(
    countMax: number,
    address?: Uint8Array,
  ): { pending: readonly PooledTransaction[]; queued: readonly PooledTransaction[] } {
    const pending: PooledTransaction[] = [];
    const queued: PooledTransaction[] = [];
    const one = address === undefined ? undefined : this.#senders.get(toHexKey(address));
    const senders = address === undefined ? this.#senders.values() : one === undefined ? [] : [one];
    for (const sender of senders) {
      let tail = sender.nextNonce;
      while (sender.waiting.has(tail)) tail++;
      for (const e of sender.waiting.values()) {
        if (pending.length + queued.length >= countMax) return { pending, queued };
        (e.tx.nonce < tail ? pending : queued).push({ tx: e.tx, sender: e.sender });
      }
    }
    return { pending, queued };
  }

  /**
   * Transaction `hashKey` of another lane would change the code of an account of this one: from now on the account has
   * one transaction at a time. Returns why that cannot be.
   */
  holdFor(address: Uint8Array, hashKey: string): Rejection | undefined {
    const key = toHexKey(address);
    if (heldBy(this.#senders.get(key)) > 1) return authorityReserved(address);
    const hashes = this.#heldFor.get(key) ?? new Set();
    this.#heldFor.set(key, hashes.add(hashKey));
    return undefined;
  }

  /** The transaction that an account was held for is gone. */
  letGo(address: Uint8Array, hashKey: string): void {
    const key = toHexKey(address);
    const hashes = this.#heldFor.get(key);
    hashes?.delete(hashKey);
    if (hashes?.size === 0) this.#heldFor.delete(key);
  }

  /** Checks and inserts one transaction. Returns its entry, or why it is refused. */
  add(item: PooledTransaction, acceptedMs: number): Entry | Rejection {
    const { tx } = item;
    const hashKey = toHexKey(tx.hash);
    if (this.#byHash.has(hashKey)) return { code: "ALREADY_KNOWN", message: "already known" };
    const account = this.#deps.account(item.sender);
    const codeKind = account === undefined ? "none" : this.#deps.codeKind(account);
    const malformed = this.#checkAlone(tx) ?? checkSender(codeKind);
    if (malformed !== undefined) return malformed;
    const senderKey = toHexKey(item.sender);
    const stateNonce = account?.nonce ?? 0n;
    const known = this.#senders.get(senderKey);
    const next = known === undefined || known.nextNonce < stateNonce ? stateNonce : known.nextNonce;
    if (tx.nonce < next)
      return { code: "NONCE_TOO_LOW", message: `nonce too low: next nonce ${next}, tx nonce ${tx.nonce}` };
    const costWei = tx.gasLimit * tx.maxFeePerGasWei + tx.valueWei + this.#deps.l1FeeWei(tx.raw);
    const replaced = known?.waiting.get(tx.nonce);
    const reserved = (known?.reservedWei ?? 0n) - (replaced?.costWei ?? 0n);
    const balance = account?.balanceWei ?? 0n;
    if (reserved + costWei > balance)
      return {
        code: "INSUFFICIENT_FUNDS",
        message: `insufficient funds for gas * price + value: balance ${balance}, queued cost ${reserved}, tx cost ${costWei}`,
      };
    if (replaced !== undefined) {
      const bump = (wei: bigint): bigint => (wei * BigInt(100 + this.#config.priceBumpPercent) + 99n) / 100n;
      if (
        tx.maxFeePerGasWei < bump(replaced.tx.maxFeePerGasWei) ||
        tx.maxPriorityFeePerGasWei < bump(replaced.tx.maxPriorityFeePerGasWei)
      )
        return { code: "REPLACEMENT_UNDERPRICED", message: "replacement transaction underpriced" };
    } else {
      const isShared = codeKind === "delegation" || this.#authorized.has(senderKey) || this.#heldFor.has(senderKey);
      const refused = this.#checkRoom(known, tx, next) ?? (isShared ? checkDelegated(known, tx, next) : undefined);
      if (refused !== undefined) return refused;
    }
    const authorities = this.#authoritiesOf(item);
    for (const { address } of authorities)
      if (heldBy(this.#senders.get(toHexKey(address))) > 1) return authorityReserved(address);
    if (replaced !== undefined) this.#remove(replaced);
    const id = this.#nextId++;
    const arrival = { acceptedMs, lane: this.#deps.index, sequence: id };
    return this.#insert({ ...item, authorities, arrival }, hashKey, senderKey, stateNonce, costWei, id);
  }

  /** Puts back a transaction that was accepted before (recovery, rewind, skipped for now) without admission checks. */
  restore(item: PooledTransaction & { readonly arrival: Arrival }, id: number = this.#nextId): Entry | undefined {
    this.#nextId = Math.max(this.#nextId, id + 1);
    const hashKey = toHexKey(item.tx.hash);
    if (this.#byHash.has(hashKey)) return undefined;
    const senderKey = toHexKey(item.sender);
    const stateNonce = this.#deps.account(item.sender)?.nonce ?? 0n;
    if (item.tx.nonce < stateNonce) return undefined;
    const occupied = this.#senders.get(senderKey)?.waiting.get(item.tx.nonce);
    if (occupied !== undefined) this.#remove(occupied);
    const costWei = item.tx.gasLimit * item.tx.maxFeePerGasWei + item.tx.valueWei;
    const authorities = this.#authoritiesOf(item);
    return this.#insert({ ...item, authorities }, hashKey, senderKey, stateNonce, costWei, id);
  }

  /** Whose authorizations can still apply: with one that is used up, a stranger could hold back its signer. */
  #authoritiesOf({ tx, authorities }: PooledTransaction): Authority[] {
    if (tx.authorizations.length === 0) return [];
    const signed =
      authorities ??
      tx.authorizations.flatMap((authorization) => {
        const address = recoverAuthority(authorization);
        return address === undefined ? [] : [{ address, nonce: authorization.nonce }];
      });
    return signed.filter(({ address, nonce }) => (this.#deps.account(address)?.nonce ?? 0n) <= nonce);
  }

  #insert(
    item: Pick<Entry, "tx" | "sender" | "authorities" | "arrival">,
    hashKey: string,
    senderKey: string,
    stateNonce: bigint,
    costWei: bigint,
    id: number,
  ): Entry {
    const entry: Entry = {
      id,
      tx: item.tx,
      sender: item.sender,
      senderKey,
      hashKey,
      costWei,
      authorities: item.authorities,
      arrival: item.arrival,
      addedMs: this.#deps.clock.nowMs(),
      recordSeq: 0,
    };
    for (const { address } of entry.authorities) {
      const authority = toHexKey(address);
      this.#authorized.set(authority, (this.#authorized.get(authority) ?? 0) + 1);
    }
    let sender = this.#senders.get(senderKey);
    if (sender === undefined) {
      sender = {
        address: item.sender,
        nextNonce: stateNonce,
        waiting: new Map(),
        inFlight: new Map(),
        reservedWei: 0n,
      };
      this.#senders.set(senderKey, sender);
    }
    sender.waiting.set(item.tx.nonce, entry);
    sender.reservedWei += costWei;
    this.#byHash.set(entry.hashKey, entry);
    this.#sizeBytes += item.tx.raw.length;
    this.#waitingCount++;
    if (item.tx.nonce === sender.nextNonce) this.#ready.add(senderKey);
    return entry;
  }

  #checkAlone(tx: SignedTransaction): Rejection | undefined {
    if (tx.raw.length > TX_SIZE_MAX_BYTES)
      return { code: "TX_TOO_LARGE", message: `oversized data: ${tx.raw.length} bytes, limit ${TX_SIZE_MAX_BYTES}` };
    if (tx.type === 3) return { code: "UNSUPPORTED_TYPE", message: "transaction type not supported" };
    if (tx.chainId === undefined) {
      if (!this.#config.allowUnprotected)
        return {
          code: "WRONG_CHAIN",
          message: "only replay-protected (EIP-155) transactions allowed over RPC",
        };
    } else if (tx.chainId !== this.#deps.chainId)
      return {
        code: "WRONG_CHAIN",
        message: `invalid chain id for signer: have ${tx.chainId} want ${this.#deps.chainId}`,
      };
    if (tx.nonce >= MAX_NONCE) return { code: "NONCE_TOO_FAR", message: "nonce has max value" };
    if (tx.maxPriorityFeePerGasWei > tx.maxFeePerGasWei)
      return {
        code: "TIP_ABOVE_FEE",
        message: `max priority fee per gas higher than max fee per gas: ${tx.maxPriorityFeePerGasWei} > ${tx.maxFeePerGasWei}`,
      };
    const gasMax = this.#blockGasLimit - L1_ATTRIBUTES_GAS; // what is surely left in a block
    if (tx.gasLimit > BigInt(gasMax))
      return {
        code: "GAS_LIMIT_EXCEEDED",
        message: `exceeds block gas limit: a block has ${gasMax} for a transaction`,
      };
    if (tx.to === undefined && tx.data.length > INIT_CODE_SIZE_MAX_BYTES)
      return { code: "INIT_CODE_TOO_LARGE", message: `max initcode size exceeded: ${tx.data.length} bytes` };
    const intrinsic = intrinsicGas(tx);
    if (tx.gasLimit < intrinsic)
      return { code: "INTRINSIC_GAS", message: `intrinsic gas too low: have ${tx.gasLimit}, want ${intrinsic}` };
    if (tx.maxPriorityFeePerGasWei < BigInt(this.#config.minTipWei))
      return {
        code: "UNDERPRICED",
        message: `transaction underpriced: tip ${tx.maxPriorityFeePerGasWei}, minimum ${this.#config.minTipWei}`,
      };
    return undefined;
  }

  #checkRoom(known: SenderState | undefined, tx: SignedTransaction, next: bigint): Rejection | undefined {
    const held = heldBy(known);
    if (held >= this.#config.senderTxsMax)
      return {
        code: "SENDER_LIMIT",
        message: `account limit exceeded: ${held} transactions of this sender in the pool`,
      };
    let tail = next;
    if (known !== undefined && known.waiting.size > 0) {
      // The gap is measured from the first missing nonce; walking is bounded by senderTxsMax and stops at the gap.
      if (known.waiting.has(tx.nonce - 1n)) tail = tx.nonce;
      else while (known.waiting.has(tail)) tail++;
    }
    if (tx.nonce > tail + BigInt(this.#config.nonceGapMax))
      return {
        code: "NONCE_TOO_FAR",
        message: `nonce too far: first missing nonce ${tail}, tx nonce ${tx.nonce}, gap limit ${this.#config.nonceGapMax}`,
      };
    if (this.#byHash.size >= this.#config.poolTxsMax || this.#sizeBytes + tx.raw.length > this.#config.poolSizeMaxBytes)
      return { code: "POOL_FULL", message: `txpool is full: ${this.#byHash.size} transactions` };
    return undefined;
  }

  /** Picks executable transactions in the order of the policy and marks them in flight. */
  take(limits: TakeLimits): { readonly offered: Offered[]; readonly more: boolean } {
    const picked: Offered[] = [];
    let more = false;
    let { gasLeft, sizeMaxBytes: sizeLeft } = limits;
    let gas = 0;
    const heap = new OrderHeap(this.#deps.ordering, limits);
    for (const key of this.#ready) {
      const sender = this.#senders.get(key) as SenderState;
      heap.offer(sender.waiting.get(sender.nextNonce) as Entry);
    }
    for (let best = heap.pop(); best !== undefined; best = heap.pop()) {
      const { entry, gasLimit } = best;
      if (gasLeft < LEAST_GAS || sizeLeft <= 0) break;
      more = gas >= limits.gasMax;
      if (more) break;
      const sizeBytes = entry.tx.raw.length + limits.txOverheadBytes;
      if (gasLimit > gasLeft || sizeBytes > sizeLeft) continue;
      gas += gasLimit;
      gasLeft -= gasLimit;
      sizeLeft -= sizeBytes;
      const sender = this.#senders.get(entry.senderKey) as SenderState;
      assert(sender.nextNonce === entry.tx.nonce, "nonces of a sender are released in order");
      sender.waiting.delete(entry.tx.nonce);
      sender.inFlight.set(entry.tx.nonce, entry);
      sender.nextNonce++;
      this.#waitingCount--;
      picked.push(best);
      const next = sender.waiting.get(sender.nextNonce);
      if (next === undefined) this.#ready.delete(entry.senderKey);
      else heap.offer(next);
    }
    return { offered: picked, more };
  }

  /** These were taken and are not released: they wait again, with all that was taken of their senders behind them. */
  putBack(entries: readonly Entry[]): void {
    for (const entry of entries) {
      const sender = this.#senders.get(entry.senderKey) as SenderState;
      if (!sender.inFlight.delete(entry.tx.nonce)) continue;
      sender.waiting.set(entry.tx.nonce, entry);
      this.#waitingCount++;
      if (entry.tx.nonce < sender.nextNonce) sender.nextNonce = entry.tx.nonce;
      this.#ready.add(entry.senderKey);
    }
  }

  /** A released transaction is in the chain, or will never be: it leaves. */
  settle(hashKey: string): Entry | undefined {
    const entry = this.#byHash.get(hashKey);
    if (entry === undefined) return undefined;
    this.#remove(entry);
    return entry;
  }

  /** Re-reads the nonces of these senders from the state, dropping what became too old. Call after a batch settled. */
  refresh(senderKeys: Iterable<string>): Entry[] {
    const dropped: Entry[] = [];
    for (const key of senderKeys) {
      const sender = this.#senders.get(key);
      if (sender === undefined || sender.inFlight.size > 0) continue;
      const nonce = this.#deps.account(sender.address)?.nonce ?? 0n;
      sender.nextNonce = nonce;
      for (const entry of sender.waiting.values())
        if (entry.tx.nonce < nonce) {
          dropped.push(entry);
          this.#remove(entry);
        }
      this.#updateReady(key);
    }
    return dropped;
  }

  /** Drops waiting transactions that outlived their time. */
  expire(): Entry[] {
    const oldestMs = this.#deps.clock.nowMs() - this.#config.queuedLifetimeSeconds * 1_000;
    const dropped: Entry[] = [];
    for (const entry of this.#byHash.values()) {
      if (entry.addedMs > oldestMs) break; // insertion order is time order
      const sender = this.#senders.get(entry.senderKey) as SenderState;
      if (sender.inFlight.get(entry.tx.nonce) === entry) continue;
      dropped.push(entry);
      this.#remove(entry);
    }
    return dropped;
  }

  /** Everything here with authorizations. */
  delegating(): PooledTransaction[] {
    if (this.#authorized.size === 0) return [];
    const found: PooledTransaction[] = [];
    for (const { tx, sender, authorities } of this.#byHash.values())
      if (authorities.length > 0) found.push({ tx, sender, authorities });
    return found;
  }

  /** Every entry, waiting or in flight. */
  entries(): IterableIterator<Entry> {
    return this.#byHash.values();
  }

  isSender(senderKey: string): boolean {
    return this.#senders.has(senderKey);
  }

  /** Senders of everything here. */
  *addresses(): Generator<Uint8Array> {
    for (const { address } of this.#senders.values()) yield address;
  }

  /** Their hex keys. */
  senderKeys(): IterableIterator<string> {
    return this.#senders.keys();
  }

  #remove(entry: Entry): void {
    const sender = this.#senders.get(entry.senderKey) as SenderState;
    if (sender.waiting.get(entry.tx.nonce) === entry) {
      sender.waiting.delete(entry.tx.nonce);
      this.#waitingCount--;
    } else if (sender.inFlight.get(entry.tx.nonce) === entry) sender.inFlight.delete(entry.tx.nonce);
    sender.reservedWei -= entry.costWei;
    for (const { address } of entry.authorities) {
      const authority = toHexKey(address);
      const left = (this.#authorized.get(authority) ?? 1) - 1;
      if (left === 0) this.#authorized.delete(authority);
      else this.#authorized.set(authority, left);
    }
    this.#byHash.delete(entry.hashKey);
    this.#sizeBytes -= entry.tx.raw.length;
    this.#updateReady(entry.senderKey);
  }

  #updateReady(senderKey: string): void {
    const sender = this.#senders.get(senderKey);
    if (sender === undefined) return; // its last transaction just left
    if (sender.waiting.has(sender.nextNonce)) this.#ready.add(senderKey);
    else this.#ready.delete(senderKey);
    if (sender.waiting.size === 0 && sender.inFlight.size === 0) {
      assert(sender.reservedWei === 0n, "nothing is reserved for a sender with nothing here");
      this.#senders.delete(senderKey);
    }
  }
}

/** Transactions of a sender here, waiting and in flight. */
function heldBy(sender: SenderState | undefined): number {
  return sender === undefined ? 0 : sender.waiting.size + sender.inFlight.size;
}

function authorityReserved(address: Uint8Array): Rejection {
  return {
    code: "AUTHORITY_RESERVED",
    message: `authority already reserved: ${toHex(address)} has several transactions in the pool`,
  };
}

function checkSender(codeKind: CodeKind): Rejection | undefined {
  return codeKind === "contract" ? { code: "SENDER_NOT_EOA", message: "sender not an eoa" } : undefined;
}

/**
 * Of an account whose code is another's, or will be, one call by a stranger can take the balance or count the nonce:
 * all that waits would be void, at no cost. So there is one transaction of it at a time (geth's rule too).
 */
function checkDelegated(known: SenderState | undefined, tx: SignedTransaction, next: bigint): Rejection | undefined {
  if (heldBy(known) > 0)
    return { code: "DELEGATED_LIMIT", message: "in-flight transaction limit reached for delegated accounts" };
  if (tx.nonce !== next)
    return {
      code: "DELEGATED_GAP",
      message: `gapped-nonce tx from delegated accounts: next nonce ${next}, tx nonce ${tx.nonce}`,
    };
  return undefined;
}

/** Gas a transaction needs before its first instruction, with the calldata floor (EIP-2028, 2930, 3860, 7623, 7702). */
export function intrinsicGas(tx: SignedTransaction): bigint {
  let zeros = 0;
  for (const byte of tx.data) if (byte === 0) zeros++;
  const nonZeros = tx.data.length - zeros;
  let gas = 21_000 + zeros * 4 + nonZeros * 16;
  if (tx.to === undefined) gas += 32_000 + 2 * Math.ceil(tx.data.length / 32);
  for (const item of tx.accessList) gas += 2_400 + 1_900 * item.slots.length;
  gas += 25_000 * tx.authorizations.length;
  const floor = 21_000 + 10 * (zeros + 4 * nonZeros);
  return BigInt(Math.max(gas, floor));
}
