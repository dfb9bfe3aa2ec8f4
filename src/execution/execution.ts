/**
 * Owns the engine interface: bytes in, effects out. An engine is deterministic, keeps no state between calls but
 * caches, and never throws for what a transaction does; it throws only for bugs of its own or of the host.
 * State is read synchronously; within a batch the engine carries each transaction's writes to the next.
 * @see docs/decisions/0002-chain-and-derivation.md
 */
import type { AccessListBuilder } from "../protocol/block-access-list.ts";
import type { Log } from "../protocol/receipt.ts";
import type { StateWrites } from "../protocol/state-writes.ts";
import type { Authorization } from "../protocol/transaction.ts";

export type Account = {
  readonly nonce: bigint;
  readonly balanceWei: bigint;
  readonly codeHash: Uint8Array;
  /** Its storage trie is not empty; only creation at its address asks (EIP-7610). Absent: empty. */
  readonly hasStorage?: boolean;
};

/**
 * Synchronous reads of one version of the state. Absent accounts are undefined, absent slots 32 zero bytes. A reader
 * that does not have an answer yet throws {@link MissingRead}.
 */
export interface StateReader {
  account(address: Uint8Array): Account | undefined;
  storage(address: Uint8Array, slot: Uint8Array): Uint8Array;
  /** @throws when the hash is unknown: a dangling code hash is a bug. The empty hash gives empty bytes. */
  code(codeHash: Uint8Array): Uint8Array;
  /** Hash of an ancestor block for BLOCKHASH; zero bytes when out of reach. */
  blockHash(number: number): Uint8Array;
}

/** A read that cannot be answered yet: the transaction is suspended and run again later. */
export class MissingRead extends Error {
  override readonly name = "MissingRead";
}

export type MissingKey =
  | { readonly kind: "account"; readonly address: Uint8Array }
  | { readonly kind: "slot"; readonly address: Uint8Array; readonly slot: Uint8Array }
  | { readonly kind: "code"; readonly codeHash: Uint8Array }
  | { readonly kind: "blockHash"; readonly number: number };

export type Fork = "london" | "paris" | "shanghai" | "cancun" | "prague" | "osaka";

export type BlockEnv = {
  readonly chainId: number;
  readonly number: number;
  readonly timestamp: number;
  readonly gasLimit: number;
  readonly baseFeePerGasWei: bigint;
  readonly blobBaseFeeWei: bigint;
  readonly coinbase: Uint8Array;
  /** Before the merge (fork "london"): the difficulty. */
  readonly prevRandao: Uint8Array;
  readonly fork: Fork;
  /** "op": base fee and L1 fee go to the vaults; "ethereum": the base fee is burned. */
  readonly feePolicy: "op" | "ethereum";
};

/** A transaction as ordered. For deposits `sender` is their `from` and `l1FeeWei` is 0. */
export type TxInput = { readonly raw: Uint8Array; readonly sender: Uint8Array; readonly l1FeeWei: bigint };

export type SkipReason =
  | "UNDECODABLE"
  | "UNSUPPORTED_TYPE"
  | "WRONG_CHAIN"
  | "NONCE_TOO_LOW"
  | "NONCE_TOO_HIGH"
  | "NONCE_MAX"
  | "FEE_BELOW_BASE"
  | "TIP_ABOVE_FEE"
  | "INSUFFICIENT_FUNDS"
  | "INTRINSIC_GAS"
  | "GAS_LIMIT_EXCEEDED"
  | "SENDER_NOT_EOA"
  | "INIT_CODE_TOO_LARGE"
  | "AUTHORIZATIONS_INVALID"
  | "BLOBS_INVALID"
  /** It needs more memory than the engine has; no gas limit in use reaches that. */
  | "RESOURCE";

/**
 * A read the result depends on. Of an account only what `fields` names was truly read; the rest of `value` is a hint.
 * Hashes of ancestor blocks are no reads: the order fixes them. `hasStorage` is none either: an account without code
 * and nonce that has storage cannot come to be.
 */
export type ReadRecord =
  | {
      readonly address: Uint8Array;
      readonly slot: Uint8Array;
      /** The slot before the transaction. */
      readonly value: Uint8Array;
      readonly fields?: undefined;
    }
  | {
      readonly address: Uint8Array;
      readonly slot: undefined;
      /** The account before the transaction; an absent one reads as empty. */
      readonly value: Account;
      readonly fields: ReadFields;
    };

/** `emptiness`: only whether nonce, balance and code are all nothing (EIP-161). */
export type ReadFields = {
  readonly balance: boolean;
  readonly nonce: boolean;
  readonly code: boolean;
  readonly emptiness: boolean;
};

/**
 * What happens to an account, in terms that hold on every version of the state on which the reads hold and the
 * predicates are true (DESIGN D3): there the transaction gives this result again, and the account afterwards is the
 * balance plus the delta, the nonce and code of here where they are not undefined, and the slots of `writes`. An account
 * that is empty then is absent; one that `writes` clears is gone.
 */
export type DeltaRecord = {
  readonly address: Uint8Array;
  readonly balanceDeltaWei: bigint;
  /** Predicate: the balance before is at least this. */
  readonly balanceAtLeastWei: bigint;
  /** Predicate: the nonce before is this. Undefined: not asked, or a true read. */
  readonly nonceBefore: bigint | undefined;
  /** Undefined: as before. */
  readonly nonceAfter: bigint | undefined;
  /** Undefined: as before. */
  readonly codeHashAfter: Uint8Array | undefined;
};

export type IncludedResult = {
  readonly included: true;
  readonly status: 0 | 1;
  readonly gasUsed: number;
  readonly effectiveGasPriceWei: bigint;
  readonly logs: readonly Log[];
  readonly output: Uint8Array;
  readonly contractAddress: Uint8Array | undefined;
  /** Nonce of the sender before a deposit. */
  readonly depositNonce: bigint | undefined;
  /** Absolute effects, fees included. */
  readonly writes: StateWrites;
  /** Bloom of the logs, where the engine made it on the way. */
  readonly bloom?: Uint8Array | undefined;
  /** True reads and deltas for sharded validation; engines that cannot tell leave both undefined. */
  readonly reads?: readonly ReadRecord[];
  readonly deltas?: readonly DeltaRecord[];
  /**
   * Adds what the transaction used and changed to a block access list, as part `index` of the block (EIP-7928); `code`
   * gives code that was there before. Engines that cannot tell leave it out, and their blocks have no list.
   */
  recordAccess?(list: AccessListBuilder, index: number, code: (codeHash: Uint8Array) => Uint8Array): void;
};

export type SkippedResult = {
  readonly included: false;
  readonly reason: SkipReason;
  /** What the refusal depends on, from engines that can tell. */
  readonly reads?: readonly ReadRecord[];
};

export type TxResult = IncludedResult | SkippedResult;

/** Results in order. `writes`, from engines that have it for nothing: the effects of all of them merged. */
export type BatchResults = readonly TxResult[] & { readonly writes?: StateWrites };

/** What a batch came to: results in order, and the read before which it had to stop. */
export type PartialBatch = { readonly results: BatchResults; readonly missing: MissingKey | undefined };

/**
 * A call that is not a transaction: eth_call, estimate, system calls. No nonce check and no fee; with a gas price the
 * sender pays for the gas as in a transaction (to nobody), and must be able to.
 */
export type CallInput = {
  readonly from: Uint8Array;
  readonly to: Uint8Array | undefined;
  readonly data: Uint8Array;
  readonly valueWei: bigint;
  readonly gasLimit: number;
  readonly gasPriceWei: bigint;
  /**
   * Behave as a transaction would: intrinsic gas, calldata floor, the sender's nonce counts up (eth_call and estimate do,
   * system calls do not).
   */
  readonly intrinsicGas: boolean;
  readonly accessList?: readonly { address: Uint8Array; slots: readonly Uint8Array[] }[];
  readonly authorizations?: readonly Authorization[];
  /**
   * Wall-clock limit for calls from outside: beyond it the call halts with "execution aborted". An engine given one also
   * lets others have the thread meanwhile. Never for what blocks depend on.
   */
  readonly timeoutMs?: number;
};

export type CallResult = {
  readonly status: "success" | "revert" | "halt";
  /** Return or revert data. */
  readonly output: Uint8Array;
  readonly gasUsed: number;
  /** Gas refunded at the end (already subtracted from gasUsed). */
  readonly gasRefunded: number;
  readonly logs: readonly Log[];
  /** Halt reason in the words geth uses ("out of gas", "invalid opcode: …"). */
  readonly error: string | undefined;
  readonly contractAddress: Uint8Array | undefined;
  readonly writes: StateWrites;
  /** Accounts and slots touched, for eth_createAccessList. */
  readonly accessed: readonly { address: Uint8Array; slots: readonly Uint8Array[] }[];
};

export interface Engine {
  readonly name: string;
  /**
   * Runs `txs` in order on top of `state`; `gasAvailable` is what is left of the block's gas.
   * A deposit is never skipped: one that cannot run (system flag, gas below its intrinsic cost, value above its balance,
   * gas limit above what is left) is included with status 0, keeps its mint, counts its nonce up and uses
   * `min(gasLimit, gas left)`.
   */
  executeBatch(env: BlockEnv, txs: readonly TxInput[], state: StateReader, gasAvailable: number): Promise<BatchResults>;
  /** Runs one message on `state` and reports its effects; nothing is kept. */
  call(env: BlockEnv, call: CallInput, state: StateReader): Promise<CallResult>;
  close(): Promise<void>;
}

/** An engine for runs on versions of the state that may be incomplete or stale; it reports reads and deltas. */
export interface SpeculativeEngine extends Engine {
  /**
   * As `executeBatch`, at once, until the end or the first read for which the reader threw {@link MissingRead}. The
   * transaction that asked left nothing behind: once the reader can answer, run it and those after it again, on the
   * writes of the results so far. A result depends on the gas left too: whether its gas limit still fits.
   * `assumeNonce`: take each sender's nonce as the transaction has it and report it as a predicate.
   */
  executePartial(
    env: BlockEnv,
    txs: readonly TxInput[],
    state: StateReader,
    gasAvailable: number,
    options?: { readonly assumeNonce?: boolean },
  ): PartialBatch;
}
