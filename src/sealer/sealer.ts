/**
 * Owns the chain as sealed: applies order records in order, live or in replay, and stores each block with everything
 * it changes in one database transaction, together with the position of the order log it came from.
 * Invariant: the sealed chain is a pure function of the order log and the lane logs; block n+1 builds on block n; a
 * restart at any point replays from the stored position to the same blocks.
 * On failure nothing is half stored; a diverging replay is a bug and stops the process. A block that the shadow vetoes is
 * neither confirmed nor stored, and the next start executes it again.
 */
import { assert } from "../base/assert.ts";
import { Reader, Writer } from "../base/binary.ts";
import { toHex } from "../base/bytes.ts";
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { ExecutorApi, FinishedBlock } from "../executor/api.ts";
import type { KeyShardApi } from "../keyshard/api.ts";
import type { LedLanes, ReplayLanes, SettledLanes, Settlement } from "../lane/api.ts";
import type { AppendLog } from "../log/log.ts";
import type { Block } from "../protocol/block.ts";
import type { BlockContext, LanePosition, OrderedTx, OrderRecord } from "../protocol/cut.ts";
import { keccak256 } from "../protocol/keccak.ts";
import { DEPOSIT_TYPE } from "../protocol/transaction-codec.ts";
import type { ChainStore } from "../store/chain-store.ts";
import type { Database } from "../store/database.ts";
import type { SealEvents, SealedBlock, SealerApi } from "./api.ts";
import type { SealerMetrics } from "./metrics.ts";

/** Logs keep the records of at least this many sealed blocks. */
const TRIM_EVERY_BLOCKS = 256;
export const POSITION_KEY = "sealer/position";

/** How far the sealed chain has consumed the logs. */
export type SealPosition = {
  readonly orderSeq: number;
  /** Of record `orderSeq`: another log of the same length is not taken for this one. Absent while none is consumed. */
  readonly orderHash?: Uint8Array | undefined;
  readonly lanes: readonly LanePosition[];
};

export type SealerDeps = {
  readonly database: Database;
  readonly chain: ChainStore;
  readonly keyshard: KeyShardApi;
  readonly executor: ExecutorApi;
  /** "block": nothing is confirmed before its whole block is executed and checked. */
  readonly confirms: "cut" | "block";
  readonly orderLog: AppendLog;
  /** Where replay from the newest snapshot starts, undefined while there is none; absent when none are taken. */
  readonly keepLogsFrom?: (() => SealPosition | undefined) | undefined;
  readonly log: Log;
  readonly clock: Clock;
  readonly metrics: SealerMetrics;
};

export class Sealer implements SealerApi {
  readonly #deps: SealerDeps;
  readonly #listeners = new Set<SealEvents>();
  /** While this process leads: the lanes it writes. */
  #written: LedLanes | undefined;
  /** Else: the lanes as others wrote them. */
  #replayed: ReplayLanes | undefined;
  #position: SealPosition;
  /** Newest lane positions executed, sealed or not. */
  readonly #executedLanes = new Map<number, number>();
  /** Transactions of the open block that came from lanes, for a rewind. */
  #openTxs: OrderedTx[] = [];
  #openContext: BlockContext | undefined;
  /** What became of executed transactions; lanes and listeners are told when it is confirmed. */
  #unconfirmed: Settlement[] = [];
  #trimMark: SealPosition | undefined;

  constructor(deps: SealerDeps) {
    this.#deps = deps;
    assert(deps.chain.head >= 0, "the sealer starts from a stored genesis");
    assert(deps.chain.head === deps.keyshard.head, "chain and state are stored together");
    this.#position = readPosition(deps.chain.getMeta(POSITION_KEY));
    for (const p of this.#position.lanes) this.#executedLanes.set(p.lane, p.seq);
    this.#report();
  }

  /** From here on records of the order are replayed, with what was written into these lanes. */
  follow(lanes: ReplayLanes): void {
    this.#replayed = lanes;
    this.#written = undefined;
  }

  /** From here on this process orders, from these lanes: they hold what the replayed ones did. */
  lead(lanes: LedLanes): void {
    this.#written = lanes;
    this.#replayed = undefined;
  }

  /** Forgets the open block: of what was executed only what is sealed stays. */
  abandon(): void {
    this.#deps.executor.abandon();
    this.#openContext = undefined;
    this.#openTxs = [];
    this.#unconfirmed = [];
    this.#executedLanes.clear();
    for (const p of this.#position.lanes) this.#executedLanes.set(p.lane, p.seq);
  }

  get #settled(): SettledLanes {
    const lanes = this.#written ?? this.#replayed;
    assert(lanes !== undefined, "lanes are there before anything is executed");
    return lanes;
  }

  get position(): SealPosition {
    return this.#position;
  }

  get head(): Block {
    return this.block(this.#deps.chain.head) as Block;
  }

  /** Context of the block being built. */
  get openContext(): BlockContext | undefined {
    return this.#openContext;
  }

  block(number: number): Block | undefined {
    return this.#deps.chain.block(number);
  }

  subscribe(events: SealEvents): () => void {
    this.#listeners.add(events);
    return () => this.#listeners.delete(events);
  }

  /** Replays one record of the order log, which is durable. */
  async replay(seq: number, record: OrderRecord): Promise<void> {
    const lanes = this.#replayed;
    assert(lanes !== undefined, "lanes are followed");
    if (record.kind === "rewind") return this.rewind(seq, record.toBlock, record.reason);
    if (record.open !== undefined) {
      lanes.nextBlock();
      await this.open(record.open);
    }
    assert(this.#openContext?.number === record.blockNumber, "a cut extends the open block");
    if (record.positions.length > 0) {
      const baseFeeWei = this.#deps.executor.pending()?.env.baseFeePerGasWei;
      assert(baseFeeWei !== undefined, "the open block has its base fee");
      await this.execute(await lanes.orderOf(record, baseFeeWei));
      this.executed(record.positions);
    }
    if (record.inline.length > 0) await this.execute(record.inline);
    if (record.close) await this.close(seq);
    else await this.confirm();
  }

  async open(context: BlockContext): Promise<void> {
    const parent = this.head;
    assert(context.number === parent.header.number + 1, "blocks are opened in order");
    this.#openContext = context;
    this.#openTxs = [];
    await this.#deps.executor.open(context, parent);
  }

  /** Runs transactions of the order. */
  async execute(txs: readonly OrderedTx[]): Promise<void> {
    assert(this.#openContext !== undefined, "transactions are executed in an open block");
    if (txs.length === 0) return;
    const results = await this.#deps.executor.execute(txs);
    for (const [i, tx] of txs.entries()) {
      const result = results[i];
      assert(result !== undefined, "every ordered transaction has a result");
      const hash = tx.hash ?? keccak256(tx.raw);
      if (result.included) {
        this.#unconfirmed.push({ hash, included: true, tx });
        this.#openTxs.push(tx);
      } else {
        this.#unconfirmed.push({ hash, included: false, reason: result.reason, tx });
        this.#deps.metrics.skipped.inc(1, { reason: result.reason });
      }
    }
  }

  /** What the lanes hold up to these positions is part of the order. */
  executed(positions: readonly LanePosition[]): void {
    for (const { lane, seq } of positions) this.#executedLanes.set(lane, seq);
  }

  /** Newest position of a lane that the order names. */
  orderedSeq(lane: number): number {
    return this.#executedLanes.get(lane) ?? 0;
  }

  /** What was executed so far is durable in the order. */
  async confirm(): Promise<void> {
    if (this.#deps.confirms === "cut") await this.#confirm();
  }

  async #confirm(): Promise<void> {
    this.#deps.executor.confirm();
    const hashes = await this.#settle();
    if (hashes.length > 0) for (const listener of this.#listeners) listener.confirmed?.(hashes);
  }

  /**
   * Tells the lanes what became of their transactions; hashes of those included. Not before they are visible in the open
   * block: until then the lane is where they are found, and what knows the sender's next nonce. What is skipped for now
   * is durable in its lane again afterwards.
   */
  async #settle(): Promise<Uint8Array[]> {
    const settlements = this.#unconfirmed;
    this.#unconfirmed = [];
    if (settlements.length > 0) await this.#settled.settle(settlements);
    return settlements.filter((s) => s.included).map((s) => s.hash);
  }

  /** Seals the open block; `seq` is the order record that closes it and must be durable. */
  async close(seq: number): Promise<SealedBlock> {
    const startMs = this.#deps.clock.nowMs();
    const { block, receipts, prepared, writes, accessList } = await this.#finish();
    await this.#confirm();
    assert(block.header.number === this.#openContext?.number, "the finished block is the open one");
    const position = await this.#positionAt(seq);
    this.#deps.database.transaction(() => {
      this.#deps.keyshard.commit(block.header.number, prepared);
      this.#deps.chain.append(block, receipts, accessList);
      this.#deps.chain.putMeta(POSITION_KEY, writePosition(position));
    });
    await this.#deps.database.settled();
    this.#deps.executor.abandon();
    this.#position = position;
    this.#openContext = undefined;
    this.#openTxs = [];
    this.#deps.metrics.transactions.inc(block.transactions.length);
    this.#deps.metrics.gas.inc(block.header.gasUsed);
    this.#deps.metrics.sealSeconds.observe((this.#deps.clock.nowMs() - startMs) / 1_000);
    this.#report();
    const sealed: SealedBlock = { block, receipts };
    this.#written?.onHead({ gasLimit: block.header.gasLimit, changed: writes.accounts.keys() });
    // The logs are their leader's to trim.
    if (block.header.number % TRIM_EVERY_BLOCKS === 0 && this.#written !== undefined) await this.#trim(position);
    for (const listener of this.#listeners) listener.sealed?.(sealed);
    return sealed;
  }

  async #positionAt(orderSeq: number): Promise<SealPosition> {
    return {
      orderSeq,
      orderHash: await this.#orderHash(orderSeq),
      lanes: [...this.#executedLanes].map(([lane, seq]) => ({ lane, seq })),
    };
  }

  /** While this process leads, the newest record is the one asked for: only a replay that is behind reads. */
  async #orderHash(seq: number): Promise<Uint8Array> {
    const { orderLog } = this.#deps;
    if (orderLog.tip.seq === seq) return orderLog.tip.hash;
    const [record] = await orderLog.read(seq, 1);
    assert(record?.seq === seq, "the record that closes a block is durable");
    return record.hash;
  }

  async #finish(): Promise<FinishedBlock> {
    try {
      return await this.#deps.executor.finish();
    } catch (error) {
      // Nobody may see as pending what is not going to be.
      this.#deps.executor.abandon();
      this.#unconfirmed = [];
      throw error;
    }
  }

  /** Lets the logs drop what the blocks before the last mark needed; the newest ones stay as a second copy. */
  async #trim(position: SealPosition): Promise<void> {
    const { keepLogsFrom } = this.#deps;
    let mark = this.#trimMark;
    this.#trimMark = position;
    if (mark !== undefined && keepLogsFrom !== undefined) mark = earlier(mark, keepLogsFrom());
    if (mark === undefined) return;
    await this.#deps.database.flushed(); // the logs are what restores blocks that have not reached the disk
    await this.#deps.orderLog.trim(mark.orderSeq);
    await this.#written?.trim(mark.lanes);
  }

  /** Takes blocks above `toBlock` back; their transactions return to the lanes. `seq`: the durable rewind record. */
  async rewind(seq: number, toBlock: number, reason: string): Promise<void> {
    const { chain, keyshard, database, executor, log } = this.#deps;
    assert(toBlock >= 0 && toBlock <= chain.head, "a rewind goes to a sealed block");
    executor.abandon();
    await this.#settle();
    const removed: SealedBlock[] = [];
    for (let n = chain.head; n > toBlock; n--) {
      const block = chain.block(n);
      assert(block !== undefined, "sealed blocks are stored");
      removed.push({ block, receipts: chain.receipts(n) ?? [] });
    }
    const returned: OrderedTx[] = removed
      .toReversed()
      .flatMap(({ block }) => block.transactions.map((raw, i) => ({ raw, sender: block.senders[i] as Uint8Array })))
      .filter((tx) => tx.raw[0] !== DEPOSIT_TYPE)
      .concat(this.#openTxs);
    const position = await this.#positionAt(seq);
    // Durable in the lane first: a crash in between replays the rewind, and returning twice is harmless.
    const restore = await this.#settled.prepareReturn(returned);
    database.transaction(() => {
      keyshard.rollback(toBlock);
      chain.rollback(toBlock);
      chain.putMeta(POSITION_KEY, writePosition(position));
    });
    this.#position = position;
    this.#openContext = undefined;
    this.#openTxs = [];
    await restore();
    this.#deps.metrics.rewinds.inc();
    this.#report();
    log.warn("chain rewound", { toBlock, removedBlocks: removed.length, returnedTxs: returned.length, reason });
    for (const listener of this.#listeners) listener.rewound?.(toBlock, removed);
  }

  #report(): void {
    const { header, hash } = this.head;
    this.#deps.metrics.headNumber.set(header.number);
    this.#deps.metrics.headTimestamp.set(header.timestamp);
    this.#deps.log.debug("head", { number: header.number, hash: toHex(hash), gasUsed: header.gasUsed });
  }
}

/** The earlier of the two: what both need is kept. */
function earlier(mark: SealPosition, other: SealPosition | undefined): SealPosition | undefined {
  if (other === undefined) return undefined;
  return other.orderSeq < mark.orderSeq ? other : mark;
}

/** The position of a chain whose logs are lost: before their first record. */
export function lostLogsPosition(): Uint8Array {
  return writePosition({ orderSeq: 0, lanes: [] });
}

function writePosition(position: SealPosition): Uint8Array {
  const w = new Writer(64).uvarint(position.orderSeq);
  w.list(position.lanes, (p) => w.uvarint(p.lane).uvarint(p.seq));
  return w.bytes(position.orderHash ?? new Uint8Array(0)).finish();
}

function readPosition(bytes: Uint8Array | undefined): SealPosition {
  if (bytes === undefined) return { orderSeq: 0, lanes: [] };
  const r = new Reader(bytes);
  const orderSeq = r.uvarint();
  const lanes = r.list(1024, () => ({ lane: r.uvarint(), seq: r.uvarint() }));
  const hash = r.remaining === 0 ? new Uint8Array(0) : r.bytes().slice(); // absent in the databases of 0.1.0
  r.end();
  return { orderSeq, orderHash: hash.length === 0 ? undefined : hash, lanes };
}
