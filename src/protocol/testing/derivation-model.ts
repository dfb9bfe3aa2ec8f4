/**
 * Owns a second, slower statement of derivation (decision 0002) to compare the state machine with, and a generator of L1
 * histories. The model has no state: from the whole history it first works out at which L1 block each index is applied,
 * then walks the indexes. The generator plays a sequencer with faults: delays, gaps, duplicates, wrong parents, broken
 * time and origin rules, soup, silence.
 */
import { createHash } from "node:crypto";
import { bytesEqual, concatBytes, fromHex } from "../../base/bytes.ts";
import { encodeBlobs } from "../blob-codec.ts";
import type { DerivationRules, DerivedBlock, DropReason, EntryBytes, InboxEntry, L1Inputs } from "../derivation.ts";
import { decodeSegment, encodeSegment, type SegmentBlock, type SegmentContent } from "../segment.ts";
import type { SystemConfigValues } from "../system-config.ts";
import { applySystemConfigLogs, CONFIG_UPDATE_TOPIC } from "../system-config-events.ts";

/** Repeatable numbers from a seed (mulberry32). */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** 0 <= n < bound */
  below(bound: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % bound;
  }

  chance(percent: number): boolean {
    return this.below(100) < percent;
  }

  bytes(size: number): Uint8Array {
    return Uint8Array.from({ length: size }, () => this.below(256));
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T;
  }
}

const sha256 = (...parts: Uint8Array[]): Uint8Array =>
  new Uint8Array(
    createHash("sha256")
      .update(concatBytes(...parts))
      .digest(),
  );

/** Stands for execution: a hash over all that a block depends on. */
export function modelHash(block: DerivedBlock): Uint8Array {
  const { context } = block;
  const facts = JSON.stringify([
    context.number,
    context.timestamp,
    context.sequenceNumber,
    context.systemConfig,
    context.deposits.length,
    block.transactions.map((t) => t.length),
  ]);
  return sha256(block.parentHash, Buffer.from(facts), context.origin.hash, ...context.deposits, ...block.transactions);
}

/** An L1 history: block 0 is the origin of genesis. */
export type History = {
  readonly rules: DerivationRules;
  readonly genesis: {
    readonly hash: Uint8Array;
    readonly timestamp: number;
    readonly systemConfig: SystemConfigValues;
  };
  readonly l1: L1Inputs[];
  /** Bytes by hex-free key: the entry's transaction hash as latin1. */
  readonly bytes: Map<string, EntryBytes>;
};

export const bytesKey = (transactionHash: Uint8Array): string => Buffer.from(transactionHash).toString("latin1");

export type Outcome = {
  readonly blocks: readonly { readonly block: DerivedBlock; readonly hash: Uint8Array }[];
  readonly nextIndex: number;
  readonly reasons: readonly (DropReason | undefined)[];
};

/** What the history derives to, from the rules of decision 0002 read one after the other. */
export function referenceDerivation(history: History): Outcome {
  const { rules, genesis, l1 } = history;
  const first = (l1[0] as L1Inputs).info.number;
  const at = (number: number): L1Inputs | undefined => l1[number - first];
  const configAt = (number: number): SystemConfigValues =>
    l1
      .slice(1, number - first + 1)
      .reduce((values, b) => applySystemConfigLogs(values, b.systemConfigLogs), genesis.systemConfig);

  // Where the first entry of each index is, and from that, when it is applied.
  const posted = new Map<number, { entry: InboxEntry; l1Number: number }>();
  for (const block of l1)
    for (const entry of block.entries)
      if (!posted.has(entry.index)) posted.set(entry.index, { entry, l1Number: block.info.number });

  const blocks: { block: DerivedBlock; hash: Uint8Array }[] = [];
  let head = { number: 0, hash: genesis.hash, timestamp: genesis.timestamp, origin: first, sequence: 0 };
  const append = (
    origin: number,
    timestamp: number,
    transactions: readonly Uint8Array[],
    segmentIndex: number | undefined,
  ): void => {
    const advances = origin > head.origin;
    const inputs = at(origin) as L1Inputs;
    const block: DerivedBlock = {
      parentHash: head.hash,
      context: {
        number: head.number + 1,
        timestamp,
        origin: inputs.info,
        sequenceNumber: advances ? 0 : head.sequence + 1,
        systemConfig: configAt(origin),
        deposits: advances ? inputs.deposits : [],
      },
      transactions,
      segmentIndex,
    };
    const hash = modelHash(block);
    blocks.push({ block, hash });
    head = { number: head.number + 1, hash, timestamp, origin, sequence: block.context.sequenceNumber };
  };
  let expiredThrough = first;
  /** L1 blocks up to `l1Number` one by one: where the window is exceeded, half of it passes with deposits alone. */
  const expireUpTo = (l1Number: number): void => {
    for (let n = expiredThrough + 1; n <= l1Number; n++) {
      expiredThrough = n;
      if (n - head.origin <= rules.sequencingWindow) continue;
      while (head.origin < n - Math.floor(rules.sequencingWindow / 2)) {
        const inputs = at(head.origin + 1) as L1Inputs;
        append(head.origin + 1, Math.max(head.timestamp + 1, inputs.info.timestamp), [], undefined);
      }
    }
  };

  const reasons: (DropReason | undefined)[] = [];
  let index = 0;
  let appliedAt = first;
  for (let found = posted.get(index); found !== undefined; found = posted.get(++index)) {
    appliedAt = Math.max(appliedAt, found.l1Number);
    expireUpTo(appliedAt - 1);
    reasons.push(apply(history.bytes.get(bytesKey(found.entry.transactionHash)) as EntryBytes, index, appliedAt));
  }
  expireUpTo(first + l1.length - 1);
  return { blocks, nextIndex: index, reasons };

  function apply(bytes: EntryBytes, segmentIndex: number, l1Number: number): DropReason | undefined {
    const content = contentOf(bytes);
    if (content === "undecodable") return "UNDECODABLE";
    if (content.firstBlock !== head.number + 1) return "WRONG_BLOCK_NUMBER";
    if (!bytesEqual(content.parentHash, head.hash)) return "WRONG_PARENT";
    const { lastOrigin } = content;
    if (lastOrigin.number > l1Number || !sameHash(at(lastOrigin.number)?.info.hash, lastOrigin.hash))
      return "WRONG_ORIGIN";
    for (const { timestamp, originNumber, transactions } of content.blocks) {
      const origin = at(originNumber)?.info;
      if (
        originNumber < head.origin ||
        originNumber > head.origin + 1 ||
        originNumber > l1Number ||
        origin === undefined
      )
        return "WRONG_ORIGIN";
      const late = timestamp > origin.timestamp + rules.maxDriftSeconds;
      if (late || timestamp < origin.timestamp || timestamp <= head.timestamp) return "WRONG_TIMESTAMP";
      if (originNumber + rules.sequencingWindow < l1Number) return "WINDOW_EXPIRED";
      append(originNumber, timestamp, transactions, segmentIndex);
    }
    return undefined;
  }
}

function sameHash(a: Uint8Array | undefined, b: Uint8Array): boolean {
  return a !== undefined && bytesEqual(a, b);
}

/** The generator asks for the head of the same history again and again. */
const contents = new WeakMap<EntryBytes, SegmentContent | "undecodable">();

function contentOf(bytes: EntryBytes): SegmentContent | "undecodable" {
  let content = contents.get(bytes);
  if (content !== undefined) return content;
  try {
    content = decodeSegment("calldata" in bytes ? bytes.calldata : decodeBlobsOf(bytes.blobs));
  } catch {
    content = "undecodable";
  }
  contents.set(bytes, content);
  return content;
}

/** Bit by bit, as the packing is described; any deviation throws. */
function decodeBlobsOf(blobs: readonly Uint8Array[]): Uint8Array {
  const stream: number[] = [];
  for (const blob of blobs) {
    if (blob.length !== 131_072) throw new Error("size");
    for (let at = 0; at < blob.length; at += 128) {
      const tops = [0, 32, 64, 96].map((o) => blob[at + o] as number);
      for (let k = 0; k < 4; k++) stream.push(...blob.subarray(at + 32 * k + 1, at + 32 * k + 32));
      const rest = tops.reduce((sum, top) => sum * 64 + top, 0);
      if (tops.some((top) => top > 63)) throw new Error("top bits");
      stream.push(rest >>> 16, (rest >>> 8) & 255, rest & 255);
    }
  }
  const size = ((stream[1] as number) << 16) + ((stream[2] as number) << 8) + (stream[3] as number);
  const padding = stream.slice(4 + size);
  if (stream[0] !== 0 || padding.length < 0 || padding.some((b) => b !== 0)) throw new Error("padding");
  if (4 + size > stream.length || Math.ceil((4 + size) / 130_048) !== blobs.length) throw new Error("count");
  return Uint8Array.from(stream.slice(4, 4 + size));
}

const gasLimitEvent = (gasLimit: number): { topics: Uint8Array[]; data: Uint8Array } => ({
  topics: [CONFIG_UPDATE_TOPIC, new Uint8Array(32), Uint8Array.from({ length: 32 }, (_, i) => (i === 31 ? 2 : 0))],
  data: fromHex([32, 32, gasLimit].map((n) => n.toString(16).padStart(64, "0")).join("")),
});

/** Extends `history` by `count` L1 blocks of a sequencer's life, with all the faults in it. */
export function extendHistory(history: History, count: number, random: Random): void {
  const { l1, rules } = history;
  /** Blocks the sequencer has built on top of `base` and not yet put into a segment. */
  let local: {
    blocks: SegmentBlock[];
    head: { number: number; hash: Uint8Array; timestamp: number; origin: number; sequence: number };
  } = { blocks: [], head: headOf(history) };
  const outbox: { index: number; bytes: EntryBytes }[] = [];
  let nextPostIndex = 1 + Math.max(-1, ...l1.flatMap((b) => b.entries.map((e) => e.index)));
  let silentFor = 0;

  for (let i = 0; i < count; i++) {
    const parent = (l1.at(-1) as L1Inputs).info;
    const info = {
      ...parent,
      number: parent.number + 1,
      hash: random.bytes(32),
      parentHash: parent.hash,
      timestamp: parent.timestamp + 1 + random.below(12),
      baseFeePerGasWei: BigInt(random.below(1e9)),
      prevRandao: random.bytes(32),
    };
    if (silentFor > 0) silentFor--;
    else if (random.chance(4)) silentFor = random.below(rules.sequencingWindow * 2 + 3);
    else {
      // Sequencers that notice the chain went elsewhere start again from it; some notice late.
      if (random.chance(15)) local = { blocks: [], head: headOf(history) };
      build(info.timestamp);
      if (local.blocks.length > 0 && random.chance(60)) seal();
      if (random.chance(6)) outbox.push({ index: nextPostIndex++, bytes: soup() });
      // Post a few, sometimes in another order.
      if (random.chance(20)) outbox.sort(() => random.below(3) - 1);
    }
    const entries: InboxEntry[] = [];
    for (let posts = silentFor > 0 ? 0 : random.below(4); posts > 0 && outbox.length > 0; posts--) {
      const { index, bytes } = outbox.shift() as { index: number; bytes: EntryBytes };
      entries.push(entryFor(index, bytes));
      if (random.chance(3)) entries.push(entryFor(index, soup()));
    }
    l1.push({
      info,
      systemConfigLogs: random.chance(8) ? [gasLimitEvent(1_000_000 + random.below(60_000_000))] : [],
      deposits: random.chance(25) ? [random.bytes(40), random.bytes(20)] : [],
      entries,
    });
  }

  function entryFor(index: number, bytes: EntryBytes): InboxEntry {
    const transactionHash = random.bytes(32);
    history.bytes.set(bytesKey(transactionHash), bytes);
    return { index, kind: "blobs" in bytes ? "blobs" : "calldata", hashes: [random.bytes(32)], transactionHash };
  }

  function soup(): EntryBytes {
    if (random.chance(30)) return { blobs: random.chance(50) ? [] : [new Uint8Array(131_072).fill(random.below(70))] };
    return { calldata: random.bytes(random.below(60)) };
  }

  /** Adds a few blocks to the local chain; now and then one that breaks a rule. */
  function build(now: number): void {
    for (let n = random.below(4); n > 0; n--) {
      const head = local.head;
      const next = l1.find((b) => b.info.number === head.origin + 1);
      let origin = next !== undefined && random.chance(60) ? next : l1.find((b) => b.info.number === head.origin);
      let timestamp = Math.max(head.timestamp + 1, origin?.info.timestamp ?? 0, now - random.below(6));
      if (random.chance(3)) timestamp += rules.maxDriftSeconds + 50;
      if (random.chance(3) && origin !== undefined) timestamp = Math.max(head.timestamp + 1, origin.info.timestamp - 3);
      if (origin === undefined || (random.chance(2) && local.blocks.length === 0)) origin = random.pick(l1);
      const transactions = Array.from({ length: random.below(3) }, () => random.bytes(random.below(50)));
      const advances = origin.info.number > head.origin;
      const block: SegmentBlock = {
        number: head.number + 1,
        parentHash: head.hash,
        timestamp,
        origin: random.chance(2) ? { number: origin.info.number, hash: random.bytes(32) } : origin.info,
        transactions,
      };
      local.blocks.push(block);
      const sequence = advances ? 0 : head.sequence + 1;
      const derived: DerivedBlock = {
        parentHash: head.hash,
        context: {
          number: block.number,
          timestamp,
          origin: origin.info,
          sequenceNumber: sequence,
          systemConfig: l1
            .slice(1)
            .filter((b) => b.info.number <= origin.info.number)
            .reduce((v, b) => applySystemConfigLogs(v, b.systemConfigLogs), history.genesis.systemConfig),
          deposits: advances ? origin.deposits : [],
        },
        transactions,
        segmentIndex: undefined,
      };
      local.head = { number: block.number, hash: modelHash(derived), timestamp, origin: origin.info.number, sequence };
    }
  }

  function seal(): void {
    const [first, ...rest] = local.blocks;
    if (first === undefined) return;
    const usable = [first];
    for (const block of rest) {
      const last = usable.at(-1) as SegmentBlock;
      const step = block.origin.number - last.origin.number;
      if (block.timestamp <= last.timestamp || step < 0 || step > 1) break;
      usable.push(block);
    }
    if (random.chance(3)) usable[0] = { ...first, parentHash: random.bytes(32) };
    if (random.chance(3)) usable.forEach((block, i) => (usable[i] = { ...block, number: block.number + 1 }));
    const bytes = encodeSegment(usable, { chainId: 901, brotliQuality: 1 });
    if (random.chance(3)) bytes[random.below(bytes.length)] = random.below(256);
    outbox.push({
      index: nextPostIndex++,
      bytes: random.chance(5) ? { blobs: encodeBlobs(bytes) } : { calldata: bytes },
    });
    local.blocks = [];
  }
}

function headOf(history: History): {
  number: number;
  hash: Uint8Array;
  timestamp: number;
  origin: number;
  sequence: number;
} {
  const last = referenceDerivation(history).blocks.at(-1);
  const info = (history.l1[0] as L1Inputs).info;
  if (last === undefined)
    return {
      number: 0,
      hash: history.genesis.hash,
      timestamp: history.genesis.timestamp,
      origin: info.number,
      sequence: 0,
    };
  const { number, timestamp, origin, sequenceNumber } = last.block.context;
  return { number, hash: last.hash, timestamp, origin: origin.number, sequence: sequenceNumber };
}

/** A history with nothing but the origin of genesis. */
export function newHistory(random: Random): History {
  const timestamp = 1_700_000_000;
  const info = {
    number: 100,
    hash: random.bytes(32),
    parentHash: random.bytes(32),
    timestamp,
    baseFeePerGasWei: 1n,
    blobBaseFeeWei: 1n,
    prevRandao: random.bytes(32),
    parentBeaconBlockRoot: random.bytes(32),
  };
  return {
    rules: { sequencingWindow: 3 + random.below(10), maxDriftSeconds: 20 + random.below(60) },
    genesis: {
      hash: random.bytes(32),
      timestamp: timestamp - 5,
      systemConfig: { gasLimit: 30_000_000, baseFeeScalar: 1, blobBaseFeeScalar: 2 },
    },
    l1: [{ info, systemConfigLogs: [], deposits: [], entries: [] }],
    bytes: new Map(),
  };
}
