/**
 * Owns the chain view over stored data: blocks and receipts from a chain store, state from a state store. The
 * sequencer's node adds the open block and its heads, the verifier its derived heads; both answer with this.
 * Invariant: `latest` is the newest block whose state is stored too, so block and state of an answer belong together.
 */
import { assert } from "../base/assert.ts";
import type { BlockEnv, Engine, StateReader } from "../execution/execution.ts";
import type { Block } from "../protocol/block.ts";
import { decodeL1Attributes } from "../protocol/l1-attributes.ts";
import type { L1FeeParameters } from "../protocol/l1-fee.ts";
import type { Receipt } from "../protocol/receipt.ts";
import type { SystemConfigValues } from "../protocol/system-config.ts";
import { decodeTransaction } from "../protocol/transaction-codec.ts";
import type { AccountProof, ChainState } from "../state/state.ts";
import type { ChainStore, FoundLog, LogFilter, StoredAccessList } from "../store/chain-store.ts";
import type { ChainEvents, ChainView, Heads, PendingBlock } from "./chain-view.ts";

export type StoredChainDeps = {
  readonly chainId: number;
  readonly engine: Engine;
  readonly chain: ChainStore;
  readonly state: Pick<ChainState, "reader" | "proof" | "oldest" | "head">;
  readonly genesisConfig: SystemConfigValues;
  readonly l1Heads: () => { safe: number; finalized: number };
  readonly pending: () => PendingBlock | undefined;
  readonly subscribe: (events: ChainEvents) => () => void;
};

export class StoredChain implements ChainView {
  readonly chainId: number;
  readonly engine: Engine;
  readonly #deps: StoredChainDeps;

  constructor(deps: StoredChainDeps) {
    this.chainId = deps.chainId;
    this.engine = deps.engine;
    this.#deps = deps;
  }

  heads(): Heads {
    const latest = Math.min(this.#deps.chain.head, this.#deps.state.head);
    const { safe, finalized } = this.#deps.l1Heads();
    return {
      latest,
      safe: Math.min(safe, latest),
      finalized: Math.min(finalized, safe, latest),
      oldestState: this.#deps.state.oldest,
    };
  }

  block(number: number): Block | undefined {
    return this.#deps.chain.block(number);
  }

  numberOfHash(hash: Uint8Array): number | undefined {
    return this.#deps.chain.numberOfHash(hash);
  }

  receipts(number: number): readonly Receipt[] | undefined {
    return this.#deps.chain.receipts(number);
  }

  transaction(hash: Uint8Array): { blockNumber: number; index: number } | undefined {
    return this.#deps.chain.transaction(hash);
  }

  logs(filter: LogFilter): readonly FoundLog[] {
    return this.#deps.chain.logs(filter);
  }

  accessList(number: number): StoredAccessList | undefined {
    return this.#deps.chain.accessList(number);
  }

  pending(): PendingBlock | undefined {
    return this.#deps.pending();
  }

  stateAt(number: number): StateReader {
    return this.#deps.state.reader(number);
  }

  proof(number: number, address: Uint8Array, slots: readonly Uint8Array[]): AccountProof | Promise<AccountProof> {
    return this.#deps.state.proof(number, address, slots);
  }

  envAt(number: number): BlockEnv {
    const block = this.block(number);
    assert(block !== undefined, "environments are asked for stored blocks");
    return blockEnv(this.chainId, block);
  }

  l1FeesAt(number: number): L1FeeParameters {
    const block = number === 0 ? undefined : this.block(number);
    const first = block?.transactions[0];
    if (first === undefined) {
      const { baseFeeScalar, blobBaseFeeScalar } = this.#deps.genesisConfig;
      return { l1BaseFeeWei: 0n, l1BlobBaseFeeWei: 0n, baseFeeScalar, blobBaseFeeScalar };
    }
    return l1FeesOf(first);
  }

  subscribe(events: ChainEvents): () => void {
    return this.#deps.subscribe(events);
  }
}

/** L1 fee parameters that the first transaction of a block sets. */
export function l1FeesOf(first: Uint8Array | undefined): L1FeeParameters {
  const attributes = first === undefined ? undefined : decodeL1Attributes(decodeTransaction(first).data);
  assert(attributes !== undefined, "a block starts with its L1-attributes transaction");
  return {
    l1BaseFeeWei: attributes.l1BaseFeeWei,
    l1BlobBaseFeeWei: attributes.l1BlobBaseFeeWei,
    baseFeeScalar: attributes.baseFeeScalar,
    blobBaseFeeScalar: attributes.blobBaseFeeScalar,
  };
}

/** The environment a sealed block executed in. */
export function blockEnv(chainId: number, block: Block): BlockEnv {
  const { header } = block;
  return {
    chainId,
    number: header.number,
    timestamp: header.timestamp,
    gasLimit: header.gasLimit,
    baseFeePerGasWei: header.baseFeePerGasWei,
    blobBaseFeeWei: 1n, // EIP-4844 with no excess: the chain carries no blobs of its own
    coinbase: header.coinbase,
    prevRandao: header.prevRandao,
    fork: "prague",
    feePolicy: "op",
  };
}
