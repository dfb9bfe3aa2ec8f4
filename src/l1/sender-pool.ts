/**
 * Owns several L1 accounts as one sender, for work whose order L1 restores by itself (segments carry their index).
 * A request with a place goes to the account of its place, `place mod accounts`, so that accounts work side by side and
 * yet each place has one account: whatever an earlier run left in flight for a place competes with what is sent now for
 * the same nonce, and L1 takes one of the two. Requests without a place go to the account with the least to do.
 * An account that cannot pay, or that is refused for what it is, is left out for a while; its requests, which were never
 * sent, go to the next one. Invariant: nothing of one name is in flight at two accounts.
 */
import { assert } from "../base/assert.ts";
import { type Clock, systemClock } from "../base/clock.ts";
import { hasCode } from "../base/error.ts";
import type { Log } from "../base/log.ts";
import { runAll, type Service } from "../base/service.ts";
import type { L1Sender } from "./l1-sender.ts";
import { type L1Receipt, type SendRequest, senderError, type TransactionSender } from "./sender.ts";

/** How long an account without means is left out. */
const LEFT_OUT_MS = 60_000;

type Lane = { readonly sender: L1Sender; leftOutUntilMs: number };

export class SenderPool implements Service, TransactionSender {
  readonly name: string;
  readonly address: Uint8Array;
  readonly #lanes: readonly Lane[];
  /** Names in flight, each at one account. */
  readonly #names = new Set<string>();
  readonly #blamesAccount: (error: unknown) => boolean;
  readonly #log: Log;
  readonly #clock: Clock;

  constructor(p: {
    readonly name: string;
    readonly senders: readonly L1Sender[];
    /** True for a refusal that another account would not meet (it is not registered). */
    readonly blamesAccount?: (error: unknown) => boolean;
    readonly log: Log;
    readonly clock?: Clock;
  }) {
    const [first] = p.senders;
    assert(first !== undefined, "a pool has at least one account");
    this.name = p.name;
    this.address = first.address;
    this.#lanes = p.senders.map((sender) => ({ sender, leftOutUntilMs: 0 }));
    this.#blamesAccount = p.blamesAccount ?? (() => false);
    this.#log = p.log;
    this.#clock = p.clock ?? systemClock;
  }

  get accounts(): number {
    return this.#lanes.length;
  }

  get recovered(): boolean {
    return this.#lanes.every(({ sender }) => sender.recovered);
  }

  notReady(): string | undefined {
    for (const { sender } of this.#lanes) {
      const reason = sender.notReady();
      if (reason !== undefined) return `${sender.name}: ${reason}`;
    }
    return undefined;
  }

  isPending(what: string): boolean {
    return this.#names.has(what) || this.#lanes.some(({ sender }) => sender.isPending(what));
  }

  run(signal: AbortSignal): Promise<void> {
    return runAll(
      signal,
      this.#lanes.map(({ sender }) => sender),
    );
  }

  async send(request: SendRequest): Promise<L1Receipt> {
    const { what } = request;
    if (this.isPending(what)) throw senderError("SENDER_CONFLICT", `${what} is in flight already`, { what });
    this.#names.add(what);
    try {
      let fault: unknown;
      for (const lane of this.#order(request)) {
        try {
          return await lane.sender.send(request);
        } catch (error) {
          if (!this.#accountFails(error)) throw error;
          fault = error;
          lane.leftOutUntilMs = this.#clock.nowMs() + LEFT_OUT_MS;
          this.#log.error("an L1 account is left out for a while", { account: lane.sender.name, err: error });
        }
      }
      throw fault;
    } finally {
      this.#names.delete(what);
    }
  }

  async simulate(request: SendRequest): Promise<void> {
    const [lane] = this.#order(request);
    assert(lane !== undefined, "a pool has at least one account");
    await lane.sender.simulate(request);
  }

  /** Only refusals before anything was sent: what may be in flight stays with its account. */
  #accountFails(error: unknown): boolean {
    return hasCode(error, "SENDER_FUNDS") || (hasCode(error, "SENDER_WOULD_REVERT") && this.#blamesAccount(error));
  }

  /** All accounts, the one of the request's place first; those left out last. */
  #order({ place }: SendRequest): Lane[] {
    const nowMs = this.#clock.nowMs();
    const count = this.#lanes.length;
    const lanes =
      place === undefined
        ? [...this.#lanes].sort((a, b) => a.sender.pending - b.sender.pending)
        : this.#lanes.map((_, i) => this.#lanes[(place + i) % count] as Lane);
    return lanes.sort((a, b) => Number(a.leftOutUntilMs > nowMs) - Number(b.leftOutUntilMs > nowMs));
  }
}
