/**
 * Owns an honest sequencer for tests of the verifier: it executes for real on a state of its own, reads deposits and
 * parameters from any L1 the slow way, and encodes what it sealed.
 */
import { assert } from "../../base/assert.ts";
import { bytesEqual, toHexKey } from "../../base/bytes.ts";
import { executeBlock, type SequencedTx } from "../../execution/block-execution.ts";
import type { Engine } from "../../execution/execution.ts";
import { genesisWrites } from "../../execution/genesis-state.ts";
import { type Key, signed, testKeys } from "../../execution/testing/world.ts";
import type { L1Reader } from "../../l1/l1.ts";
import type { Block } from "../../protocol/block.ts";
import { depositsOfLogs } from "../../protocol/deposit.ts";
import type { Genesis } from "../../protocol/genesis.ts";
import { genesisBlock } from "../../protocol/genesis-codec.ts";
import type { Receipt } from "../../protocol/receipt.ts";
import { encodeSegment } from "../../protocol/segment.ts";
import type { L1BlockInfo, SystemConfigValues } from "../../protocol/system-config.ts";
import { applySystemConfigLogs } from "../../protocol/system-config-events.ts";
import { DEPOSIT_TYPE } from "../../protocol/transaction-codec.ts";
import { MemoryState } from "../../state/memory-state.ts";
import type { SealedChain } from "../api.ts";

/** Funded in genesis. */
export const USERS: readonly Key[] = testKeys(4);
const RECIPIENT = new Uint8Array(20).fill(0xcc);

type Sealed = { readonly block: Block; readonly receipts: readonly Receipt[] };

export class TestSequencer {
  readonly genesis: Genesis;
  readonly #l1: L1Reader;
  readonly #engine: Engine;
  readonly #state = new MemoryState();
  readonly #blocks: Sealed[];
  readonly #nonces = new Map<string, bigint>();

  constructor(genesis: Genesis, origin: L1BlockInfo, l1: L1Reader, engine: Engine) {
    this.genesis = genesis;
    this.#l1 = l1;
    this.#engine = engine;
    const prepared = this.#state.prepare(genesisWrites(genesis.alloc));
    this.#state.commit(0, prepared);
    this.#blocks = [{ block: genesisBlock(genesis, prepared.stateRoot, origin), receipts: [] }];
  }

  get head(): Block {
    return (this.#blocks.at(-1) as Sealed).block;
  }

  /** The chain as a verifier beside it sees it. */
  get sealed(): SealedChain {
    return {
      block: (number) => this.#blocks[number]?.block,
      receipts: (number) => this.#blocks[number]?.receipts,
    };
  }

  /** Deposits and parameters as of L1 block `number`, from all logs since genesis. */
  async #originAt(
    number: number,
  ): Promise<{ info: L1BlockInfo; deposits: Uint8Array[]; systemConfig: SystemConfigValues }> {
    const info = await this.#l1.block(number);
    assert(info !== undefined, "the sequencer builds on L1 blocks that exist");
    const { portal, systemConfig } = this.genesis.contracts;
    const logs = await this.#l1.logs({
      fromBlock: (this.#blocks[0] as Sealed).block.origin.number + 1,
      toBlock: number,
      addresses: [portal, systemConfig],
      topics: [],
    });
    const of = (contract: Uint8Array): typeof logs => logs.filter((log) => bytesEqual(log.address, contract));
    const ofBlock = of(portal).filter((log) => log.blockNumber === number);
    return {
      info,
      deposits: depositsOfLogs(ofBlock, info.hash).map((deposit) => deposit.raw),
      systemConfig: applySystemConfigLogs(this.genesis.systemConfig, of(systemConfig)),
    };
  }

  /** A transfer by one of the users. */
  transfer(user: number, valueWei = 1n): SequencedTx {
    const key = USERS[user] as Key;
    const name = toHexKey(key.address);
    const nonce = this.#nonces.get(name) ?? 0n;
    this.#nonces.set(name, nonce + 1n);
    return signed(key, { nonce, to: RECIPIENT, valueWei, gasLimit: 21_000n, maxFeePerGasWei: 10n ** 11n });
  }

  /** Seals the next block; `advance` moves on to the next L1 block as origin. */
  async build(p: { advance?: boolean; txs?: readonly SequencedTx[]; timestamp?: number } = {}): Promise<Block> {
    const parent = this.head;
    const origin = await this.#originAt(parent.origin.number + (p.advance === true ? 1 : 0));
    const advanced = origin.info.number > parent.origin.number;
    const { block, receipts, prepared } = await executeBlock({
      chain: this.genesis,
      parent,
      attributes: {
        timestamp: p.timestamp ?? Math.max(parent.header.timestamp + 1, origin.info.timestamp),
        origin: origin.info,
        sequenceNumber: advanced ? 0 : parent.sequenceNumber + 1,
        systemConfig: origin.systemConfig,
        deposits: advanced ? origin.deposits : [],
      },
      state: this.#state.reader(parent.header.number),
      engine: this.#engine,
      txs: p.txs ?? [],
      prepare: (writes) => this.#state.prepare(writes),
    });
    this.#state.commit(block.header.number, prepared);
    this.#blocks.push({ block, receipts });
    return block;
  }

  /** Takes sealed blocks back, as a sequencer does when L1 reorganised. */
  rewind(toBlock: number): void {
    this.#state.rollback(toBlock);
    this.#blocks.length = toBlock + 1;
    this.#nonces.clear();
    for (const key of USERS)
      this.#nonces.set(toHexKey(key.address), this.#state.reader(toBlock).account(key.address)?.nonce ?? 0n);
  }

  /** Rewinds below the blocks whose origin left L1, as the orderer does. */
  async rewindToL1(): Promise<void> {
    let number = this.head.header.number;
    for (; number > 0; number--) {
      const { origin } = (this.#blocks[number] as Sealed).block;
      const now = await this.#l1.block(origin.number);
      if (now !== undefined && bytesEqual(now.hash, origin.hash)) break;
    }
    this.rewind(number);
  }

  /** The sealed blocks `from..to` as a segment. */
  segment(from: number, to: number = this.head.header.number): Uint8Array {
    const blocks = this.#blocks.slice(from, to + 1).map(({ block }) => ({
      number: block.header.number,
      parentHash: block.header.parentHash,
      timestamp: block.header.timestamp,
      origin: block.origin,
      transactions: block.transactions.filter((raw) => raw[0] !== DEPOSIT_TYPE),
    }));
    return encodeSegment(blocks, { chainId: this.genesis.chainId });
  }
}
