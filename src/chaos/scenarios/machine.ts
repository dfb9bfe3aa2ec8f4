/** Drills of one machine: its process, disk, clock and memory, and more load than it can take. */
import type { Scenario, Shape, Step } from "../scenario.ts";

const ONE: Shape = { nodes: 1, logServers: 0, l1Endpoints: 1, da: "calldata" };
const WITH_BLOBS: Shape = { ...ONE, da: "blobs" };

const burst = (transactions: number, accounts: number): readonly Step[] => [
  { do: "mark", as: "fault" },
  { do: "burst", transactions, accounts },
  { do: "mark", as: "heal" },
  { do: "until", holds: { p99AtMostMs: 1_000, overSeconds: 5 }, withinSeconds: 30, recoveryFrom: "heal" },
  { do: "until", holds: { posted: true }, withinSeconds: 120 },
];

const killsWhileStarting = (times: number): readonly Step[] => [
  { do: "kill while starting", node: 0, times, withinMs: 6_000 },
  { do: "mark", as: "heal" },
  { do: "until", holds: { probe: "confirmed" }, withinSeconds: 30, recoveryFrom: "heal" },
  { do: "until", holds: { posted: true }, withinSeconds: 60 },
];

export const MACHINE_SCENARIOS: readonly Scenario[] = [
  {
    name: "kill-node",
    id: "C25",
    from: "catalogue",
    summary: "The one node is killed under load and started again at once.",
    shape: WITH_BLOBS,
    steps: [
      { do: "wait", seconds: 3 },
      { do: "mark", as: "fault" },
      { do: "signal", node: 0, signal: "SIGKILL" },
      { do: "start", node: 0 },
      { do: "until", holds: { probe: "confirmed" }, withinSeconds: 20, recoveryFrom: "fault" },
      { do: "until", holds: { posted: true }, withinSeconds: 60 },
    ],
  },
  {
    name: "kill-while-starting",
    id: "C25",
    from: "Scroll rollup-node #501",
    summary: "The node is killed at 50 random moments of its start. Every start goes on from where the chain was.",
    shape: ONE,
    steps: killsWhileStarting(50),
    quickSteps: killsWhileStarting(5),
  },
  {
    name: "burst",
    id: "C01",
    from: "Arbitrum One 2021-09-14",
    summary: "100,000 transactions from 5,000 accounts as fast as they are taken; the pool is bounded and says so.",
    shape: { ...WITH_BLOBS, env: { SHEAF_POOL_TXS_MAX: "8192" } },
    steps: burst(100_000, 5_000),
    quickSteps: burst(15_000, 1_000),
  },
  {
    name: "disk-full",
    id: "C33",
    from: "catalogue, disk full",
    summary:
      "The disk of the node is full under load: it says so and accepts nothing it could lose; with room again it goes on.",
    shape: { ...ONE, diskMiB: 600 },
    steps: [
      { do: "mark", as: "fault" },
      { do: "fill disk", node: 0 },
      { do: "until", holds: { logs: "LOG_DISK|ENOSPC|No space" }, withinSeconds: 30, alarm: true },
      { do: "wait", seconds: 8 },
      { do: "free disk", node: 0 },
      { do: "mark", as: "heal" },
      { do: "until", holds: { probe: "confirmed" }, withinSeconds: 30, recoveryFrom: "heal" },
      { do: "until", holds: { posted: true }, withinSeconds: 60 },
    ],
  },
  {
    name: "slow-sync",
    id: "C33",
    from: "catalogue, fsync stall",
    summary:
      "Every sync of the node's log files takes two seconds more, for 15 s: confirmations wait for it, nothing else happens.",
    simulated:
      "the delay is added in the node's process, before the real sync of its log files; the database's own syncs are as they are",
    // With an L1 block each second the chain would only run after its origins: a block takes several syncs.
    shape: { ...ONE, l1BlockSeconds: 6 },
    steps: [
      { do: "mark", as: "fault" },
      { do: "slow sync", node: 0, ms: 2_000 },
      { do: "wait", seconds: 15 },
      { do: "until", holds: { probe: "confirmed" }, withinSeconds: 15 },
      { do: "slow sync", node: 0, ms: 0 },
      { do: "mark", as: "heal" },
      { do: "until", holds: { p99AtMostMs: 1_000, overSeconds: 4 }, withinSeconds: 20, recoveryFrom: "heal" },
    ],
  },
  {
    name: "clock-jumps",
    id: "C33",
    from: "catalogue, clock skew",
    summary: "The node's clock jumps 5 s ahead, 5 s back, and an hour ahead and back.",
    simulated:
      "the clock object of the node's process is set wrong, not the machine's clock, which everything here shares",
    shape: ONE,
    steps: [
      ...[5, -5, 0, 3_600].flatMap((shiftSeconds): Step[] => [
        { do: "clock", node: 0, shiftSeconds },
        { do: "wait", seconds: 5 },
      ]),
      { do: "clock", node: 0, shiftSeconds: 0 },
      { do: "mark", as: "heal" },
      { do: "until", holds: { probe: "sealed" }, withinSeconds: 30, recoveryFrom: "heal" },
      { do: "until", holds: { posted: true }, withinSeconds: 60 },
    ],
  },
  {
    name: "restore",
    id: "C34",
    from: "catalogue, operators' wish",
    summary:
      "The node loses its disk twice: it comes back from a snapshot and L1, then from L1 alone, to the same blocks.",
    shape: { ...WITH_BLOBS, snapshots: true },
    steps: [
      { do: "wait", seconds: 10 },
      ...(["snapshot", "L1"] as const).flatMap((source): Step[] => [
        { do: "pause load" },
        { do: "wait", seconds: 3 },
        { do: "until", holds: { posted: true }, withinSeconds: 60 },
        { do: "mark", as: "fault" },
        { do: "signal", node: 0, signal: "SIGKILL" },
        { do: "lose disk", node: 0 },
        ...(source === "snapshot" ? [{ do: "restore snapshot", node: 0 } as const] : []),
        { do: "start", node: 0 },
        { do: "resume load" },
        { do: "until", holds: { probe: "confirmed" }, withinSeconds: 300, recoveryFrom: "fault" },
        { do: "wait", seconds: 5 },
      ]),
      { do: "until", holds: { posted: true }, withinSeconds: 60 },
    ],
  },
];
