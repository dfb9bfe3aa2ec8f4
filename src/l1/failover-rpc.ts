/**
 * Owns several L1 endpoints as one: a call goes to the first endpoint that is not resting, and on to the next when that
 * one is down, answers nonsense or limits us. A faulty endpoint rests for a while, longer each time it fails again, and
 * the order given is the order of preference. Answers that are the chain's (an unknown block, a revert) are passed on:
 * another endpoint would say the same. What endpoints disagree about (heads, reorgs) is for the readers, which take no
 * answer without its hash. Which endpoint serves is visible in metrics and logs.
 */
import { assert } from "../base/assert.ts";
import { type Clock, systemClock } from "../base/clock.ts";
import { hasCode } from "../base/error.ts";
import type { Log } from "../base/log.ts";
import type { CounterHandle, GaugeHandle, Metrics } from "../base/metrics.ts";
import { type JsonRpc, JsonRpcClient } from "./json-rpc.ts";

export type Endpoint = { readonly name: string; readonly rpc: JsonRpc };

const REST_MIN_MS = 1_000;
const REST_MAX_MS = 60_000;

type EndpointState = Endpoint & { restUntilMs: number; restMs: number };

const FAULTS = ["L1_ENDPOINT_DOWN", "L1_ENDPOINT_MALFORMED", "L1_LIMIT"] as const;

export class FailoverRpc implements JsonRpc {
  readonly #endpoints: readonly EndpointState[];
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #requests: CounterHandle;
  readonly #serving: GaugeHandle;
  #current: string;

  constructor(p: {
    readonly endpoints: readonly Endpoint[];
    readonly metrics: Metrics;
    readonly log: Log;
    readonly clock?: Clock;
  }) {
    const [first] = p.endpoints;
    assert(first !== undefined, "there is at least one L1 endpoint");
    this.#endpoints = p.endpoints.map((e) => ({ ...e, restUntilMs: 0, restMs: 0 }));
    this.#log = p.log;
    this.#clock = p.clock ?? systemClock;
    this.#requests = p.metrics.counter(
      "l1_endpoint_requests_total",
      "Calls to an L1 endpoint, by result: ok or fault.",
      ["endpoint", "result"],
    );
    this.#serving = p.metrics.gauge("l1_endpoint_serving", "1 for the L1 endpoint that answered last.", ["endpoint"]);
    this.#current = first.name;
    for (const e of p.endpoints) this.#serving.set(e.name === first.name ? 1 : 0, { endpoint: e.name });
  }

  /** The endpoint that answered last. */
  get serving(): string {
    return this.#current;
  }

  async call(method: string, params: readonly unknown[]): Promise<unknown> {
    const nowMs = this.#clock.nowMs();
    const awake = this.#endpoints.filter((e) => e.restUntilMs <= nowMs);
    // When all rest, the one that wakes first is asked anyway: refusing without asking would help nobody.
    const order = awake.length > 0 ? awake : [...this.#endpoints].sort((a, b) => a.restUntilMs - b.restUntilMs);
    let fault: unknown;
    for (const endpoint of order) {
      try {
        const answer = await endpoint.rpc.call(method, params);
        this.#served(endpoint);
        return answer;
      } catch (error) {
        if (!FAULTS.some((code) => hasCode(error, code))) {
          this.#served(endpoint);
          throw error;
        }
        fault = error;
        this.#rest(endpoint, error);
      }
    }
    throw fault;
  }

  #served(endpoint: EndpointState): void {
    endpoint.restMs = 0;
    endpoint.restUntilMs = 0;
    this.#requests.inc(1, { endpoint: endpoint.name, result: "ok" });
    if (this.#current === endpoint.name) return;
    this.#log.warn("another L1 endpoint serves", { endpoint: endpoint.name, before: this.#current });
    this.#serving.set(0, { endpoint: this.#current });
    this.#serving.set(1, { endpoint: endpoint.name });
    this.#current = endpoint.name;
  }

  #rest(endpoint: EndpointState, error: unknown): void {
    this.#requests.inc(1, { endpoint: endpoint.name, result: "fault" });
    const nowMs = this.#clock.nowMs();
    if (endpoint.restUntilMs > nowMs) return; // calls of one batch fail together: one fault
    endpoint.restMs = Math.min(REST_MAX_MS, Math.max(REST_MIN_MS, endpoint.restMs * 2));
    endpoint.restUntilMs = nowMs + endpoint.restMs;
    this.#log.warn("L1 endpoint is faulty", { endpoint: endpoint.name, restMs: endpoint.restMs, err: error });
  }
}

/** Connects to one or more endpoints, given as URLs with commas between them, in order of preference. */
export function connectL1(
  urls: string,
  p: { readonly metrics: Metrics; readonly log: Log; readonly timeoutMs?: number; readonly clock?: Clock },
): FailoverRpc {
  const endpoints = urls
    .split(",")
    .map((url) => url.trim())
    .filter((url) => url !== "")
    .map((url) => ({
      // Paths of endpoints often hold keys: the host is what people may see.
      name: new URL(url).host,
      rpc: new JsonRpcClient({ url, ...(p.timeoutMs === undefined ? {} : { timeoutMs: p.timeoutMs }) }),
    }));
  return new FailoverRpc({ ...p, endpoints });
}
