/**
 * Owns a small real chain in memory for tests of RPC: real engine, real tries, real blocks, a pool without policy. It
 * mines when told to (or on every submit), can unwind, prune and lag, and counts what was asked of it.
 */
import { bytesEqual, EMPTY_BYTES, fromHex, toHexKey } from "../../base/bytes.ts";
import { type BlockAttributes, BlockExecution, type SequencedTx } from "../../execution/block-execution.ts";
import { EthereumjsEngine } from "../../execution/ethereumjs-engine.ts";
import type { BlockEnv, Engine, StateReader } from "../../execution/execution.ts";
import { genesisWrites } from "../../execution/genesis-state.ts";
import {
  type Alloc,
  account,
  allocOf,
  assemble,
  SYSTEM_CONTRACTS,
  signed,
  TEST_CHAIN,
  TEST_SYSTEM_CONFIG,
  testGenesisBlock,
  testKeys,
  testOrigin,
} from "../../execution/testing/world.ts";
import type { Block } from "../../protocol/block.ts";
import { blockAccessListHash } from "../../protocol/block-access-list.ts";
import type { L1FeeParameters } from "../../protocol/l1-fee.ts";
import type { Receipt } from "../../protocol/receipt.ts";
import { encodeDeposit } from "../../protocol/transaction-codec.ts";
import { MemoryState } from "../../state/memory-state.ts";
import type { AccountProof } from "../../state/state.ts";
import type { FoundLog, LogFilter, StoredAccessList } from "../../store/chain-store.ts";
import { MemoryChainStore } from "../../store/memory-chain-store.ts";
import type {
  ChainEvents,
  ChainView,
  Heads,
  PendingBlock,
  PooledTransaction,
  PoolView,
  SubmitOutcome,
} from "../chain-view.ts";

export const KEYS = testKeys(8);

const word = (value: number | bigint): Uint8Array => fromHex(value.toString(16).padStart(64, "0"));

/** topic0 of the logs LOGGER emits. */
export const LOG_TOPIC = fromHex("11".repeat(32));

/** Stores word 1 of the calldata at slot word 0, and logs (LOG_TOPIC, caller; word 1). */
export const LOGGER = fromHex("10".padStart(40, "c"));
const LOGGER_CODE = assemble(
  ...(["PUSH0", "CALLDATALOAD", 0x20, "CALLDATALOAD", "DUP1", "PUSH0", "MSTORE", "SWAP1", "SSTORE"] as const),
  ...(["CALLER", LOG_TOPIC, 0x20, "PUSH0", "LOG2", "STOP"] as const),
);

/** Returns the storage word at the slot in the calldata. */
export const READER_CODE = assemble("PUSH0", "CALLDATALOAD", "SLOAD", "PUSH0", "MSTORE", 0x20, "PUSH0", "RETURN");

/** Reverts with Error("nope"). */
export const REVERTER = fromHex("20".padStart(40, "c"));
const REVERT_DATA = fromHex(
  `08c379a0${"20".padStart(64, "0")}${"04".padStart(64, "0")}${Buffer.from("nope").toString("hex").padEnd(64, "0")}`,
);

/** Code that returns or reverts with fixed data: CODECOPY has no name in the assembler, so the bytes are written out. */
function constantCode(data: Uint8Array, opcode: "f3" | "fd"): Uint8Array {
  const length = data.length.toString(16).padStart(4, "0");
  // PUSH2 length, PUSH1 offset of data, PUSH0, CODECOPY, PUSH2 length, PUSH0, RETURN or REVERT
  return fromHex(`61${length}600c5f3961${length}5f${opcode}${Buffer.from(data).toString("hex")}`);
}

/** Fails unless at least 200,000 gas is left when it looks: what gas checks in contracts do. */
export const GAS_CHECKER = fromHex("30".padStart(40, "c"));
// GAS, PUSH3 200000, GT, PUSH1 dest, JUMPI, STOP, JUMPDEST, INVALID: byte 10 is the JUMPDEST.
const GAS_CHECKER_CODE = fromHex("5a62030d4011600a57005bfe");

/** Calls BURNER with all it may (63/64) and reverts when that fails. */
export const NESTED = fromHex("40".padStart(40, "c"));
const BURNER = fromHex("41".padStart(40, "c"));
/** 20 cold SSTOREs. */
const BURNER_CODE = assemble(...Array.from({ length: 20 }, (_, i) => [1, i, "SSTORE"] as const).flat());
/** Clears slot 0, set in genesis: earns a refund. */
export const REFUNDER = fromHex("50".padStart(40, "c"));
const REFUNDER_CODE = assemble("PUSH0", "PUSH0", "SSTORE", "STOP");

/** Never ends. */
export const LOOPER = fromHex("60".padStart(40, "c"));
const LOOPER_CODE = fromHex("5b5f56");

/** Returns base fee, number, timestamp and gas price as words. */
export const CONTEXT = fromHex("70".padStart(40, "c"));
const CONTEXT_CODE = assemble(
  ...(["BASEFEE", "PUSH0", "MSTORE", "NUMBER", 0x20, "MSTORE", "TIMESTAMP", 0x40, "MSTORE"] as const),
  ...(["GASPRICE", 0x60, "MSTORE", 0x80, "PUSH0", "RETURN"] as const),
);

/** Panics with code 0x11. */
export const PANICKER = fromHex("80".padStart(40, "c"));

function nestedCode(): Uint8Array {
  const head = `5f5f5f5f5f73${Buffer.from(BURNER).toString("hex")}5af1`;
  // PUSH1 dest JUMPI PUSH0 PUSH0 REVERT JUMPDEST STOP
  const dest = head.length / 2 + 3 + 3;
  return fromHex(`${head}60${dest.toString(16).padStart(2, "0")}575f5ffd5b00`);
}

export const CONTRACTS: readonly (readonly [Uint8Array, Uint8Array])[] = [
  [LOGGER, LOGGER_CODE],
  [REVERTER, constantCode(REVERT_DATA, "fd")],
  [GAS_CHECKER, GAS_CHECKER_CODE],
  [NESTED, nestedCode()],
  [BURNER, BURNER_CODE],
  [LOOPER, LOOPER_CODE],
  [CONTEXT, CONTEXT_CODE],
  [PANICKER, constantCode(fromHex(`4e487b71${"11".padStart(64, "0")}`), "fd")],
];

const GENESIS: Alloc = [
  ...SYSTEM_CONTRACTS,
  ...KEYS.map((key) => [key.address, account({ balanceWei: 10n ** 21n })] as const),
  ...CONTRACTS.map(([address, code]) => [address, account({ nonce: 1n, code })] as const),
  [REFUNDER, account({ nonce: 1n, code: REFUNDER_CODE, storage: new Map([[toHexKey(word(0)), word(7)]]) })],
  // Somewhere for the L1-attributes deposit to go.
  [fromHex("4200000000000000000000000000000000000015"), account({ nonce: 1n, code: assemble("STOP") })],
];

/** A deposit as the portal makes one: mints and sends. */
export function depositOf(to: Uint8Array, mintWei: bigint, salt: number): Uint8Array {
  return encodeDeposit({
    sourceHash: word(salt),
    from: KEYS[7]?.address ?? EMPTY_BYTES,
    to,
    mintWei,
    valueWei: mintWei,
    gasLimit: 100_000n,
    isSystemTx: false,
    data: EMPTY_BYTES,
  }).raw;
}

export class MemoryChain implements ChainView, PoolView {
  readonly chainId = TEST_CHAIN.chainId;
  readonly engine: Engine = new EthereumjsEngine();
  readonly store = new MemoryChainStore();
  readonly state: MemoryState;
  /** By block number; a test puts in what it wants served. */
  readonly accessLists = new Map<number, Uint8Array>();
  /** Mines each submit at once. */
  automine = false;
  /** What `submit` answers for everything, to play a pool that refuses. */
  refuse: SubmitOutcome | undefined;
  safe = 0;
  finalized = 0;
  submits = 0;
  #open: BlockExecution | undefined;
  #pooled: PooledTransaction[] = [];
  readonly #listeners = new Set<ChainEvents>();
  #mining: Promise<void> = Promise.resolve();

  private constructor() {
    this.state = new MemoryState((number) => this.store.blockHash(number));
  }

  static create(): MemoryChain {
    const chain = new MemoryChain();
    const prepared = chain.state.prepare(genesisWrites(allocOf(GENESIS)));
    chain.state.commit(0, prepared);
    chain.store.append(testGenesisBlock(prepared.stateRoot), []);
    return chain;
  }

  heads(): Heads {
    return {
      latest: this.store.head,
      safe: this.safe,
      finalized: this.finalized,
      oldestState: this.state.oldest,
    };
  }

  block(number: number): Block | undefined {
    return this.store.block(number);
  }

  numberOfHash(hash: Uint8Array): number | undefined {
    return this.store.numberOfHash(hash);
  }

  receipts(number: number): readonly Receipt[] | undefined {
    return this.store.receipts(number);
  }

  transaction(hash: Uint8Array): { blockNumber: number; index: number } | undefined {
    return this.store.transaction(hash);
  }

  logs(filter: LogFilter): readonly FoundLog[] {
    return this.store.logs(filter);
  }

  accessList(number: number): StoredAccessList | undefined {
    const encoded = this.accessLists.get(number);
    return encoded === undefined ? undefined : { hash: blockAccessListHash(encoded), encoded };
  }

  pending(): PendingBlock | undefined {
    const open = this.#open;
    if (open === undefined) return undefined;
    return {
      env: open.env,
      parentHash: (this.store.block(this.store.head) as Block).hash,
      parentBeaconBlockRoot: open.attributes.origin.parentBeaconBlockRoot,
      ...open.confirmed,
    };
  }

  stateAt(number: number): StateReader {
    return this.state.reader(number);
  }

  proof(number: number, address: Uint8Array, slots: readonly Uint8Array[]): AccountProof {
    return this.state.proof(number, address, slots);
  }

  envAt(number: number): BlockEnv {
    const { header } = this.store.block(number) as Block;
    return {
      chainId: this.chainId,
      number,
      timestamp: header.timestamp,
      gasLimit: header.gasLimit,
      baseFeePerGasWei: header.baseFeePerGasWei,
      blobBaseFeeWei: 1n,
      coinbase: header.coinbase,
      prevRandao: header.prevRandao,
      fork: "prague",
      feePolicy: "op",
    };
  }

  l1FeesAt(): L1FeeParameters {
    const origin = testOrigin(0);
    return {
      l1BaseFeeWei: origin.baseFeePerGasWei,
      l1BlobBaseFeeWei: origin.blobBaseFeeWei,
      baseFeeScalar: TEST_SYSTEM_CONFIG.baseFeeScalar,
      blobBaseFeeScalar: TEST_SYSTEM_CONFIG.blobBaseFeeScalar,
    };
  }

  subscribe(events: ChainEvents): () => void {
    this.#listeners.add(events);
    return () => this.#listeners.delete(events);
  }

  async submit(txs: readonly PooledTransaction[]): Promise<readonly SubmitOutcome[]> {
    this.submits++;
    const { refuse } = this;
    if (refuse !== undefined) return txs.map(() => refuse);
    const outcomes = txs.map((pooled): SubmitOutcome => {
      const nonce = this.stateAt(this.store.head).account(pooled.sender)?.nonce ?? 0n;
      if (pooled.tx.nonce < nonce)
        return { accepted: false, code: "NONCE_TOO_LOW", message: `next nonce ${nonce}, tx nonce ${pooled.tx.nonce}` };
      if (this.get(pooled.tx.hash) !== undefined)
        return { accepted: false, code: "ALREADY_KNOWN", message: "already known" };
      this.#pooled.push(pooled);
      return { accepted: true };
    });
    for (const [i, { tx }] of txs.entries())
      if (outcomes[i]?.accepted === true) this.#emit((listener) => listener.accepted?.(tx));
    if (this.automine) setImmediate(() => void this.mine());
    return outcomes;
  }

  nextNonce(address: Uint8Array): bigint | undefined {
    const own = new Set(this.#pooled.flatMap(({ tx, sender }) => (bytesEqual(sender, address) ? [tx.nonce] : [])));
    const first = this.stateAt(this.store.head).account(address)?.nonce ?? 0n;
    let next = first;
    while (own.has(next)) next++;
    return next === first ? undefined : next;
  }

  get(hash: Uint8Array): PooledTransaction | undefined {
    return this.#pooled.find(({ tx }) => bytesEqual(tx.hash, hash));
  }

  status(): { pending: number; queued: number } {
    return { pending: this.#pooled.length, queued: 0 };
  }

  content(countMax: number): { pending: readonly PooledTransaction[]; queued: readonly PooledTransaction[] } {
    return { pending: this.#pooled.slice(0, countMax), queued: [] };
  }

  /** Opens the next block with the deposits and what the pool holds, without sealing it: `pending` is then this. */
  async open(deposits: readonly Uint8Array[] = []): Promise<void> {
    const parent = this.store.block(this.store.head) as Block;
    // Each block takes the next L1 origin, so that deposits are always allowed.
    const origin = testOrigin(parent.origin.number + 1);
    const attributes: BlockAttributes = {
      timestamp: Math.max(parent.header.timestamp + 1, origin.timestamp),
      origin,
      sequenceNumber: 0,
      systemConfig: TEST_SYSTEM_CONFIG,
      deposits,
    };
    this.#open = await BlockExecution.begin({
      chain: TEST_CHAIN,
      parent,
      attributes,
      state: this.state.reader(),
      engine: this.engine,
    });
    const txs: SequencedTx[] = this.#pooled.map(({ tx, sender }) => ({ raw: tx.raw, sender }));
    await this.#open.apply(txs);
    this.#open.confirm();
    const hashes = this.#pooled.map(({ tx }) => tx.hash);
    this.#emit((listener) => listener.confirmed?.(hashes));
  }

  /** Adds a transfer of the key `index` to the open block. */
  async advance(index: number, nonce: number): Promise<void> {
    const key = KEYS[index] as (typeof KEYS)[number];
    const open = this.#open as BlockExecution;
    await open.apply([signed(key, { nonce: BigInt(nonce), to: key.address })]);
    open.confirm();
  }

  /** Seals a block of what the pool holds. Concurrent calls queue up. */
  mine(deposits: readonly Uint8Array[] = []): Promise<void> {
    this.#mining = this.#mining.then(async () => {
      await this.open(deposits);
      this.seal();
    });
    return this.#mining;
  }

  /** Seals the open block. */
  seal(): void {
    const open = this.#open as BlockExecution;
    const { block, receipts, prepared } = open.finish((writes) => this.state.prepare(writes));
    this.#open = undefined;
    this.state.commit(block.header.number, prepared);
    this.store.append(block, receipts);
    const mined = new Set(block.transactions.map(toHexKey));
    this.#pooled = this.#pooled.filter(({ tx }) => !mined.has(toHexKey(tx.raw)));
    this.#emit((listener) => listener.block?.(block, receipts));
  }

  /** Unwinds all blocks above `number`. Their transactions are gone. */
  rewind(number: number): void {
    const removed: { block: Block; receipts: readonly Receipt[] }[] = [];
    for (let n = this.store.head; n > number; n--)
      removed.push({ block: this.store.block(n) as Block, receipts: this.store.receipts(n) ?? [] });
    this.store.rollback(number);
    this.state.rollback(number);
    this.#emit((listener) => listener.reorg?.(number, removed));
  }

  #emit(tell: (listener: ChainEvents) => void): void {
    for (const listener of this.#listeners) tell(listener);
  }
}
