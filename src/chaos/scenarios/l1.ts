/** Drills of L1: it lags, lies, dies, reorganises, takes nothing, or loses blobs. */
import type { Faults } from "../../l1/fault-proxy.ts";
import type { Scenario, Shape, Step } from "../scenario.ts";

const ONE: Shape = { nodes: 1, logServers: 0, l1Endpoints: 1, da: "blobs" };
const THREE: Shape = { nodes: 1, logServers: 0, l1Endpoints: 3, da: "blobs" };

/** A fault of one endpoint of three: the others answer for it, it rests, and it comes back. */
function ejected(faults: Faults, alarm: "rests" | "is behind"): readonly Step[] {
  return [
    { do: "mark", as: "fault" },
    { do: "l1", endpoint: 0, faults },
    { do: "until", holds: { served: 1, calls: 5 }, withinSeconds: 5, recoveryFrom: "fault" },
    alarm === "rests"
      ? { do: "until", holds: { metric: "l1_endpoint_up", where: HOST_0, below: 1 }, withinSeconds: 15, alarm: true }
      : { do: "wait", seconds: 3 },
    { do: "until", holds: { probe: "safe" }, withinSeconds: 45 },
    { do: "l1", endpoint: 0, faults: {} },
    { do: "until", holds: { served: 0, calls: 3 }, withinSeconds: 30 },
  ];
}
/** The first endpoint as metrics name it; see Condition. */
const HOST_0 = "{endpoint 0}";

/** What a fault of data on L1 must not do: stop the chain for its users. */
const STILL_CONFIRMS: Step = { do: "until", holds: { probe: "confirmed" }, withinSeconds: 10 };

export const L1_SCENARIOS: readonly Scenario[] = [
  {
    name: "stale-nonce",
    id: "C03",
    from: "Arbitrum One 2023-06-07",
    summary:
      "L1 tells account nonces of five blocks ago for 20 s. Nothing is posted twice, no gas burnt in a row, and posting goes on by itself.",
    shape: ONE,
    steps: [
      { do: "mark", as: "fault" },
      { do: "l1", endpoint: 0, faults: { nonceLagBlocks: 5 } },
      { do: "wait", seconds: 20 },
      STILL_CONFIRMS,
      { do: "l1", endpoint: 0, faults: {} },
      { do: "mark", as: "heal" },
      { do: "until", holds: { posted: true }, withinSeconds: 120, recoveryFrom: "heal" },
    ],
  },
  {
    name: "stalled-inclusion",
    id: "C04",
    from: "Arbitrum One 2023-12-15",
    summary:
      "L1 takes transactions and includes none for a minute under load: admission slows down, nothing is lost, the backlog drains in twice the outage.",
    shape: { ...ONE, env: { SHEAF_PUBLISHER_BACKLOG_MAX_BYTES: "1000000", SHEAF_L1_REPLACE_AFTER_MS: "20000" } },
    steps: [
      { do: "mark", as: "fault" },
      { do: "l1", endpoint: 0, faults: { holdTransactions: true } },
      { do: "burst", transactions: 6_000, accounts: 300 },
      { do: "until", holds: { metric: "batch_admission_share_ratio", below: 1 }, withinSeconds: 60, alarm: true },
      { do: "wait", seconds: 45 },
      STILL_CONFIRMS,
      { do: "l1", endpoint: 0, faults: {} },
      { do: "mark", as: "heal" },
      { do: "until", holds: { posted: true }, withinSeconds: 120, recoveryFrom: "heal" },
    ],
  },
  {
    name: "l1-dead",
    id: "C05",
    from: "Base 2023-09-05",
    summary:
      "Every L1 endpoint is dead. Building stops at the drift limit and says why; blocks come back with the first endpoint.",
    shape: { ...THREE, maxDriftSeconds: 20, l1BlockSeconds: 2 },
    steps: [
      { do: "mark", as: "fault" },
      { do: "l1", endpoint: "all", faults: { cut: true } },
      { do: "until", holds: { says: "L1 origin is too old" }, withinSeconds: 40, alarm: true },
      { do: "until", holds: { stillForSeconds: 4 }, withinSeconds: 15 },
      { do: "l1", endpoint: 0, faults: {} },
      { do: "l1", endpoint: 1, faults: {} },
      { do: "mark", as: "heal" },
      { do: "until", holds: { probe: "sealed" }, withinSeconds: 15, recoveryFrom: "heal" },
      { do: "l1", endpoint: "all", faults: {} },
      { do: "until", holds: { posted: true }, withinSeconds: 60 },
    ],
  },
  {
    name: "l1-garbage",
    id: "C09",
    from: "an OP Stack operator 2024-10",
    summary:
      "One L1 endpoint of three answers cut-off JSON, then HTML, then for another chain, then with a stopped head. It rests, the others serve.",
    shape: THREE,
    steps: [
      ...ejected({ garbage: "truncated" }, "rests"),
      ...ejected({ garbage: "html" }, "rests"),
      ...ejected({ chainId: 5 }, "is behind"),
      ...ejected({ lagBlocks: 20 }, "is behind"),
    ],
    quickSteps: ejected({ garbage: "truncated" }, "rests"),
  },
  {
    name: "l1-endpoint-dies",
    id: "C21",
    from: "Starknet sequencer 2026-06",
    summary: "The L1 endpoint in use dies; by what the endpoints themselves counted the next one serves.",
    shape: THREE,
    steps: ejected({ cut: true }, "rests"),
  },
  {
    name: "l1-reorg",
    id: "C13",
    from: "Polygon zkEVM 2024-03-22",
    summary: "L1 reorganises 1, 3 and 12 blocks deep and takes deposits and segments with it.",
    shape: { ...ONE, l1EpochSlots: 8 },
    steps: [1, 3, 12].flatMap((depth): Step[] => [
      { do: "wait", seconds: depth === 12 ? 15 : 5 },
      { do: "mark", as: "fault" },
      { do: "reorg", depth },
      { do: "until", holds: { probe: "sealed" }, withinSeconds: 20 },
      { do: "until", holds: { posted: true }, withinSeconds: 30, recoveryFrom: "fault" },
    ]),
    quickSteps: [
      { do: "mark", as: "fault" },
      { do: "reorg", depth: 3 },
      { do: "until", holds: { probe: "sealed" }, withinSeconds: 20 },
      { do: "until", holds: { posted: true }, withinSeconds: 30, recoveryFrom: "fault" },
    ],
  },
  {
    name: "blobs-lost",
    id: "C20",
    from: "EigenDA and Celestia, near misses",
    summary:
      "The source of blobs answers 503, then knows none, then serves wrong bytes; L1 swallows transactions; the poster accounts are empty. Nothing is lost, and posting goes on after each.",
    shape: { ...ONE, env: { SHEAF_L1_REPLACE_AFTER_MS: "5000" } },
    steps: [
      ...(["unavailable", "missing", "corrupt"] as const).flatMap((blobs): Step[] => [
        { do: "l1", endpoint: 0, faults: { blobs } },
        { do: "wait", seconds: 8 },
        { do: "until", holds: { metric: "batch_read_back_failures_total", above: 0 }, withinSeconds: 30, alarm: true },
        STILL_CONFIRMS,
      ]),
      { do: "l1", endpoint: 0, faults: { swallowTransactions: true } },
      { do: "wait", seconds: 12 },
      STILL_CONFIRMS,
      { do: "l1", endpoint: 0, faults: {} },
      { do: "until", holds: { posted: true }, withinSeconds: 60 },
      { do: "poster balance", eth: 0 },
      { do: "wait", seconds: 10 },
      STILL_CONFIRMS,
      { do: "poster balance", eth: 100 },
      { do: "mark", as: "heal" },
      { do: "until", holds: { posted: true }, withinSeconds: 90, recoveryFrom: "heal" },
    ],
  },
];
