/**
 * Owns the coordinator's end of the way to one key shard elsewhere, over all epochs: its link, replaced after a loss at a
 * later epoch, and whether it takes rounds. A shard counts from the moment it says that it is ready: no epoch waits for
 * one that is only starting.
 */
import { performance } from "node:perf_hooks";
import type { Link, OpenLink } from "../../link/link.ts";
import { type Answer, decodeFromShard } from "./shard-messages.ts";

/** After a loss the next one is started no sooner: one that cannot start is not to cost a thread per cut. */
const REOPEN_MS = 1_000;

export type ShardSeatEvents = {
  readonly received: (shard: number, answer: Answer) => void;
  readonly lost: (shard: number, cause: Error) => void;
};

export class ShardSeat {
  readonly index: number;
  readonly #open: OpenLink;
  readonly #events: ShardSeatEvents;
  #link: Link | undefined;
  #isReady = false;
  #lostMs = Number.NEGATIVE_INFINITY;
  #settled: () => void = () => undefined;
  /** Resolves when the first shard here is ready, or lost before that. */
  readonly settled = new Promise<void>((resolve) => {
    this.#settled = resolve;
  });
  /** Sent and received, for metrics. */
  readonly traffic = { messagesOut: 0, messagesIn: 0, bytesOut: 0, bytesIn: 0 };

  constructor(index: number, open: OpenLink, events: ShardSeatEvents) {
    this.index = index;
    this.#open = open;
    this.#events = events;
  }

  /** Is there a shard that takes rounds? */
  get isLive(): boolean {
    return this.#isReady;
  }

  /** Opens the link when there is none. */
  ensureOpen(): void {
    if (this.#link !== undefined || performance.now() - this.#lostMs < REOPEN_MS) return;
    const link = this.#open({
      received: (bytes) => {
        if (this.#link !== link) return;
        this.traffic.messagesIn++;
        this.traffic.bytesIn += bytes.length;
        let answer: Answer | undefined;
        try {
          answer = decodeFromShard(bytes);
        } catch (error) {
          this.drop(error as Error);
          return;
        }
        if (answer === undefined) {
          this.#isReady = true;
          this.#settled();
        } else this.#events.received(this.index, answer);
      },
      lost: (cause) => {
        if (this.#link === link) this.drop(cause);
      },
    });
    this.#link = link;
  }

  /** Gives the shard up: it is gone, silent or out of step. Another one takes its place later. */
  drop(cause: Error): void {
    const link = this.#link;
    this.#link = undefined;
    this.#isReady = false;
    this.#lostMs = performance.now();
    void link?.close();
    this.#settled();
    this.#events.lost(this.index, cause);
  }

  /** Takes over the message's buffer. */
  send(message: Uint8Array): void {
    this.traffic.messagesOut++;
    this.traffic.bytesOut += message.length;
    this.#link?.send(message);
  }

  async close(): Promise<void> {
    const link = this.#link;
    this.#link = undefined;
    this.#isReady = false;
    await link?.close();
  }
}
