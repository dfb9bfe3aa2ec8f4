/** Limits of the public JSON-RPC endpoint. Every one of them is answered with a documented error, none with silence. */
import { bool, type ConfigOf, defineConfig, int, text } from "../base/config.ts";

export const rpcConfig = defineConfig("rpc", {
  host: text("SHEAF_RPC_HOST", { default: "127.0.0.1", help: "Address the JSON-RPC server listens on." }),
  bodyMaxBytes: int("SHEAF_RPC_BODY_MAX_BYTES", {
    default: 10_485_760,
    min: 1_024,
    max: 268_435_456,
    help: "Largest request body or WebSocket message.",
  }),
  buffersMaxBytes: int("SHEAF_RPC_BUFFERS_MAX_BYTES", {
    default: 134_217_728,
    min: 1_048_576,
    max: 17_179_869_184,
    help: "Request and response bytes held for all clients together; beyond it requests are refused.",
  }),
  batchItemsMax: int("SHEAF_RPC_BATCH_ITEMS_MAX", {
    default: 2_000,
    min: 1,
    max: 1_000_000,
    help: "Requests in one batch.",
  }),
  responseMaxBytes: int("SHEAF_RPC_RESPONSE_MAX_BYTES", {
    default: 26_214_400,
    min: 1_024,
    max: 1_073_741_824,
    help: "Bytes of one answer, or of all answers of a batch.",
  }),
  requestTimeoutMs: int("SHEAF_RPC_REQUEST_TIMEOUT_MS", {
    default: 30_000,
    min: 100,
    max: 600_000,
    help: "Time a request or batch may take; also the time a client has to send or read one.",
  }),
  requestsInFlightMax: int("SHEAF_RPC_REQUESTS_IN_FLIGHT_MAX", {
    default: 2_048,
    min: 1,
    max: 1_000_000,
    help: "Bodies being answered at once, all clients together.",
  }),
  connectionsMax: int("SHEAF_RPC_CONNECTIONS_MAX", {
    default: 4_096,
    min: 1,
    max: 1_000_000,
    help: "Open connections, HTTP and WebSocket together.",
  }),
  executionsMax: int("SHEAF_RPC_EXECUTIONS_MAX", {
    default: 4,
    min: 1,
    max: 1_024,
    help: "Calls, estimates and log scans running at once.",
  }),
  executionsQueueMax: int("SHEAF_RPC_EXECUTIONS_QUEUE_MAX", {
    default: 512,
    min: 0,
    max: 1_000_000,
    help: "Calls, estimates and log scans waiting for their turn.",
  }),
  callGasMax: int("SHEAF_RPC_CALL_GAS_MAX", {
    default: 50_000_000,
    min: 21_000,
    max: 10_000_000_000,
    help: "Gas of one eth_call, eth_estimateGas or eth_createAccessList.",
  }),
  callTimeoutMs: int("SHEAF_RPC_CALL_TIMEOUT_MS", {
    default: 5_000,
    min: 10,
    max: 600_000,
    help: "Time the steps of one call, estimate or simulation may take together.",
  }),
  tracesMax: int("SHEAF_RPC_TRACES_MAX", {
    default: 2,
    min: 0,
    max: 64,
    help: "debug_trace* requests at work at once; 0 turns tracing off. One thread of its own prints them.",
  }),
  tracesQueueMax: int("SHEAF_RPC_TRACES_QUEUE_MAX", {
    default: 64,
    min: 0,
    max: 1_000_000,
    help: "debug_trace* requests waiting for their turn.",
  }),
  traceTimeoutMs: int("SHEAF_RPC_TRACE_TIMEOUT_MS", {
    default: 15_000,
    min: 10,
    max: 600_000,
    help: "Time one trace may take; a client may ask for less with `timeout`.",
  }),
  logBlocksMax: int("SHEAF_RPC_LOG_BLOCKS_MAX", {
    default: 10_000,
    min: 1,
    max: 1_000_000_000,
    help: "Blocks one eth_getLogs may span.",
  }),
  logResultsMax: int("SHEAF_RPC_LOG_RESULTS_MAX", {
    default: 20_000,
    min: 1,
    max: 10_000_000,
    help: "Logs one eth_getLogs may return.",
  }),
  filtersMax: int("SHEAF_RPC_FILTERS_MAX", {
    default: 10_000,
    min: 1,
    max: 1_000_000,
    help: "Filters of all clients together.",
  }),
  filtersPerClientMax: int("SHEAF_RPC_FILTERS_PER_CLIENT_MAX", {
    default: 1_000,
    min: 1,
    max: 1_000_000,
    help: "Filters of one client address.",
  }),
  filterLifetimeSeconds: int("SHEAF_RPC_FILTER_LIFETIME_SECONDS", {
    default: 300,
    min: 1,
    max: 86_400,
    help: "How long a filter lives without being asked.",
  }),
  subscriptionsPerConnectionMax: int("SHEAF_RPC_SUBSCRIPTIONS_PER_CONNECTION_MAX", {
    default: 128,
    min: 1,
    max: 100_000,
    help: "Subscriptions of one WebSocket connection.",
  }),
  socketInFlightMax: int("SHEAF_RPC_SOCKET_IN_FLIGHT_MAX", {
    default: 64,
    min: 1,
    max: 100_000,
    help: "Messages of one WebSocket connection being answered at once; reading pauses beyond it.",
  }),
  socketBufferMaxBytes: int("SHEAF_RPC_SOCKET_BUFFER_MAX_BYTES", {
    default: 33_554_432,
    min: 65_536,
    max: 4_294_967_296,
    help: "Unread bytes after which a slow WebSocket client is dropped.",
  }),
  simulateBlocksMax: int("SHEAF_RPC_SIMULATE_BLOCKS_MAX", {
    default: 256,
    min: 1,
    max: 10_000,
    help: "Blocks of one eth_simulateV1, gaps included.",
  }),
  gzip: bool("SHEAF_RPC_GZIP", { default: false, help: "Compress large HTTP answers for clients that accept it." }),
  corsOrigin: text("SHEAF_RPC_CORS_ORIGIN", {
    default: "*",
    help: "Origins that browsers may call from: * or a comma-separated list; empty refuses all.",
  }),
  allowUnprotected: bool("SHEAF_RPC_ALLOW_UNPROTECTED", {
    default: true,
    help: "Accept transactions without a chain id; the deterministic deployment proxy needs it.",
  }),
  priorityFeeMinWei: int("SHEAF_RPC_PRIORITY_FEE_MIN_WEI", {
    default: 1_000_000,
    min: 0,
    max: 1_000_000_000_000,
    help: "Least priority fee eth_maxPriorityFeePerGas and eth_gasPrice suggest.",
  }),
});

export type RpcConfig = ConfigOf<typeof rpcConfig>;
