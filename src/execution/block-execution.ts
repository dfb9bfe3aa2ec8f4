/**
 * Owns the building of one block out of its parent, its L1 attributes and its transactions: by the sequencer in several
 * batches, by the verifier in one go. Pure but for the engine and the state it reads: the same inputs give the same hash,
 * however they are cut into batches.
 * Invariant: what is readable between two calls is the exact effect of a whole number of batches: those so far, and
 * in `confirmed` those that were there at the last `confirm`.
 * Broken attributes are bugs of the caller (assertions): sequencer and derivation check them before.
 * @see docs/decisions/0002-chain-and-derivation.md
 */
import { assert } from "../base/assert.ts";
import { bytesEqual, EMPTY_BYTES, fromHex, toHexKey } from "../base/bytes.ts";
import { nextBaseFeeWei } from "../protocol/base-fee.ts";
import type { Block, Header } from "../protocol/block.ts";
import { AccessListBuilder, bytesKey, encodeBlockAccessList } from "../protocol/block-access-list.ts";
import { BLOOM_BYTES, logsBloom, mergeBloom } from "../protocol/bloom.ts";
import type { BlockContext } from "../protocol/cut.ts";
import type { Genesis } from "../protocol/genesis.ts";
import { headerHash } from "../protocol/header-codec.ts";
import { l1AttributesTransaction } from "../protocol/l1-attributes.ts";
import { type L1FeeParameters, l1DataFeeWei, l1FeeParametersOf } from "../protocol/l1-fee.ts";
import { EMPTY_OMMERS_HASH, EMPTY_TRIE_ROOT, orderedTrieRoot } from "../protocol/ordered-trie.ts";
import { SEQUENCER_FEE_VAULT, SYSTEM_ADDRESS } from "../protocol/predeploys.ts";
import type { Receipt } from "../protocol/receipt.ts";
import { encodeReceipt } from "../protocol/receipt-codec.ts";
import { emptyWrites, mergeWrites, type StateWrites } from "../protocol/state-writes.ts";
import { DEPOSIT_TYPE, decodeTransaction } from "../protocol/transaction-codec.ts";
import type {
  BlockEnv,
  CallResult,
  Engine,
  IncludedResult,
  SkipReason,
  StateReader,
  TxInput,
  TxResult,
} from "./execution.ts";
import { OverlayReader } from "./overlay.ts";
import { runSystemCalls } from "./system-calls.ts";

/** sha256 of nothing: there are no execution requests (EIP-7685). */
const EMPTY_REQUESTS_HASH = fromHex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
/** No blobs are carried here, so the blob base fee stays at its minimum (EIP-4844). */
const BLOB_BASE_FEE_WEI = 1n;

/** What the block takes of the genesis document. */
export type ChainParameters = Pick<Genesis, "chainId" | "elasticity" | "baseFeeDenominator">;

export type ParentBlock = Pick<Block, "hash" | "header" | "origin" | "sequenceNumber">;

/** What a block is built from beside its parent and the sequenced transactions. */
export type BlockAttributes = Omit<BlockContext, "number">;

export type SequencedTx = { readonly raw: Uint8Array; readonly sender: Uint8Array };

export type AppliedTx =
  | {
      readonly included: true;
      /** Position in the block. */
      readonly index: number;
      readonly receipt: Receipt;
      readonly result: IncludedResult;
    }
  | { readonly included: false; readonly reason: SkipReason };

export type FinishedBlock<P> = {
  readonly block: Block;
  readonly receipts: readonly Receipt[];
  readonly writes: StateWrites;
  readonly prepared: P;
  /** Encoded block access list (EIP-7928), where it was asked for and the engine can tell. */
  readonly accessList: Uint8Array | undefined;
};

/** A block in the making as far as it is confirmed. It only grows, by confirmations. */
export type ConfirmedPart = {
  /** Deposits first; the others beside them have the same places. */
  readonly transactions: readonly Uint8Array[];
  readonly senders: readonly Uint8Array[];
  readonly receipts: readonly Receipt[];
  readonly state: StateReader;
};

/** Follows the execution of a block beside it: a second engine that checks the first. */
export type ExecutionObserver = {
  /** What the engine reads through instead of the block's `state`; the same values. */
  readonly reads: StateReader;
  /** After each batch, deposits too, in order. */
  executed(inputs: readonly TxInput[], results: readonly TxResult[]): void;
};

export type BlockInput = {
  readonly chain: ChainParameters;
  readonly parent: ParentBlock;
  readonly attributes: BlockAttributes;
  /** State after the parent. */
  readonly state: StateReader;
  readonly engine: Engine;
  /** Whether {@link FinishedBlock.accessList} is wanted. */
  readonly withAccessList?: boolean;
  readonly observer?: ExecutionObserver | undefined;
};

export class BlockExecution {
  readonly env: BlockEnv;
  readonly attributes: BlockAttributes;
  readonly confirmed: ConfirmedPart;
  readonly #parent: ParentBlock;
  readonly #engine: Engine;
  readonly #l1Fee: L1FeeParameters;
  /** Effects since the last confirmation, and those before. */
  readonly #layers: [StateWrites, StateWrites] = [emptyWrites(), emptyWrites()];
  readonly #state: OverlayReader;
  readonly #observer: ExecutionObserver | undefined;
  /** What the engine reads: `#state`, through the observer when there is one. */
  readonly #engineState: OverlayReader;
  readonly #transactions: Uint8Array[] = [];
  readonly #senders: Uint8Array[] = [];
  readonly #receipts: Receipt[] = [];
  readonly #encodedReceipts: Uint8Array[] = [];
  readonly #confirmedTransactions: Uint8Array[] = [];
  readonly #confirmedSenders: Uint8Array[] = [];
  readonly #confirmedReceipts: Receipt[] = [];
  readonly #bloom = new Uint8Array(BLOOM_BYTES);
  readonly #accessList: AccessListBuilder | undefined;
  /** What the list is made of when the block is finished: not while transactions wait to be confirmed. */
  readonly #results: IncludedResult[] = [];
  #gasUsed = 0;
  #busy = false;
  #finished = false;

  private constructor(p: BlockInput) {
    const { attributes, parent, chain } = p;
    const { origin, systemConfig } = attributes;
    this.attributes = attributes;
    this.#parent = parent;
    this.#engine = p.engine;
    this.#l1Fee = l1FeeParametersOf(origin, systemConfig);
    this.#accessList = p.withAccessList === true ? new AccessListBuilder() : undefined;
    this.#state = new OverlayReader(p.state, this.#layers);
    this.#observer = p.observer;
    this.#engineState = p.observer === undefined ? this.#state : new OverlayReader(p.observer.reads, this.#layers);
    this.confirmed = {
      transactions: this.#confirmedTransactions,
      senders: this.#confirmedSenders,
      receipts: this.#confirmedReceipts,
      state: new OverlayReader(p.state, [this.#layers[1]]),
    };
    this.env = {
      chainId: chain.chainId,
      number: parent.header.number + 1,
      timestamp: attributes.timestamp,
      gasLimit: systemConfig.gasLimit,
      baseFeePerGasWei: nextBaseFeeWei(parent.header, chain),
      blobBaseFeeWei: BLOB_BASE_FEE_WEI,
      coinbase: SEQUENCER_FEE_VAULT,
      prevRandao: origin.prevRandao,
      fork: "prague",
      feePolicy: "op",
    };
  }

  /**
   * Starts a block: system calls, the L1-attributes deposit, the user deposits. A deposit that fails does not stop the
   * chain, that of the attributes neither: the contract it calls can be upgraded, and so repaired.
   */
  static async begin(p: BlockInput): Promise<BlockExecution> {
    checkAttributes(p);
    const execution = new BlockExecution(p);
    const { parentBeaconBlockRoot } = p.attributes.origin;
    const parents = { parentBeaconBlockRoot, parentHash: p.parent.hash };
    await runSystemCalls(p.engine, execution.env, execution.#engineState, parents, (result) => {
      if (execution.#accessList !== undefined) execution.#recordSystemCall(execution.#accessList, result);
      mergeWrites(execution.#layers[0], result.writes);
    });
    const { attributes } = p;
    const deposits = [
      l1AttributesTransaction({
        origin: attributes.origin,
        sequenceNumber: attributes.sequenceNumber,
        systemConfig: attributes.systemConfig,
      }).raw,
      ...attributes.deposits,
    ];
    await execution.#run(
      deposits.map((raw) => {
        const tx = decodeTransaction(raw);
        assert(tx.type === DEPOSIT_TYPE, "what L1 contributes are deposits");
        return { raw, sender: tx.from, l1FeeWei: 0n };
      }),
    );
    return execution;
  }

  get gasUsed(): number {
    return this.#gasUsed;
  }

  get gasLeft(): number {
    return this.env.gasLimit - this.#gasUsed;
  }

  /** Moves what was executed so far into `confirmed`. */
  confirm(): void {
    assert(!this.#busy, "a batch is confirmed when it is executed");
    const [fresh, confirmed] = this.#layers;
    mergeWrites(confirmed, fresh);
    this.#layers[0] = emptyWrites();
    for (let i = this.#confirmedReceipts.length; i < this.#receipts.length; i++) {
      this.#confirmedTransactions.push(this.#transactions[i] as Uint8Array);
      this.#confirmedSenders.push(this.#senders[i] as Uint8Array);
      this.#confirmedReceipts.push(this.#receipts[i] as Receipt);
    }
  }

  /** Finishing confirms nothing: a check of the whole block may come first. */
  #allWrites(): StateWrites {
    const [fresh, confirmed] = this.#layers;
    if (confirmed.accounts.size === 0) return fresh;
    if (fresh.accounts.size === 0) return confirmed;
    const all = emptyWrites();
    mergeWrites(all, confirmed);
    mergeWrites(all, fresh);
    return all;
  }

  /** A first batch is taken as it is: merged, its effects would be copied twice. */
  #addWrites(writes: StateWrites): void {
    const [fresh] = this.#layers;
    if (fresh.accounts.size === 0 && fresh.codes.size === 0) this.#layers[0] = writes;
    else mergeWrites(fresh, writes);
  }

  /** Runs the next transactions in order; those that are invalid here and now are skipped and named. */
  async apply(txs: readonly SequencedTx[]): Promise<readonly AppliedTx[]> {
    return await this.#run(
      txs.map(({ raw, sender }) => {
        assert(raw[0] !== DEPOSIT_TYPE, "deposits come from L1 only");
        return { raw, sender, l1FeeWei: l1DataFeeWei(raw, this.#l1Fee) };
      }),
    );
  }

  async #run(inputs: readonly TxInput[]): Promise<readonly AppliedTx[]> {
    assert(!this.#finished, "a finished block takes no transactions");
    assert(!this.#busy, "batches of a block run one after the other");
    if (inputs.length === 0) return [];
    this.#busy = true;
    const results = await this.#engine.executeBatch(this.env, inputs, this.#engineState, this.gasLeft);
    assert(results.length === inputs.length, "the engine answers for every transaction");
    this.#observer?.executed(inputs, results);
    // Engines that carry state through a batch know its net effect without a look at each transaction's.
    if (results.writes !== undefined) this.#addWrites(results.writes);
    const applied = results.map((result, i): AppliedTx => {
      const input = inputs[i] as TxInput;
      if (result.included) return this.#include(input, result, results.writes === undefined);
      assert(input.raw[0] !== DEPOSIT_TYPE, "a deposit is never skipped");
      return result;
    });
    this.#busy = false;
    return applied;
  }

  #include(input: TxInput, result: IncludedResult, isMergeNeeded: boolean): AppliedTx {
    this.#gasUsed += result.gasUsed;
    assert(this.#gasUsed <= this.env.gasLimit, "a block uses no more gas than its limit");
    const first = input.raw[0] as number;
    const receipt: Receipt = {
      type: first >= 0xc0 ? 0 : first,
      status: result.status,
      cumulativeGasUsed: this.#gasUsed,
      gasUsed: result.gasUsed,
      logs: result.logs,
      effectiveGasPriceWei: result.effectiveGasPriceWei,
      contractAddress: result.contractAddress,
      l1FeeWei: input.l1FeeWei,
      depositNonce: result.depositNonce,
    };
    const bloom = result.bloom ?? logsBloom(receipt.logs);
    if (receipt.logs.length > 0) mergeBloom(this.#bloom, bloom);
    if (isMergeNeeded) mergeWrites(this.#layers[0], result.writes);
    this.#transactions.push(input.raw);
    this.#senders.push(input.sender);
    this.#encodedReceipts.push(encodeReceipt(receipt, bloom));
    if (this.#accessList !== undefined) this.#results.push(result);
    const index = this.#receipts.push(receipt) - 1;
    return { included: true, index, receipt, result };
  }

  /** Part 0 of the access list. The system address is only the name of the caller. */
  #recordSystemCall(list: AccessListBuilder, { accessed, writes }: CallResult): void {
    for (const { address, slots } of accessed) {
      if (bytesEqual(address, SYSTEM_ADDRESS)) continue;
      const account = list.account(bytesKey(address));
      const written = writes.accounts.get(toHexKey(address))?.storage;
      for (const slot of slots) {
        const value = written?.get(toHexKey(slot));
        const isChanged = value !== undefined && !bytesEqual(value, this.#state.storage(address, slot));
        if (isChanged) account.write(bytesKey(slot), 0, value);
        else account.read(bytesKey(slot));
      }
    }
  }

  /** Undefined where the list was not asked for or one of the results cannot tell. */
  #encodeAccessList(): Uint8Array | undefined {
    const list = this.#accessList;
    if (list === undefined) return undefined;
    const code = (codeHash: Uint8Array): Uint8Array => this.#state.code(codeHash);
    for (const [i, result] of this.#results.entries()) {
      if (result.recordAccess === undefined) return undefined;
      result.recordAccess(list, i + 1, code);
    }
    return encodeBlockAccessList(list.finish());
  }

  /** Seals the block. `prepare` hashes the writes on top of the parent's state. */
  finish<P extends { readonly stateRoot: Uint8Array }>(prepare: (writes: StateWrites) => P): FinishedBlock<P> {
    const writes = this.#end();
    return this.#assemble(writes, this.#commitments(), prepare(writes));
  }

  /** As {@link finish}; where others hash the state, everything else is hashed beside them. */
  async finishBeside<P extends { readonly stateRoot: Uint8Array }>(
    prepare: (writes: StateWrites) => P | Promise<P>,
  ): Promise<FinishedBlock<P>> {
    const writes = this.#end();
    const preparing = prepare(writes);
    if (!(preparing instanceof Promise)) return this.#assemble(writes, this.#commitments(), preparing);
    preparing.catch(() => undefined); // thrown where it is awaited
    const commitments = this.#commitments();
    return this.#assemble(writes, commitments, await preparing);
  }

  #end(): StateWrites {
    assert(!this.#busy && !this.#finished, "a block is finished once, between batches");
    this.#finished = true;
    return this.#allWrites();
  }

  #commitments(): Commitments {
    return {
      transactionsRoot: orderedTrieRoot(this.#transactions),
      receiptsRoot: orderedTrieRoot(this.#encodedReceipts),
      accessList: this.#encodeAccessList(),
    };
  }

  #assemble<P extends { readonly stateRoot: Uint8Array }>(
    writes: StateWrites,
    { transactionsRoot, receiptsRoot, accessList }: Commitments,
    prepared: P,
  ): FinishedBlock<P> {
    const { env, attributes } = this;
    const header: Header = {
      parentHash: this.#parent.hash,
      ommersHash: EMPTY_OMMERS_HASH,
      coinbase: env.coinbase,
      stateRoot: prepared.stateRoot,
      transactionsRoot,
      receiptsRoot,
      logsBloom: this.#bloom,
      difficulty: 0n,
      number: env.number,
      gasLimit: env.gasLimit,
      gasUsed: this.#gasUsed,
      timestamp: env.timestamp,
      extraData: EMPTY_BYTES,
      prevRandao: env.prevRandao,
      nonce: new Uint8Array(8),
      baseFeePerGasWei: env.baseFeePerGasWei,
      withdrawalsRoot: EMPTY_TRIE_ROOT,
      blobGasUsed: 0,
      excessBlobGas: 0,
      parentBeaconBlockRoot: attributes.origin.parentBeaconBlockRoot,
      requestsHash: EMPTY_REQUESTS_HASH,
    };
    const block: Block = {
      hash: headerHash(header),
      header,
      transactions: this.#transactions,
      senders: this.#senders,
      origin: { number: attributes.origin.number, hash: attributes.origin.hash },
      sequenceNumber: attributes.sequenceNumber,
    };
    return { block, receipts: this.#receipts, writes, prepared, accessList };
  }
}

/** What a header has of a block's content beside its state. */
type Commitments = {
  readonly transactionsRoot: Uint8Array;
  readonly receiptsRoot: Uint8Array;
  readonly accessList: Uint8Array | undefined;
};

/** Builds a block in one go from the sequenced transactions of its body (deposits come from the attributes). */
export async function executeBlock<P extends { readonly stateRoot: Uint8Array }>(
  p: BlockInput & { readonly txs: readonly SequencedTx[]; readonly prepare: (writes: StateWrites) => P },
): Promise<FinishedBlock<P>> {
  const execution = await BlockExecution.begin(p);
  await execution.apply(p.txs);
  return execution.finish(p.prepare);
}

function checkAttributes({ parent, attributes }: BlockInput): void {
  const { origin, sequenceNumber, timestamp } = attributes;
  assert(
    [parent.header.number, timestamp, origin.number, origin.timestamp, attributes.systemConfig.gasLimit].every(
      Number.isSafeInteger,
    ),
    "numbers, timestamps and gas limits are safe integers",
  );
  assert(timestamp > parent.header.timestamp, "a block is younger than its parent");
  assert(timestamp >= origin.timestamp, "a block is not older than its L1 origin");
  // The drift is a rule for sequenced blocks only: one that the sequencing window forces may be ahead of an L1 that
  // stands still, and derivation must go on there too.
  if (origin.number === parent.origin.number) {
    assert(bytesEqual(origin.hash, parent.origin.hash), "an L1 origin keeps its hash");
    assert(sequenceNumber === parent.sequenceNumber + 1, "sequence numbers of an L1 origin are contiguous");
    assert(attributes.deposits.length === 0, "deposits are in the first block of their L1 origin");
  } else {
    assert(origin.number === parent.origin.number + 1, "the L1 origin moves one block at a time");
    assert(bytesEqual(origin.parentHash, parent.origin.hash), "L1 origins are a chain");
    assert(sequenceNumber === 0, "the first block of an L1 origin has sequence number 0");
  }
}
