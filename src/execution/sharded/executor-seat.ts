/**
 * Owns the coordinator's end of one executor: its link, replaced after a loss at the next epoch, whether it answers, and
 * what it has been told. What it is believed to know is a hint: it asks for the rest.
 */
import { performance } from "node:perf_hooks";
import { toHexKey } from "../../base/bytes.ts";
import type { Link, OpenLink } from "../../link/link.ts";
import { decodeFromExecutor, encodeToExecutor, type FromExecutor, type ToExecutor } from "./messages.ts";

/** Accounts and codes an executor is remembered to have been told of. */
const TOLD_MAX = 200_000;
/** After a loss the next one is started no sooner: one that cannot start is not to cost a thread per cut. */
const REOPEN_MS = 1_000;

export type SeatEvents = {
  readonly received: (seat: number, message: FromExecutor) => void;
  readonly lost: (seat: number, cause: Error) => void;
};

export class ExecutorSeat {
  /** Its place among the seats of an epoch; changes only between epochs. */
  index: number;
  /** One that came by itself, over a link from elsewhere. */
  readonly isGuest: boolean;
  readonly #open: OpenLink;
  readonly #events: SeatEvents;
  #link: Link | undefined;
  readonly #toldAccounts = new Set<string>();
  readonly #toldCodes = new Set<string>();
  #isStalled = false;
  #lostMs = Number.NEGATIVE_INFINITY;
  /** Bytes sent and received, for metrics. */
  bytesOut = 0;
  bytesIn = 0;
  #counted = { bytesOut: 0, bytesIn: 0 };

  constructor(index: number, open: OpenLink, events: SeatEvents, isGuest = false) {
    this.index = index;
    this.isGuest = isGuest;
    this.#open = open;
    this.#events = events;
  }

  /** Is there an executor that answers? */
  get isLive(): boolean {
    return this.#link !== undefined && !this.#isStalled;
  }

  /** Is there a link, answering or not? */
  get isOpen(): boolean {
    return this.#link !== undefined;
  }

  /** Opens the link when there is none. */
  ensureOpen(): void {
    if (this.#link !== undefined || performance.now() - this.#lostMs < REOPEN_MS) return;
    this.#toldAccounts.clear();
    this.#toldCodes.clear();
    this.#isStalled = false;
    const link = this.#open({
      received: (bytes) => {
        if (this.#link !== link) return;
        this.bytesIn += bytes.length;
        // Late is not never: it is dealt to again.
        this.#isStalled = false;
        let message: FromExecutor;
        try {
          message = decodeFromExecutor(bytes);
        } catch (error) {
          this.#lose(error as Error);
          return;
        }
        this.#events.received(this.index, message);
      },
      lost: (cause) => {
        if (this.#link === link) this.#lose(cause);
      },
    });
    this.#link = link;
  }

  #lose(cause: Error): void {
    const link = this.#link;
    this.#link = undefined;
    this.#lostMs = performance.now();
    void link?.close();
    this.#events.lost(this.index, cause);
  }

  /** Bytes since the last call. */
  takeUncounted(): { readonly bytesOut: number; readonly bytesIn: number } {
    const { bytesOut, bytesIn } = this;
    const since = { bytesOut: bytesOut - this.#counted.bytesOut, bytesIn: bytesIn - this.#counted.bytesIn };
    this.#counted = { bytesOut, bytesIn };
    return since;
  }

  /** It held the watermark up; it is passed over until it answers. */
  stalled(): void {
    this.#isStalled = true;
  }

  send(message: ToExecutor): void {
    this.sendEncoded(encodeToExecutor(message));
  }

  /** Takes over the buffer. */
  sendEncoded(bytes: Uint8Array): void {
    this.bytesOut += bytes.length;
    this.#link?.send(bytes);
  }

  /** True when the account is to be told: it was not before. */
  tellAccount(key: string): boolean {
    if (this.#toldAccounts.has(key)) return false;
    if (this.#toldAccounts.size >= TOLD_MAX) this.#toldAccounts.clear();
    this.#toldAccounts.add(key);
    return true;
  }

  tellCode(codeHash: Uint8Array): boolean {
    const key = toHexKey(codeHash);
    if (this.#toldCodes.has(key)) return false;
    if (this.#toldCodes.size >= TOLD_MAX) this.#toldCodes.clear();
    this.#toldCodes.add(key);
    return true;
  }

  async close(): Promise<void> {
    const link = this.#link;
    this.#link = undefined;
    await link?.close();
  }
}
