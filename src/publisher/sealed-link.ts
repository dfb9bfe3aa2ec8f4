/**
 * Owns the sealed chain over a link: a publisher in another process sees the blocks between the safe head and the newest
 * seal as it would in the sequencer's, and tells the sequencer how far it is, for admission.
 *
 * The publisher asks for the next blocks behind what it holds, naming the hash it stands on, and is answered as soon as
 * there are some, at most a few megabytes at once; asked and answered one by one, so neither end fills the other. When
 * the chain stands on another block by then, it is told, forgets what it holds and starts at the safe head again. While
 * the link is down it goes on with the blocks it has.
 *
 *   to the sequencer  0 ‖ from ‖ parent hash, if known    want blocks
 *                     1 ‖ posted through ‖ window used     report, millionths
 *   to the publisher  0 ‖ term ‖ blocks
 *                     1                                    the parent is not sealed (any more)
 */
import { Reader, Writer } from "../base/binary.ts";
import { bytesEqual } from "../base/bytes.ts";
import type { Host, Link } from "../link/link.ts";
import type { LinkService } from "../link/tls-listener.ts";
import type { Block } from "../protocol/block.ts";
import { decodeBlock, encodeBlock } from "../store/block-codec.ts";
import type { SealedBlocks } from "./api.ts";
import { admissionShare, Backlog } from "./backlog.ts";
import { publisherError, sequencedBytes } from "./segment-source.ts";

export const SEALED_SERVICE = "sealed-blocks";

/** Bytes and blocks of one answer; a larger block travels alone. */
const ANSWER_BYTES_MAX = 4 * 1024 * 1024;
const ANSWER_BLOCKS_MAX = 512;
/** A sealed block is bounded by what six blobs take, compressed; this is far above it. */
const FRAME_BYTES_MAX = 64 * 1024 * 1024;
/** Bytes of blocks that are held; beyond it the next ones wait until the safe head moves. */
const HELD_BYTES_MAX = 256 * 1024 * 1024;
/** Blocks held take more than their bytes. */
const BLOCK_OVERHEAD_BYTES = 2_048;

const WANT = 0;
const REPORT = 1;
const BLOCKS = 0;
const OTHER = 1;
const MILLION = 1_000_000;

/** What the serving side needs of the sequencer. */
export type SealedSource = {
  readonly sealed: SealedBlocks;
  readonly onRewind: (listener: () => void) => () => void;
  readonly term: () => number;
  /** Only who leads is called: its admission lives on what publishers report. Absent: always. */
  readonly leads?: () => boolean;
  /** Bytes that may wait for L1. */
  readonly backlogMaxBytes: number;
};

type Caller = { readonly link: Link; wanted: { from: number; parentHash: Uint8Array | undefined } | undefined };

/** The sequencer's side, for as many publishers as call: one works, others may stand by. */
export class SealedServer {
  readonly #source: SealedSource;
  readonly #backlog = new Backlog();
  readonly #callers = new Set<Caller>();
  #windowUsed = 0;

  constructor(source: SealedSource) {
    this.#source = source;
    source.sealed.onSeal((block) => {
      this.#backlog.sealed(block.header.number, sequencedBytes(block));
      this.#serveAll();
    });
    source.onRewind(() => this.#serveAll());
  }

  /** See PublisherApi: from the last report and what was sealed since, so it goes on falling when none come. */
  admissionShare(waitingBytes: number): number {
    return admissionShare({
      bytes: this.#backlog.bytes + waitingBytes,
      bytesMax: this.#source.backlogMaxBytes,
      windowUsed: this.#windowUsed,
    });
  }

  service(linksMax: number): LinkService {
    return {
      name: SEALED_SERVICE,
      admits: ["publisher"],
      linksMax,
      frameBytesMax: 1_024,
      elsewhere: () => (this.#source.leads?.() === false ? "this sequencer does not lead" : undefined),
      accept: (opened) => {
        const caller: Caller = {
          link: opened.attach({
            received: (message) => this.#received(caller, message),
            lost: () => this.#callers.delete(caller),
          }),
          wanted: undefined,
        };
        this.#callers.add(caller);
      },
    };
  }

  #received(caller: Caller, message: Uint8Array): void {
    try {
      const r = new Reader(message);
      if (r.byte() === WANT) {
        caller.wanted = { from: r.uvarint(), parentHash: r.optional(() => r.fixed(32)) };
        r.end();
        this.#serve(caller);
        return;
      }
      const { sealed } = this.#source;
      const postedThrough = Math.min(r.uvarint(), sealed.head);
      this.#windowUsed = r.uvarint() / MILLION;
      r.end();
      this.#backlog.cover(postedThrough, sealed.head, (n) => {
        const block = sealed.block(n);
        return block === undefined ? 0 : sequencedBytes(block);
      });
    } catch {
      // Not what a publisher says: it may call again.
      this.#callers.delete(caller);
      void caller.link.close();
    }
  }

  #serveAll(): void {
    if (this.#source.leads?.() === false) {
      for (const { link } of this.#callers) void link.close();
      this.#callers.clear();
    }
    for (const caller of this.#callers) this.#serve(caller);
  }

  #serve(caller: Caller): void {
    const { wanted } = caller;
    if (wanted === undefined) return;
    const { sealed, term } = this.#source;
    const { from, parentHash } = wanted;
    if (parentHash !== undefined) {
      const parent = sealed.block(from - 1);
      if (parent === undefined || !bytesEqual(parent.hash, parentHash)) {
        caller.wanted = undefined;
        return caller.link.send(Uint8Array.of(OTHER));
      }
    }
    if (from > sealed.head) return; // answered when there is one
    caller.wanted = undefined;
    const encoded: Uint8Array[] = [];
    let bytes = 0;
    for (let n = from; n <= sealed.head && encoded.length < ANSWER_BLOCKS_MAX && bytes < ANSWER_BYTES_MAX; n++) {
      const block = sealed.block(n);
      if (block === undefined) break;
      const one = encodeBlock(block);
      encoded.push(one);
      bytes += one.length;
    }
    const w = new Writer(bytes + 16 * encoded.length + 32).byte(BLOCKS).uvarint(term());
    w.list(encoded, (one) => w.bytes(one));
    caller.link.send(w.finish());
  }
}

/** The publisher's side: its host is given to a calling service. */
export class SealedClient implements SealedBlocks {
  readonly frameBytesMax = FRAME_BYTES_MAX;
  readonly #safeNumber: () => number | undefined;
  readonly #listeners = new Set<(block: Block) => void>();
  /** Consecutive, from #first on; the lowest is at the safe head or below. */
  #blocks: { readonly block: Block; readonly bytes: number }[] = [];
  #first = 0;
  #heldBytes = 0;
  #term: number | undefined;
  #send: ((message: Uint8Array) => void) | undefined;
  /** First block of the question without an answer. */
  #asked: number | undefined;

  /** `safeNumber`: where derivation is; undefined while that is not known. */
  constructor(safeNumber: () => number | undefined) {
    this.#safeNumber = safeNumber;
  }

  get head(): number {
    return this.#first + this.#blocks.length - 1;
  }

  block(number: number): Block | undefined {
    return this.#blocks[number - this.#first]?.block;
  }

  onSeal(listener: (block: Block) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** @throws {PublisherError} PUBLISHER_NOT_LINKED before the sequencer has told */
  term(): number {
    if (this.#term === undefined)
      throw publisherError("PUBLISHER_NOT_LINKED", "the sequencer has not sent a block yet");
    return this.#term;
  }

  readonly host: Host = (send) => {
    this.#send = send;
    this.#asked = undefined;
    setImmediate(() => this.#ask());
    return (message) => this.#received(message);
  };

  /** The link is gone; what is held stays. */
  lost(): void {
    this.#send = undefined;
  }

  get isLinked(): boolean {
    return this.#send !== undefined;
  }

  /** To be called now and then: tells the sequencer how far the publisher is, if it posts, and follows the safe head. */
  report(p: { readonly postedThrough: number; readonly windowUsed: number } | undefined): void {
    if (p !== undefined)
      this.#send?.(
        new Writer(16)
          .byte(REPORT)
          .uvarint(Math.max(0, p.postedThrough))
          .uvarint(Math.round(p.windowUsed * MILLION))
          .finish(),
      );
    this.#ask();
  }

  #received(message: Uint8Array): void {
    const r = new Reader(message);
    this.#asked = undefined;
    if (r.byte() === OTHER) {
      r.end();
      this.#forget(0);
    } else {
      this.#term = r.uvarint();
      const blocks = r.list(ANSWER_BLOCKS_MAX, () => r.bytes());
      r.end();
      for (const bytes of blocks) this.#take(decodeBlock(bytes), bytes.length + BLOCK_OVERHEAD_BYTES);
    }
    this.#ask();
  }

  #take(block: Block, bytes: number): void {
    const { number } = block.header;
    if (this.#blocks.length === 0) this.#first = number;
    // The answer to a question from before the safe head went elsewhere.
    if (number !== this.head + 1) return;
    this.#blocks.push({ block, bytes });
    this.#heldBytes += bytes;
    for (const listener of this.#listeners) listener(block);
  }

  /** Drops all blocks. */
  #forget(first: number): void {
    this.#blocks = [];
    this.#heldBytes = 0;
    this.#first = first;
  }

  #ask(): void {
    const safe = this.#safeNumber();
    if (this.#send === undefined || safe === undefined) return;
    // Derivation started over, or went past everything that is held.
    if (this.#blocks.length === 0 || safe < this.#first || safe > this.head + 1) this.#forget(safe);
    const done = this.#blocks.splice(0, Math.min(safe, this.head) - this.#first);
    this.#first += done.length;
    for (const { bytes } of done) this.#heldBytes -= bytes;
    // A question from before the safe head went elsewhere may wait for a block that is yet to be sealed: it is replaced.
    if (this.#asked === this.head + 1 || this.#heldBytes >= HELD_BYTES_MAX) return;
    const parent = this.#blocks.at(-1);
    this.#asked = this.head + 1;
    const w = new Writer(48).byte(WANT).uvarint(this.head + 1);
    this.#send(w.optional(parent?.block.hash, (hash) => w.fixed(hash)).finish());
  }
}
