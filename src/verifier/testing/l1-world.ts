/**
 * Owns a small world for tests of the verifier: an L1 in memory with the cluster's contracts played by hand, and an
 * honest sequencer that executes for real, so that what it sealed can be compared with what is derived.
 */
import { createHash } from "node:crypto";
import { bigIntToBytes, bytesToBigInt, concatBytes, padLeft, toHexKey } from "../../base/bytes.ts";
import { systemClock } from "../../base/clock.ts";
import { silentLog } from "../../base/log.ts";
import { Metrics } from "../../base/metrics.ts";
import { MemoryBlobs } from "../../da/memory.ts";
import { EthereumjsEngine } from "../../execution/ethereumjs-engine.ts";
import type { Engine } from "../../execution/execution.ts";
import { account, SYSTEM_CONTRACTS } from "../../execution/testing/world.ts";
import { type MemoryBlockOptions, type MemoryEvent, MemoryL1, type MemoryTransaction } from "../../l1/memory-l1.ts";
import { encodeBlobs } from "../../protocol/blob-codec.ts";
import { depositLog } from "../../protocol/deposit.ts";
import type { Genesis } from "../../protocol/genesis.ts";
import { encodeGenesis } from "../../protocol/genesis-codec.ts";
import { GENESIS_PUBLISHED_TOPIC, POST_CALLDATA_SELECTOR, SEGMENT_POSTED_TOPIC } from "../../protocol/inbox-events.ts";
import { keccak256 } from "../../protocol/keccak.ts";
import { OUTPUT_PROPOSED_TOPIC, OUTPUTS_DELETED_TOPIC } from "../../protocol/oracle-events.ts";
import type { L1BlockInfo } from "../../protocol/system-config.ts";
import { CONFIG_UPDATE_TOPIC } from "../../protocol/system-config-events.ts";
import { MemoryState } from "../../state/memory-state.ts";
import type { StateStore } from "../../state/state.ts";
import type { ChainStore } from "../../store/chain-store.ts";
import { MemoryChainStore } from "../../store/memory-chain-store.ts";
import type { VerifierConfig } from "../config.ts";
import { verifierMetrics } from "../metrics.ts";
import { Verifier, type VerifierDeps } from "../verifier.ts";
import { MemoryVerifierStore, type VerifierStore } from "../verifier-store.ts";
import { TestSequencer, USERS } from "./test-sequencer.ts";

const address = (n: number): Uint8Array => new Uint8Array(20).fill(n);
const word = (value: number | bigint): Uint8Array => bigIntToBytes(BigInt(value), 32);

export const CONTRACTS = {
  portal: address(0xa1),
  inbox: address(0xa2),
  outputOracle: address(0xa3),
  systemConfig: address(0xa4),
  l1CrossDomainMessenger: address(0xa5),
  l1StandardBridge: address(0xa6),
};

export function testGenesis(p: Partial<Genesis> = {}): Genesis {
  const accounts = [
    ...USERS.map((key) => [key.address, account({ balanceWei: 10n ** 21n })] as const),
    ...SYSTEM_CONTRACTS,
  ];
  return {
    version: 1,
    name: "test",
    chainId: 901,
    l1ChainId: 31_337,
    contracts: CONTRACTS,
    timestamp: 1_700_000_000,
    baseFeePerGasWei: 1_000_000_000n,
    systemConfig: { gasLimit: 30_000_000, baseFeeScalar: 1_368, blobBaseFeeScalar: 810_949 },
    elasticity: 2,
    baseFeeDenominator: 8,
    sequencingWindow: 20,
    maxDriftSeconds: 600,
    alloc: new Map(accounts.map(([key, value]) => [toHexKey(key), value])),
    ...p,
  };
}

/** ABI of one `bytes` value. */
function abiBytes(data: Uint8Array): Uint8Array {
  const padded = new Uint8Array(Math.ceil(data.length / 32) * 32);
  padded.set(data);
  return concatBytes(word(32), word(data.length), padded);
}

export function genesisTransaction(document: Uint8Array): MemoryTransaction {
  return {
    to: CONTRACTS.inbox,
    events: [{ address: CONTRACTS.inbox, topics: [GENESIS_PUBLISHED_TOPIC], data: abiBytes(document) }],
  };
}

function segmentEvent(index: number, kind: number, hashes: readonly Uint8Array[]): MemoryEvent {
  return {
    address: CONTRACTS.inbox,
    topics: [SEGMENT_POSTED_TOPIC, word(index), word(1), padLeft(address(0xb1), 32)],
    data: concatBytes(word(0), word(0), word(kind), word(128), word(hashes.length), ...hashes),
  };
}

export function depositTransaction(p: { from: Uint8Array; mintWei: bigint; to?: Uint8Array }): MemoryTransaction {
  const { topics, data } = depositLog(
    { from: p.from, to: p.to ?? p.from, mintWei: p.mintWei, valueWei: 0n, gasLimit: 100_000n, data: new Uint8Array(0) },
    CONTRACTS.portal,
    0,
  );
  return { to: CONTRACTS.portal, events: [{ address: CONTRACTS.portal, topics, data }] };
}

export function gasLimitTransaction(gasLimit: number): MemoryTransaction {
  const topics = [CONFIG_UPDATE_TOPIC, word(0), word(2)];
  return { events: [{ address: CONTRACTS.systemConfig, topics, data: abiBytes(word(gasLimit)) }] };
}

export function outputTransaction(outputRoot: Uint8Array, outputIndex: number, blockNumber: number): MemoryTransaction {
  const topics = [OUTPUT_PROPOSED_TOPIC, outputRoot, word(outputIndex), word(blockNumber)];
  return { events: [{ address: CONTRACTS.outputOracle, topics, data: word(0) }] };
}

export function outputsDeletedTransaction(previousNext: number, next: number): MemoryTransaction {
  const topics = [OUTPUTS_DELETED_TOPIC, word(previousNext), word(next)];
  return { events: [{ address: CONTRACTS.outputOracle, topics, data: new Uint8Array(0) }] };
}

/** An L1 in memory with the cluster's contracts on it, and a sequencer beside it. */
export class World extends TestSequencer {
  readonly l1: MemoryL1;
  readonly blobs = new MemoryBlobs();
  readonly engine: Engine;
  /** What was sent to L1 and is not mined yet. */
  readonly mempool: MemoryTransaction[] = [];
  nextIndex = 0;

  private constructor(genesis: Genesis, origin: L1BlockInfo, l1: MemoryL1, engine: Engine) {
    super(genesis, origin, l1, engine);
    this.l1 = l1;
    this.engine = engine;
  }

  /** The genesis is in L1 block 2. */
  static create(p: Partial<Genesis> = {}): World {
    const genesis = testGenesis(p);
    const l1 = new MemoryL1();
    l1.setFinality({ safe: 2, finalized: 4 });
    l1.mine();
    const origin = l1.mine({ transactions: [genesisTransaction(encodeGenesis(genesis))] });
    return new World(genesis, origin, l1, new EthereumjsEngine());
  }

  /** Mines one L1 block with what waits. */
  mine(options: Omit<MemoryBlockOptions, "transactions"> = {}): L1BlockInfo {
    return this.l1.mine({ ...options, transactions: this.mempool.splice(0) });
  }

  /** Lowest inbox index not used on the canonical L1 chain. */
  async freeIndex(): Promise<number> {
    const toBlock = this.l1.headNumber;
    const logs = await this.l1.logs({
      fromBlock: 0,
      toBlock,
      addresses: [CONTRACTS.inbox],
      topics: [[SEGMENT_POSTED_TOPIC]],
    });
    return 1 + Math.max(-1, ...logs.map((log) => Number(bytesToBigInt(log.topics[1] as Uint8Array))));
  }

  /** Sends bytes to the inbox under the next index, or the given one. */
  post(bytes: Uint8Array, p: { index?: number; kind?: "blobs" | "calldata" } = {}): MemoryTransaction {
    const index = p.index ?? this.nextIndex++;
    const transaction = p.kind === "calldata" ? calldataPost(index, bytes) : this.#blobPost(index, bytes);
    this.mempool.push(transaction);
    return transaction;
  }

  #blobPost(index: number, bytes: Uint8Array): MemoryTransaction {
    const blobHashes = encodeBlobs(bytes).map((blob) => {
      const hash = new Uint8Array(createHash("sha256").update(blob).digest());
      this.blobs.put(hash, blob);
      return hash;
    });
    return { to: CONTRACTS.inbox, blobHashes, events: [segmentEvent(index, 0, blobHashes)] };
  }

  /** A verifier of this L1 on `stores`. */
  verifier(stores: Stores = memoryStores(), p: Partial<VerifierDeps> = {}): Promise<Verifier> {
    return Verifier.open({
      config: TEST_CONFIG,
      l1: this.l1,
      blobs: this.blobs,
      inbox: CONTRACTS.inbox,
      ...stores,
      engine: this.engine,
      log: silentLog,
      metrics: verifierMetrics(new Metrics()),
      clock: systemClock,
      ...p,
    });
  }
}

export const TEST_CONFIG: VerifierConfig = {
  pollMs: 10,
  l1StartBlock: 0,
  reorgDepthMax: 64,
  historyBlocks: 1_000,
  replayThreads: 0,
};

export type Stores = {
  readonly database: VerifierDeps["database"];
  readonly chain: ChainStore;
  readonly state: StateStore;
  readonly store: VerifierStore;
};

export function memoryStores(): Stores {
  return {
    database: { transaction: (body) => body(), settled: () => Promise.resolve() },
    chain: new MemoryChainStore(),
    state: new MemoryState(),
    store: new MemoryVerifierStore(),
  };
}

function calldataPost(index: number, bytes: Uint8Array): MemoryTransaction {
  const padded = new Uint8Array(Math.ceil(bytes.length / 32) * 32);
  padded.set(bytes);
  const head = concatBytes(word(index), word(1), word(0), word(0), word(160), word(bytes.length));
  return {
    to: CONTRACTS.inbox,
    input: concatBytes(POST_CALLDATA_SELECTOR, head, padded),
    events: [segmentEvent(index, 1, [keccak256(bytes)])],
  };
}
