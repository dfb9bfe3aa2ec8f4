/**
 * Owns several L1 endpoints as one for everything but what enters the chain (that is `quorum-l1.ts`): a call goes to the
 * first healthy endpoint and on to the next when that one is at fault. The order given is the order of preference;
 * endpoints whose head lags behind come after those in step, then resting ones, last those on a fork of their own. Answers that are the chain's (an unknown
 * block, a revert) are passed on: another endpoint would say the same. Three questions are asked differently:
 *   a signed transaction goes to every healthy endpoint, so that one that swallows it does not hold it up;
 *   a nonce is what at least a quorum says, so that a lagging or lying endpoint cannot cause a gap;
 *   a receipt that one endpoint does not have is asked of the others.
 * Which endpoint serves is visible in metrics and logs.
 */
import { assert } from "../base/assert.ts";
import type { Clock } from "../base/clock.ts";
import { isRetryable } from "../base/error.ts";
import type { Log } from "../base/log.ts";
import { type Endpoint, isEndpointFault } from "./endpoint.ts";
import { type JsonRpc, readNumber } from "./json-rpc.ts";
import type { EndpointMetrics } from "./metrics.ts";

/** An endpoint this many blocks behind the others is asked only when those cannot answer. */
const LAG_MAX_BLOCKS = 8;

/** Endpoints in the order to ask them: in step, lagging, resting (the one that wakes first before the others), on a fork. */
export function byHealth(endpoints: readonly Endpoint[]): Endpoint[] {
  const best = Math.max(...endpoints.map((e) => (e.diverges ? -1 : e.headNumber)));
  const rank = (e: Endpoint): number =>
    e.diverges ? 3 : e.resting ? 2 : e.headNumber >= 0 && e.headNumber < best - LAG_MAX_BLOCKS ? 1 : 0;
  return [...endpoints].sort((a, b) => rank(a) - rank(b) || a.restUntilMs - b.restUntilMs);
}

export class FailoverRpc implements JsonRpc {
  readonly #endpoints: readonly Endpoint[];
  readonly #quorum: number;
  readonly #log: Log;
  readonly #metrics: EndpointMetrics;
  #current: string;

  constructor(p: {
    readonly endpoints: readonly Endpoint[];
    /** How many endpoints must stand behind a nonce. */
    readonly quorum: number;
    readonly metrics: EndpointMetrics;
    readonly log: Log;
    readonly clock?: Clock;
  }) {
    const [first] = p.endpoints;
    assert(first !== undefined, "there is at least one L1 endpoint");
    this.#endpoints = p.endpoints;
    this.#quorum = p.quorum;
    this.#log = p.log;
    this.#metrics = p.metrics;
    this.#current = first.name;
    for (const e of p.endpoints) this.#metrics.serving.set(e === first ? 1 : 0, { endpoint: e.name });
  }

  /** The endpoint that answered last. */
  get serving(): string {
    return this.#current;
  }

  async call(method: string, params: readonly unknown[]): Promise<unknown> {
    for (const endpoint of this.#endpoints) endpoint.maybeProbe();
    if (this.#endpoints.length > 1) {
      if (method === "eth_sendRawTransaction") return this.#broadcast(method, params);
      if (method === "eth_getTransactionCount") return this.#nonce(method, params);
      if (method === "eth_getTransactionReceipt") return this.#first(method, params, (answer) => answer !== null);
    }
    return this.#first(method, params, () => true);
  }

  /** The first answer that is `enough`, else the last answer there was, else the first fault. */
  async #first(method: string, params: readonly unknown[], enough: (answer: unknown) => boolean): Promise<unknown> {
    let fault: unknown;
    let answered: { readonly answer: unknown } | undefined;
    for (const endpoint of byHealth(this.#endpoints)) {
      // Nobody waits for one that is known to be ill when a healthy one has answered, if only with "none".
      if (answered !== undefined && !endpoint.isWell) break;
      try {
        const answer = await endpoint.call(method, params);
        if (answered === undefined) this.#served(endpoint);
        answered = { answer };
        if (enough(answer)) return answer;
      } catch (error) {
        if (!isEndpointFault(error)) {
          this.#served(endpoint);
          throw error;
        }
        fault ??= error;
      }
    }
    if (answered !== undefined) return answered.answer;
    throw fault;
  }

  /** Settles with the first endpoint that takes it; when none does, with what the most preferred one says. */
  async #broadcast(method: string, params: readonly unknown[]): Promise<unknown> {
    const healthy = this.#endpoints.filter((e) => e.isWell);
    const asked = healthy.length > 0 ? healthy : byHealth(this.#endpoints);
    const calls = asked.map(async (endpoint) => {
      const answer = await endpoint.call(method, params);
      this.#served(endpoint);
      return answer;
    });
    try {
      return await Promise.any(calls);
    } catch {
      const settled = await Promise.allSettled(calls);
      const errors = settled.flatMap((s) => (s.status === "rejected" ? [s.reason as unknown] : []));
      // A fault may have swallowed it or not; a refusal by a working node says more.
      throw errors.find((e) => !isEndpointFault(e) && !isRetryable(e)) ?? errors[0];
    }
  }

  /** The highest nonce that a quorum has reached. */
  async #nonce(method: string, params: readonly unknown[]): Promise<unknown> {
    const healthy = byHealth(this.#endpoints).filter((e) => e.isWell);
    const asked = healthy.length >= this.#quorum ? healthy : byHealth(this.#endpoints);
    const settled = await Promise.allSettled(asked.map((e) => e.call(method, params)));
    const answers = settled.flatMap((s) => (s.status === "fulfilled" ? [readNumber(s.value, "nonce")] : []));
    if (answers.length < this.#quorum) {
      const failed = settled.find((s) => s.status === "rejected");
      assert(failed !== undefined, "a question without enough answers has failed somewhere");
      throw failed.reason;
    }
    answers.sort((a, b) => b - a);
    return `0x${(answers[this.#quorum - 1] as number).toString(16)}`;
  }

  #served(endpoint: Endpoint): void {
    if (this.#current === endpoint.name) return;
    this.#log.warn("another L1 endpoint serves", { endpoint: endpoint.name, before: this.#current });
    this.#metrics.serving.set(0, { endpoint: this.#current });
    this.#metrics.serving.set(1, { endpoint: endpoint.name });
    this.#current = endpoint.name;
  }
}
