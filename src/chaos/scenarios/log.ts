/** Drills of the replicated log: its servers die, hang, are cut off, or answer late. */
import type { Scenario, Shape } from "../scenario.ts";

const REPLICATED: Shape = { nodes: 1, logServers: 3, l1Endpoints: 1, da: "calldata" };

export const LOG_SCENARIOS: readonly Scenario[] = [
  {
    name: "log-servers-stop",
    id: "C11",
    from: "zkSync Era 2023-04-01",
    summary:
      "All log servers are killed while JSON-RPC stays up: readiness tells, nothing is accepted that is not durable, and it goes on by itself when they are back.",
    shape: REPLICATED,
    steps: [
      { do: "mark", as: "fault" },
      { do: "log servers", which: "all", signal: "SIGKILL" },
      { do: "until", holds: { says: "takes no appends|log" }, withinSeconds: 30, alarm: true },
      { do: "until", holds: { stillForSeconds: 3 }, withinSeconds: 15 },
      { do: "wait", seconds: 10 },
      { do: "start log servers" },
      { do: "mark", as: "heal" },
      { do: "until", holds: { probe: "confirmed" }, withinSeconds: 30, recoveryFrom: "heal" },
    ],
  },
  {
    name: "log-leader-dies",
    id: "C33",
    from: "catalogue, log quorum",
    summary: "The server that leads the order log is killed and comes back.",
    shape: REPLICATED,
    steps: [
      { do: "mark", as: "fault" },
      { do: "log servers", which: "order leader", signal: "SIGKILL" },
      { do: "until", holds: { probe: "confirmed" }, withinSeconds: 10, recoveryFrom: "fault" },
      { do: "start log servers" },
      { do: "wait", seconds: 5 },
    ],
  },
  {
    name: "log-quorum-lost",
    id: "C33",
    from: "catalogue, log quorum",
    summary: "Two of three log servers hang. Nothing is confirmed meanwhile, and all goes on when they wake up.",
    shape: REPLICATED,
    steps: [
      { do: "mark", as: "fault" },
      { do: "log servers", which: "majority", signal: "SIGSTOP" },
      { do: "until", holds: { says: "takes no appends|log" }, withinSeconds: 30, alarm: true },
      { do: "wait", seconds: 10 },
      { do: "log servers", which: "majority", signal: "SIGCONT" },
      { do: "mark", as: "heal" },
      { do: "until", holds: { probe: "confirmed" }, withinSeconds: 30, recoveryFrom: "heal" },
    ],
  },
  {
    name: "log-jitter",
    id: "C24",
    from: "ev-node Raft load test",
    summary:
      "The line to the server that leads the order log is 200 to 500 ms late for 20 s: slower, no change of leaders.",
    shape: { ...REPLICATED, nodes: 2 },
    steps: [
      { do: "mark", as: "fault" },
      { do: "line", node: "leader", server: "order leader", fault: { delayMs: 200, jitterMs: 300 } },
      { do: "wait", seconds: 20 },
      { do: "until", holds: { probe: "confirmed" }, withinSeconds: 10 },
      { do: "line", node: "leader", server: "all", fault: {} },
      { do: "mark", as: "heal" },
      { do: "until", holds: { p99AtMostMs: 2_000, overSeconds: 5 }, withinSeconds: 20, recoveryFrom: "heal" },
    ],
  },
];
