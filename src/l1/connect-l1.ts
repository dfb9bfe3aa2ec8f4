/**
 * Owns joining L1 endpoints: from a list of URLs to the two things a node needs, a reader whose answers a quorum stands
 * behind, and a JSON-RPC connection that always has an endpoint to talk to. Both share the endpoints and their health.
 */
import { type Clock, systemClock } from "../base/clock.ts";
import { defineErrors } from "../base/error.ts";
import type { Log } from "../base/log.ts";
import type { Metrics } from "../base/metrics.ts";
import { Endpoint } from "./endpoint.ts";
import { FailoverRpc } from "./failover-rpc.ts";
import { type JsonRpc, JsonRpcClient, readNumber } from "./json-rpc.ts";
import { endpointMetrics } from "./metrics.ts";
import { QuorumL1 } from "./quorum-l1.ts";
import { RpcL1 } from "./rpc-l1.ts";

export const connectError = defineErrors("ConnectL1", {
  L1_QUORUM_IMPOSSIBLE: {
    summary: "The quorum asks for more L1 endpoints than are configured.",
    action: "Give more endpoints, or lower SHEAF_L1_QUORUM; 0 takes the majority.",
    retryable: false,
  },
  L1_NO_ENDPOINTS: {
    summary: "No L1 endpoint is configured.",
    action: "Give at least one URL; several with commas between them, in order of preference.",
    retryable: false,
  },
});

export type ConnectOptions = {
  readonly chainId: number;
  /** Endpoints that must agree; 0: the majority. */
  readonly quorum: number;
  readonly checkHeaders: boolean;
  readonly timeoutMs: number;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly clock?: Clock;
};

export type L1Connection = {
  readonly rpc: FailoverRpc;
  readonly reader: QuorumL1;
  readonly endpoints: readonly Endpoint[];
};

/** Joins endpoints that are already connected to. @throws {ConnectL1Error} */
export function joinL1(
  named: readonly { readonly name: string; readonly rpc: JsonRpc }[],
  options: Omit<ConnectOptions, "timeoutMs">,
): L1Connection {
  if (named.length === 0) throw connectError("L1_NO_ENDPOINTS", "the list of L1 endpoints is empty");
  const quorum = options.quorum === 0 ? Math.floor(named.length / 2) + 1 : options.quorum;
  if (quorum > named.length)
    throw connectError("L1_QUORUM_IMPOSSIBLE", `a quorum of ${quorum} with ${named.length} endpoints`, {
      quorum,
      endpoints: named.length,
    });
  const { chainId, checkHeaders, log } = options;
  const clock = options.clock ?? systemClock;
  const metrics = endpointMetrics(options.metrics);
  const endpoints = named.map(({ name, rpc }) => new Endpoint({ name, rpc, chainId, metrics, log, clock }));
  const witnesses = endpoints.map((endpoint) => ({ endpoint, reader: new RpcL1(endpoint, { chainId, checkHeaders }) }));
  return {
    endpoints,
    rpc: new FailoverRpc({ endpoints, quorum, metrics, log }),
    reader: new QuorumL1({ witnesses, quorum, metrics, log, clock }),
  };
}

const split = (urls: string): string[] =>
  urls
    .split(",")
    .map((url) => url.trim())
    .filter((url) => url !== "");

/**
 * The chain id that the first endpoint to answer gives: for tools that are told addresses only. The others are then held
 * to it. @throws {L1Error} when none answers
 */
export async function chainIdOf(urls: string): Promise<number> {
  let fault: unknown = connectError("L1_NO_ENDPOINTS", "the list of L1 endpoints is empty");
  for (const url of split(urls)) {
    try {
      return readNumber(await new JsonRpcClient({ url }).call("eth_chainId", []), "chain id");
    } catch (error) {
      fault = error;
    }
  }
  throw fault;
}

/** Connects to one or more endpoints, given as URLs with commas between them, in order of preference. */
export function connectL1(urls: string, options: ConnectOptions): L1Connection {
  const list = split(urls);
  const hosts = list.map((url) => new URL(url).host);
  const named = list.map((url, i) => {
    // Paths of endpoints often hold keys: the host is what people may see.
    const host = hosts[i] as string;
    const same = hosts.slice(0, i).filter((other) => other === host).length;
    return {
      name: same === 0 ? host : `${host}#${same + 1}`,
      rpc: new JsonRpcClient({ url, timeoutMs: options.timeoutMs }),
    };
  });
  return joinL1(named, options);
}
