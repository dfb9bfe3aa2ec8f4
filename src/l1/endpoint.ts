/**
 * Owns one L1 endpoint with its health: every call to it goes through here. A circuit breaker opens at a fault (no
 * answer, an answer that is none, a limit, another chain than ours), rests for a while, longer each time, and closes
 * again through half-open: one probe, in the background, asks for chain id and head, so that no caller waits on an
 * endpoint that may still be ill. Probes also come round while all is well: an endpoint that was repointed to another
 * chain is found out, and one that serves nobody shows whether its head advances.
 * Invariant: before the first answer is passed on the endpoint has said that it serves our chain.
 * States: unchecked → closed ⇄ open → half-open (probe in flight) → closed | open.
 */
import type { Clock } from "../base/clock.ts";
import { type CodedError, hasCode } from "../base/error.ts";
import type { Log } from "../base/log.ts";
import { checkAnswer } from "./answer-shape.ts";
import type { JsonRpc } from "./json-rpc.ts";
import { readNumber } from "./json-rpc.ts";
import { l1Error } from "./l1.ts";
import type { EndpointMetrics } from "./metrics.ts";

export type EndpointOptions = {
  /** For people: the host, never the path, which may hold a key. */
  readonly name: string;
  readonly rpc: JsonRpc;
  readonly chainId: number;
  readonly metrics: EndpointMetrics;
  readonly log: Log;
  readonly clock: Clock;
};

const REST_MIN_MS = 1_000;
const REST_MAX_MS = 60_000;
/** Between two probes of an endpoint that is well. */
const PROBE_EVERY_MS = 15_000;

/** What an endpoint is blamed for; everything else is an answer of the chain. */
const FAULTS = ["L1_ENDPOINT_DOWN", "L1_ENDPOINT_MALFORMED", "L1_LIMIT", "L1_WRONG_CHAIN"] as const;

export function isEndpointFault(error: unknown): error is CodedError {
  return FAULTS.some((code) => hasCode(error, code));
}

export class Endpoint implements JsonRpc {
  readonly name: string;
  readonly #rpc: JsonRpc;
  readonly #chainId: number;
  readonly #metrics: EndpointMetrics;
  readonly #log: Log;
  readonly #clock: Clock;
  #admitted = false;
  #admission: Promise<void> | undefined;
  /** 0 while the breaker is closed. */
  #restMs = 0;
  #restUntilMs = 0;
  #probe: Promise<void> | undefined;
  #probedMs: number;
  #head: { readonly number: number; readonly sinceMs: number } | undefined;
  #diverges = false;

  constructor(options: EndpointOptions) {
    this.name = options.name;
    this.#rpc = options.rpc;
    this.#chainId = options.chainId;
    this.#metrics = options.metrics;
    this.#log = options.log.child({ endpoint: options.name });
    this.#clock = options.clock;
    this.#probedMs = this.#clock.nowMs();
    this.#metrics.up.set(1, { endpoint: this.name });
    this.#metrics.diverging.set(0, { endpoint: this.name });
  }

  /** True while it is known to be on another chain of blocks than the quorum. */
  get diverges(): boolean {
    return this.#diverges;
  }

  /** True when it should be asked: it is neither ill nor on a fork of its own. */
  get isWell(): boolean {
    return !this.resting && !this.#diverges;
  }

  /** True while the breaker is open or half-open. */
  get resting(): boolean {
    return this.#restMs > 0;
  }

  get restUntilMs(): number {
    return this.#restUntilMs;
  }

  /** Newest block number it was seen to have; -1 before the first. */
  get headNumber(): number {
    return this.#head?.number ?? -1;
  }

  /** Asks it, resting or not. @throws {L1Error} */
  async call(method: string, params: readonly unknown[]): Promise<unknown> {
    this.maybeProbe();
    try {
      if (!this.#admitted) await this.#admit();
      const answer = checkAnswer(method, await this.#rpc.call(method, params));
      this.#well();
      return answer;
    } catch (error) {
      if (isEndpointFault(error)) this.blame(error);
      else this.#well(); // an unknown block, a revert: the chain's answer
      throw error;
    }
  }

  /** Opens the breaker for what a reader found wrong in an answer of this endpoint. */
  blame(error: CodedError): void {
    this.#metrics.requests.inc(1, { endpoint: this.name, result: "fault" });
    const nowMs = this.#clock.nowMs();
    if (this.#restUntilMs > nowMs) return; // calls of one batch fail together: one fault
    this.#restMs = Math.min(REST_MAX_MS, Math.max(REST_MIN_MS, this.#restMs * 2));
    this.#restUntilMs = nowMs + this.#restMs;
    if (hasCode(error, "L1_WRONG_CHAIN")) this.#admitted = false;
    this.#metrics.up.set(0, { endpoint: this.name });
    this.#log.warn("L1 endpoint is faulty", { restMs: this.#restMs, err: error });
  }

  /** Its head as an answer showed it. */
  sawHead(number: number): void {
    const nowMs = this.#clock.nowMs();
    const before = this.#head;
    if (before === undefined || number > before.number) this.#head = { number, sinceMs: nowMs };
    else if (number < before.number) {
      // A short reorg, or another node behind the same name: it counts from there.
      this.#metrics.headBackwards.inc(1, { endpoint: this.name });
      this.#head = { number, sinceMs: before.sinceMs };
    }
    this.#metrics.headNumber.set(number, { endpoint: this.name });
    this.#metrics.headAgeSeconds.set((nowMs - (this.#head?.sinceMs ?? nowMs)) / 1_000, { endpoint: this.name });
  }

  /** It claims another block than the quorum agreed on. */
  diverged(number: number): void {
    this.#metrics.divergences.inc(1, { endpoint: this.name });
    this.#metrics.diverging.set(1, { endpoint: this.name });
    if (!this.#diverges) this.#log.warn("L1 endpoint contradicts the quorum, it is asked last", { number });
    this.#diverges = true;
  }

  /** It has the block that the quorum agreed on. */
  agrees(): void {
    if (!this.#diverges) return;
    this.#diverges = false;
    this.#metrics.diverging.set(0, { endpoint: this.name });
    this.#log.info("L1 endpoint agrees with the quorum again");
  }

  /** Starts a probe when one is due: after a rest, or because the last look is long ago. Never waits for it. */
  maybeProbe(): void {
    const nowMs = this.#clock.nowMs();
    const due = this.resting ? nowMs >= this.#restUntilMs : nowMs - this.#probedMs >= PROBE_EVERY_MS;
    if (!due || this.#probe !== undefined) return;
    this.#probedMs = nowMs;
    this.#probe = this.#ask().finally(() => {
      this.#probe = undefined;
    });
  }

  /** Resolves when no probe is in flight. */
  async probed(): Promise<void> {
    await this.#probe;
  }

  async #ask(): Promise<void> {
    try {
      const [chainId, head] = await Promise.all([
        this.#rpc.call("eth_chainId", []),
        this.#rpc.call("eth_blockNumber", []),
      ]);
      this.#checkChain(chainId);
      this.sawHead(readNumber(head, "block number"));
      this.#well();
    } catch (error) {
      if (isEndpointFault(error)) this.blame(error);
    }
  }

  /** Once, before anything else: everybody who asks meanwhile waits for the same answer. */
  #admit(): Promise<void> {
    this.#admission ??= this.#rpc
      .call("eth_chainId", [])
      .then((chainId) => this.#checkChain(chainId))
      .finally(() => {
        this.#admission = undefined;
      });
    return this.#admission;
  }

  #checkChain(answer: unknown): void {
    const chainId = readNumber(answer, "chain id");
    if (chainId !== this.#chainId)
      throw l1Error("L1_WRONG_CHAIN", `${this.name} serves chain ${chainId}, want ${this.#chainId}`, {
        endpoint: this.name,
        chainId,
      });
    this.#admitted = true;
  }

  #well(): void {
    this.#metrics.requests.inc(1, { endpoint: this.name, result: "ok" });
    if (this.#restMs === 0) return;
    this.#restMs = 0;
    this.#restUntilMs = 0;
    this.#metrics.up.set(1, { endpoint: this.name });
    this.#log.info("L1 endpoint is well again");
  }
}
