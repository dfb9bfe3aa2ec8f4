/**
 * Owns what publisher tests post: a sealed chain whose block hashes follow from what a segment carries, and a derivation
 * of its own that knows only L1 (events, blobs, calldata) and the rules of decision 0002 about indexes and parents.
 */
import { createHash } from "node:crypto";
import { bytesEqual, concatBytes, EMPTY_BYTES } from "../../base/bytes.ts";
import type { BlobSource } from "../../da/da.ts";
import type { Settlement } from "../../l1/testing/settlement.ts";
import { decodeBlobs } from "../../protocol/blob-codec.ts";
import type { Block, Header, L1Origin } from "../../protocol/block.ts";
import { decodeSegmentPosted, SEGMENT_POSTED_TOPIC, segmentOfCalldata } from "../../protocol/inbox-events.ts";
import { decodeSegment } from "../../protocol/segment.ts";
import type { DerivedView, SealedBlocks } from "../api.ts";

const word = (value: number): Uint8Array => {
  const out = new Uint8Array(8);
  new DataView(out.buffer).setBigUint64(0, BigInt(value));
  return out;
};

function hashOf(p: {
  number: number;
  parentHash: Uint8Array;
  timestamp: number;
  transactions: readonly Uint8Array[];
}): Uint8Array {
  const content = concatBytes(p.parentHash, word(p.number), word(p.timestamp), ...p.transactions);
  return new Uint8Array(createHash("sha256").update(content).digest());
}

const DEPOSIT = Uint8Array.of(0x7e, 1, 2, 3);

/** A sealed chain that grows and rewinds at the test's word. */
export class FakeChain implements SealedBlocks {
  readonly #blocks: Block[] = [];
  readonly #listeners = new Set<(block: Block) => void>();
  readonly #origin: L1Origin;
  #fork = 0;

  constructor(origin: L1Origin, timestamp: number) {
    this.#origin = origin;
    this.#push(timestamp, []);
  }

  get head(): number {
    return this.#blocks.length - 1;
  }

  block(number: number): Block | undefined {
    return this.#blocks[number];
  }

  onSeal(listener: (block: Block) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  get genesisHash(): Uint8Array {
    return (this.#blocks[0] as Block).hash;
  }

  #push(timestamp: number, transactions: readonly Uint8Array[]): void {
    const number = this.#blocks.length;
    const parentHash = this.#blocks.at(-1)?.hash ?? new Uint8Array(32);
    const block: Block = {
      hash: hashOf({ number, parentHash, timestamp, transactions }),
      header: { number, parentHash, timestamp } as Header,
      transactions: number === 0 ? [] : [DEPOSIT, ...transactions],
      senders: [],
      origin: this.#origin,
      sequenceNumber: number,
    };
    this.#blocks.push(block);
    for (const listener of this.#listeners) listener(block);
  }

  /** Seals `count` blocks of `sizeBytes` incompressible bytes each. */
  seal(count: number, sizeBytes = 100): void {
    for (let i = 0; i < count; i++) {
      const parts: Uint8Array[] = [];
      let seed = createHash("sha256").update(`${this.#fork}:${this.#blocks.length}`).digest();
      for (let size = 0; size < sizeBytes; size += 32) {
        parts.push(new Uint8Array(seed));
        seed = createHash("sha256").update(seed).digest();
      }
      const parent = this.#blocks.at(-1) as Block;
      this.#push(parent.header.timestamp + 1, parts.length === 0 ? [] : [concatBytes(Uint8Array.of(9), ...parts)]);
    }
  }

  /** Takes blocks above `number` back; what is sealed next is another fork. */
  rewind(number: number): void {
    this.#blocks.length = number + 1;
    this.#fork++;
  }
}

export type Derived = DerivedView & {
  /** Headings in index order, as consumed; `valid`: it gave blocks. */
  readonly consumed: readonly { index: number; firstBlock: number; lastBlock: number; valid: boolean }[];
};

/** Derives from L1 alone, from the beginning. */
export async function deriveFromL1(
  settlement: Settlement,
  blobs: BlobSource,
  genesisHash: Uint8Array,
): Promise<Derived> {
  const { l1, contracts, origin } = settlement;
  const head = await l1.head();
  const logs = await l1.logs({
    fromBlock: origin.number,
    toBlock: head.number,
    addresses: [contracts.inbox],
    topics: [[SEGMENT_POSTED_TOPIC]],
  });
  const byIndex = new Map(logs.map((log) => [decodeSegmentPosted(log)?.index ?? -1, log]));
  const consumed: Derived["consumed"][number][] = [];
  let safe = { number: 0, hash: genesisHash };
  let index = 0;
  for (let log = byIndex.get(0); log !== undefined; log = byIndex.get(++index)) {
    const entry = decodeSegmentPosted(log);
    if (entry === undefined) throw new Error("every log has an entry");
    let bytes: Uint8Array;
    if (entry.kind === "calldata") {
      const transaction = await l1.transaction(log.transactionHash);
      bytes = segmentOfCalldata(transaction?.input ?? EMPTY_BYTES) ?? EMPTY_BYTES;
    } else {
      const block = await l1.block(log.blockHash);
      if (block === undefined) throw new Error("an event has a block");
      const reference = {
        l1BlockNumber: block.number,
        l1BlockHash: block.hash,
        l1Timestamp: block.timestamp,
        versionedHashes: entry.hashes,
      };
      bytes = decodeBlobs(await blobs.blobs(reference));
    }
    const content = decodeSegment(bytes);
    const valid = content.firstBlock === safe.number + 1 && bytesEqual(content.parentHash, safe.hash);
    if (valid)
      for (const [i, b] of content.blocks.entries()) {
        const number = content.firstBlock + i;
        safe = { number, hash: hashOf({ number, parentHash: safe.hash, ...b }) };
      }
    consumed.push({ index, firstBlock: entry.firstBlock, lastBlock: entry.lastBlock, valid });
  }
  return {
    safe,
    nextIndex: index,
    l1Derived: { number: head.number, hash: head.hash },
    waitingEntries: byIndex.size - index,
    consumed,
  };
}
