/**
 * Owns derivation (decision 0002, DESIGN D8): from L1 blocks to the blocks of a cluster, as a pure, synchronous state
 * machine. It decides which blocks exist; it executes none and fetches nothing.
 *
 *   push(L1 block) ─▶ step() ─▶ "fetch": the bytes of one inbox entry are needed ─▶ supply(bytes)
 *                       ▲   ─▶ "block": execute this ─▶ executed(hash)
 *                       │   ─▶ "consumed": what became of an entry (for logs and metrics)
 *                       └── ─▶ "idle": all that this L1 block gives is derived; push the next one
 *
 * Invariants: any bytes lead to one defined chain and never to an exception; the same inputs give the same steps, also
 * when the machine is saved and restored between any two of them; `L1 head - safe origin <= sequencing window` when idle.
 * A caller that breaks the protocol (pushes a block that does not follow, reports a hash nobody asked for) is a bug.
 */
import { assert } from "../base/assert.ts";
import { codecError, Reader, Writer } from "../base/binary.ts";
import { bytesEqual } from "../base/bytes.ts";
import { CodedError } from "../base/error.ts";
import { decodeBlobs } from "./blob-codec.ts";
import type { L1Origin } from "./block.ts";
import type { BlockContext } from "./cut.ts";
import { readL1BlockInfo, readSystemConfig, writeL1BlockInfo, writeSystemConfig } from "./l1-block-codec.ts";
import { decodeSegment, type SegmentContent } from "./segment.ts";
import type { L1BlockInfo, SystemConfigValues } from "./system-config.ts";
import { applySystemConfigLogs } from "./system-config-events.ts";

/** From the genesis document. */
export type DerivationRules = {
  /** In L1 blocks. */
  readonly sequencingWindow: number;
  readonly maxDriftSeconds: number;
};

/** One SegmentPosted event: where the bytes of a segment are. */
export type InboxEntry = {
  readonly index: number;
  readonly kind: "blobs" | "calldata";
  /** Versioned hashes of the blobs, or the one keccak256 of the data in the transaction's input. */
  readonly hashes: readonly Uint8Array[];
  readonly transactionHash: Uint8Array;
};

/** What derivation reads of one L1 block. */
export type L1Inputs = {
  readonly info: L1BlockInfo;
  /** Logs of the SystemConfig contract, in log order. */
  readonly systemConfigLogs: readonly { readonly topics: readonly Uint8Array[]; readonly data: Uint8Array }[];
  /** User deposits as canonical 0x7E bytes, in log order. */
  readonly deposits: readonly Uint8Array[];
  /** In log order. */
  readonly entries: readonly InboxEntry[];
};

/** What is kept of an L1 block that may still become the origin of a block. */
export type OriginRecord = {
  readonly info: L1BlockInfo;
  /** As of this L1 block, its own events included. */
  readonly systemConfig: SystemConfigValues;
  readonly deposits: readonly Uint8Array[];
};

/** An entry and the L1 block it is in. */
export type PlacedEntry = InboxEntry & { readonly l1: L1Origin & { readonly timestamp: number } };

export type SafeHead = {
  readonly number: number;
  readonly hash: Uint8Array;
  readonly timestamp: number;
  readonly originNumber: number;
  readonly sequenceNumber: number;
};

/** A block that L1 says exists. The L1-attributes transaction and the deposits come first, then `transactions`. */
export type DerivedBlock = {
  readonly parentHash: Uint8Array;
  readonly context: BlockContext;
  /** Sequenced transactions as posted: any bytes; invalid ones are skipped by execution. */
  readonly transactions: readonly Uint8Array[];
  /** Index of the segment it comes from; undefined when the sequencing window ran out. */
  readonly segmentIndex: number | undefined;
};

/** Why a segment, or the rest of one, gave no blocks. */
export type DropReason =
  | "UNDECODABLE"
  | "WRONG_BLOCK_NUMBER"
  | "WRONG_PARENT"
  | "WRONG_ORIGIN"
  | "WRONG_TIMESTAMP"
  | "WINDOW_EXPIRED";

export type ConsumedSegment = {
  readonly entry: PlacedEntry;
  readonly blocksTaken: number;
  readonly blocksDropped: number;
  readonly reason: DropReason | undefined;
};

export type DerivationStep =
  | { readonly kind: "fetch"; readonly entry: PlacedEntry }
  | { readonly kind: "block"; readonly block: DerivedBlock }
  | { readonly kind: "consumed"; readonly segment: ConsumedSegment }
  | { readonly kind: "idle" };

/** Bytes of an entry, as its kind wants them. They match the entry's hashes: the caller has checked. */
export type EntryBytes = { readonly blobs: readonly Uint8Array[] } | { readonly calldata: Uint8Array };

type Active = {
  readonly entry: PlacedEntry;
  /** Blocks of the segment already part of the chain. */
  taken: number;
  /** Undefined until supplied; never saved. */
  content: SegmentContent | "undecodable" | undefined;
};

const STATE_VERSION = 1;

export class Derivation {
  readonly rules: DerivationRules;
  #safe: SafeHead;
  #l1Head: L1Origin & { readonly timestamp: number };
  #systemConfig: SystemConfigValues;
  /** The lowest index not consumed. */
  #nextIndex = 0;
  /** The inbox contract lets indexes run ahead of the first gap by 256 at most. */
  readonly #waiting = new Map<number, PlacedEntry>();
  readonly #origins = new Map<number, OriginRecord>();
  #active: Active | undefined;
  /** Deposit-only blocks are derived up to this origin. */
  #forcedTo = 0;
  #offered: DerivedBlock | undefined;

  private constructor(
    rules: DerivationRules,
    safe: SafeHead,
    l1Head: L1Origin & { readonly timestamp: number },
    systemConfig: SystemConfigValues,
  ) {
    this.rules = rules;
    this.#safe = safe;
    this.#l1Head = l1Head;
    this.#systemConfig = systemConfig;
  }

  /**
   * The machine at genesis. `origin` is the L1 block of the GenesisPublished event; deposits and parameter changes up to
   * it are part of the genesis document or of nothing, its inbox entries (posted behind the event) count.
   */
  static genesis(
    rules: DerivationRules,
    genesis: { hash: Uint8Array; timestamp: number; systemConfig: SystemConfigValues },
    origin: { info: L1BlockInfo; entries: readonly InboxEntry[] },
  ): Derivation {
    const { info } = origin;
    const safe = {
      number: 0,
      hash: genesis.hash,
      timestamp: genesis.timestamp,
      originNumber: info.number,
      sequenceNumber: 0,
    };
    const machine = new Derivation(rules, safe, place(info), genesis.systemConfig);
    machine.#origins.set(info.number, { info, systemConfig: genesis.systemConfig, deposits: [] });
    machine.#enqueue(origin.entries);
    return machine;
  }

  get safe(): SafeHead {
    return this.#safe;
  }

  /** The newest L1 block pushed. */
  get l1Head(): L1Origin {
    return this.#l1Head;
  }

  /** The lowest inbox index not consumed. */
  get nextIndex(): number {
    return this.#nextIndex;
  }

  /** Entries not consumed, in index order: what will be fetched next comes first, entries behind a gap last. */
  waiting(): PlacedEntry[] {
    return [...this.#waiting.values()].sort((a, b) => a.index - b.index);
  }

  /** Transactions of the block in hand and of those after it in the same segment, so that work on them can start early. */
  ahead(count: number): (readonly Uint8Array[])[] {
    const { content, taken = 0 } = this.#active ?? {};
    if (content === undefined || content === "undecodable") return [];
    return content.blocks.slice(taken, taken + count).map((block) => block.transactions);
  }

  /** The record of an L1 block from the safe origin to the L1 head; what the caller stores for {@link restore}. */
  origin(number: number): OriginRecord | undefined {
    return this.#origins.get(number);
  }

  /** Takes the next L1 block. Only when `step` said idle. */
  push(inputs: L1Inputs): void {
    const { info } = inputs;
    assert(this.step().kind === "idle", "an L1 block is derived completely before the next");
    assert(
      info.number === this.#l1Head.number + 1 && bytesEqual(info.parentHash, this.#l1Head.hash),
      "an L1 block follows the one before",
    );
    this.#systemConfig = applySystemConfigLogs(this.#systemConfig, inputs.systemConfigLogs);
    this.#l1Head = place(info);
    this.#origins.set(info.number, { info, systemConfig: this.#systemConfig, deposits: inputs.deposits });
    this.#enqueue(inputs.entries);
  }

  #enqueue(entries: readonly InboxEntry[]): void {
    // The contract takes each index once; a second one would be a broken contract, and the first counts.
    for (const entry of entries)
      if (entry.index >= this.#nextIndex && !this.#waiting.has(entry.index))
        this.#waiting.set(entry.index, { ...entry, l1: this.#l1Head });
  }

  /** What is next. Asking again before answering gives the same (but for "consumed", which is told once). */
  step(): DerivationStep {
    if (this.#offered !== undefined) return { kind: "block", block: this.#offered };
    if (this.#active === undefined) {
      const entry = this.#waiting.get(this.#nextIndex);
      if (entry === undefined) return this.#stepWithoutEntry();
      this.#active = { entry, taken: 0, content: undefined };
    }
    const { entry, content, taken } = this.#active;
    if (content === undefined) return { kind: "fetch", entry };
    if (content === "undecodable") return this.#consume(0, "UNDECODABLE");
    const next = content.blocks[taken];
    if (next === undefined) return this.#consume(0, undefined);
    const fault = this.#faultOf(next, taken === 0 ? content : undefined);
    if (fault !== undefined) return this.#consume(content.blocks.length - taken, fault);
    return this.#offer(next.originNumber, next.timestamp, next.transactions, entry.index);
  }

  /** With nothing to apply, only a sequencing window that ran out gives blocks. */
  #stepWithoutEntry(): DerivationStep {
    const { sequencingWindow } = this.rules;
    // Half a window at once: what the sequencer built above is void anyway, and a returning one gets time to post.
    if (this.#l1Head.number > this.#safe.originNumber + sequencingWindow)
      this.#forcedTo = this.#l1Head.number - Math.floor(sequencingWindow / 2);
    if (this.#safe.originNumber >= this.#forcedTo) return { kind: "idle" };
    const originNumber = this.#safe.originNumber + 1;
    const timestamp = Math.max(this.#safe.timestamp + 1, this.#originRecord(originNumber).info.timestamp);
    return this.#offer(originNumber, timestamp, [], undefined);
  }

  #originRecord(number: number): OriginRecord {
    const record = this.#origins.get(number);
    assert(record !== undefined, "L1 blocks from the safe origin to the L1 head are known");
    return record;
  }

  /** The first rule that a block of a segment breaks. `segment` is given for the first block only. */
  #faultOf(
    block: { readonly timestamp: number; readonly originNumber: number },
    segment: SegmentContent | undefined,
  ): DropReason | undefined {
    const safe = this.#safe;
    if (segment !== undefined) {
      if (segment.firstBlock !== safe.number + 1) return "WRONG_BLOCK_NUMBER";
      if (!bytesEqual(segment.parentHash, safe.hash)) return "WRONG_PARENT";
      // L1 is a hash chain: with this one, every origin of the segment is what its sequencer saw.
      const last = this.#origins.get(segment.lastOrigin.number)?.info;
      if (last === undefined || !bytesEqual(segment.lastOrigin.hash, last.hash)) return "WRONG_ORIGIN";
    }
    const { originNumber, timestamp } = block;
    if (originNumber !== safe.originNumber && originNumber !== safe.originNumber + 1) return "WRONG_ORIGIN";
    const origin = this.#origins.get(originNumber)?.info;
    if (origin === undefined) return "WRONG_ORIGIN";
    if (timestamp <= safe.timestamp || timestamp < origin.timestamp) return "WRONG_TIMESTAMP";
    if (timestamp > origin.timestamp + this.rules.maxDriftSeconds) return "WRONG_TIMESTAMP";
    if (this.#l1Head.number > originNumber + this.rules.sequencingWindow) return "WINDOW_EXPIRED";
    return undefined;
  }

  #offer(
    originNumber: number,
    timestamp: number,
    transactions: readonly Uint8Array[],
    segmentIndex: number | undefined,
  ): DerivationStep {
    const record = this.#originRecord(originNumber);
    const sameOrigin = originNumber === this.#safe.originNumber;
    const block: DerivedBlock = {
      parentHash: this.#safe.hash,
      context: {
        number: this.#safe.number + 1,
        timestamp,
        origin: record.info,
        sequenceNumber: sameOrigin ? this.#safe.sequenceNumber + 1 : 0,
        systemConfig: record.systemConfig,
        deposits: sameOrigin ? [] : record.deposits,
      },
      transactions,
      segmentIndex,
    };
    this.#offered = block;
    return { kind: "block", block };
  }

  #consume(blocksDropped: number, reason: DropReason | undefined): DerivationStep {
    const active = this.#active;
    assert(active !== undefined, "only the entry in hand is consumed");
    this.#waiting.delete(this.#nextIndex);
    this.#nextIndex++;
    this.#active = undefined;
    return { kind: "consumed", segment: { entry: active.entry, blocksTaken: active.taken, blocksDropped, reason } };
  }

  /** Answers "fetch". Bytes that are no segment consume the entry: the next step says so. */
  supply(bytes: EntryBytes): void {
    const active = this.#active;
    assert(active !== undefined && active.content === undefined, "bytes are supplied when they were asked for");
    const content = readSegment(bytes);
    active.content = content ?? "undecodable";
    // After a restart in the middle of a segment the same bytes must come again.
    if (active.taken > 0)
      assert(
        content !== undefined && content.firstBlock + active.taken === this.#safe.number + 1,
        "a segment that gave blocks is the same after a restart",
      );
  }

  /** Answers "block" with the hash of the executed block, which is now the safe head. */
  executed(hash: Uint8Array): void {
    const block = this.#offered;
    assert(block !== undefined, "a block is executed when it was offered");
    assert(hash.length === 32, "a block hash has 32 bytes");
    const { number, timestamp, origin, sequenceNumber } = block.context;
    for (let n = this.#safe.originNumber; n < origin.number; n++) this.#origins.delete(n);
    this.#safe = { number, hash, timestamp, originNumber: origin.number, sequenceNumber };
    this.#offered = undefined;
    if (block.segmentIndex !== undefined) (this.#active as Active).taken++;
  }

  /** The whole state but origin records, which the caller stores as they are pushed. */
  save(): Uint8Array {
    const w = new Writer(512).byte(STATE_VERSION);
    const safe = this.#safe;
    w.uvarint(safe.number)
      .fixed(safe.hash)
      .uvarint(safe.timestamp)
      .uvarint(safe.originNumber)
      .uvarint(safe.sequenceNumber);
    w.uvarint(this.#l1Head.number).fixed(this.#l1Head.hash).uvarint(this.#l1Head.timestamp);
    writeSystemConfig(w, this.#systemConfig);
    w.uvarint(this.#nextIndex)
      .uvarint(this.#active?.taken ?? 0)
      .uvarint(this.#forcedTo);
    w.list(this.waiting(), (e) => {
      w.uvarint(e.index)
        .byte(e.kind === "blobs" ? 0 : 1)
        .fixed(e.transactionHash);
      w.list(e.hashes, (hash) => w.fixed(hash));
      w.uvarint(e.l1.number).fixed(e.l1.hash).uvarint(e.l1.timestamp);
    });
    return w.finish();
  }

  /**
   * The machine that {@link save} saw. `originOf` gives the stored records from the safe origin to the L1 head.
   * @throws {CodecError} for bytes that `save` cannot have written
   */
  static restore(
    rules: DerivationRules,
    state: Uint8Array,
    originOf: (number: number) => OriginRecord | undefined,
  ): Derivation {
    const r = new Reader(state);
    const version = r.byte();
    if (version !== STATE_VERSION)
      throw codecError("CODEC_MALFORMED", `derivation state version ${version} is not known`);
    const safe: SafeHead = {
      number: r.uvarint(),
      hash: r.fixed(32).slice(),
      timestamp: r.uvarint(),
      originNumber: r.uvarint(),
      sequenceNumber: r.uvarint(),
    };
    const l1Head = { number: r.uvarint(), hash: r.fixed(32).slice(), timestamp: r.uvarint() };
    const machine = new Derivation(rules, safe, l1Head, readSystemConfig(r));
    machine.#nextIndex = r.uvarint();
    const taken = r.uvarint();
    machine.#forcedTo = r.uvarint();
    const entries = r.list(1_000_000, (): PlacedEntry => {
      const index = r.uvarint();
      const kind = r.byte() === 0 ? "blobs" : "calldata";
      const transactionHash = r.fixed(32).slice();
      const hashes = r.list(1024, () => r.fixed(32).slice());
      const l1 = { number: r.uvarint(), hash: r.fixed(32).slice(), timestamp: r.uvarint() };
      return { index, kind, hashes, transactionHash, l1 };
    });
    r.end();
    for (const entry of entries) machine.#waiting.set(entry.index, entry);
    if (taken > 0) {
      const entry = machine.#waiting.get(machine.#nextIndex);
      assert(entry !== undefined, "an entry that gave blocks is still waiting to be consumed");
      machine.#active = { entry, taken, content: undefined };
    }
    for (let n = safe.originNumber; n <= l1Head.number; n++) {
      const record = originOf(n);
      assert(
        record !== undefined && record.info.number === n,
        "stored L1 blocks reach from the safe origin to the head",
      );
      machine.#origins.set(n, record);
    }
    return machine;
  }
}

function place(info: L1BlockInfo): L1Origin & { readonly timestamp: number } {
  return { number: info.number, hash: info.hash, timestamp: info.timestamp };
}

function readSegment(bytes: EntryBytes): SegmentContent | undefined {
  try {
    return decodeSegment("blobs" in bytes ? decodeBlobs(bytes.blobs) : bytes.calldata);
  } catch (error) {
    if (error instanceof CodedError) return undefined;
    throw error;
  }
}

export function encodeOriginRecord(record: OriginRecord): Uint8Array {
  const w = new Writer(320).byte(STATE_VERSION);
  writeL1BlockInfo(w, record.info);
  writeSystemConfig(w, record.systemConfig);
  return w.list(record.deposits, (deposit) => w.bytes(deposit)).finish();
}

/** @throws {CodecError} for bytes that `encodeOriginRecord` cannot have written */
export function decodeOriginRecord(bytes: Uint8Array): OriginRecord {
  const r = new Reader(bytes);
  const version = r.byte();
  if (version !== STATE_VERSION) throw codecError("CODEC_MALFORMED", `origin record version ${version} is not known`);
  const info = readL1BlockInfo(r);
  const systemConfig = readSystemConfig(r);
  const deposits = r.list(1_000_000, () => r.bytes());
  r.end();
  return { info, systemConfig, deposits };
}
