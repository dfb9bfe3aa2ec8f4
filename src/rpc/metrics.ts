/** Metrics of the JSON-RPC server, per method. Unknown method names count under "unknown": labels stay bounded. */
import {
  type CounterHandle,
  type GaugeHandle,
  type HistogramHandle,
  LATENCY_BUCKETS_SECONDS,
  type Metrics,
} from "../base/metrics.ts";

export type RpcMetrics = {
  readonly requests: CounterHandle;
  readonly errors: CounterHandle;
  readonly durationSeconds: HistogramHandle;
  readonly requestsInFlight: GaugeHandle;
  readonly connections: GaugeHandle;
  readonly peers: GaugeHandle;
  readonly subscriptions: GaugeHandle;
  readonly refused: CounterHandle;
  readonly receivedBytes: CounterHandle;
  readonly sentBytes: CounterHandle;
};

export function rpcMetrics(metrics: Metrics): RpcMetrics {
  return {
    requests: metrics.counter("rpc_server_requests_total", "JSON-RPC requests answered, batch items counted singly.", [
      "method",
    ]),
    errors: metrics.counter("rpc_server_errors_total", "JSON-RPC requests answered with an error, by code.", [
      "method",
      "code",
    ]),
    durationSeconds: metrics.histogram(
      "rpc_server_request_duration_seconds",
      "Time from the parsed request to its answer.",
      LATENCY_BUCKETS_SECONDS,
      ["method"],
    ),
    requestsInFlight: metrics.gauge("rpc_server_requests_in_flight", "Bodies being answered."),
    connections: metrics.gauge("rpc_server_connections", "Open WebSocket connections."),
    peers: metrics.gauge(
      "p2p_peer_count",
      "Peers attached to this node's feed of blocks: WebSocket connections, there is no gossip.",
      ["node"],
    ),
    subscriptions: metrics.gauge("rpc_server_subscriptions", "Live subscriptions."),
    refused: metrics.counter("rpc_server_refused_total", "Bodies and connections refused by a limit.", ["reason"]),
    receivedBytes: metrics.counter("rpc_server_received_bytes_total", "Bytes of request bodies."),
    sentBytes: metrics.counter("rpc_server_sent_bytes_total", "Bytes of answers before compression."),
  };
}
