/**
 * Owns the words in which a drill is written: what is done to a network, what is waited for, and within what bound. A
 * scenario is data; who carries it out is in drill.ts and steps.ts. Seconds are real ones of the machine that runs it.
 */
import type { Faults } from "../l1/fault-proxy.ts";
import type { TcpProxy } from "./tcp-proxy.ts";

/** The network a scenario needs. */
export type Shape = {
  /** Processes with all roles; more than one share replicated logs, one leads. */
  readonly nodes: number;
  /** nats-server processes, each behind a line of its own from each node; 0: logs are files of the one node. */
  readonly logServers: 0 | 3;
  /** Fault proxies before the one L1, given to every node as its endpoints. */
  readonly l1Endpoints: number;
  /** The data of each node is on a file system of its own, this large. */
  readonly diskMiB?: number;
  /** Every node takes a snapshot each five seconds. */
  readonly snapshots?: true;
  readonly sequencingWindow?: number;
  readonly maxDriftSeconds?: number;
  /** Default 1. */
  readonly l1BlockSeconds?: number;
  /** Default 1. What is two epochs old is final: no reorganisation goes deeper. */
  readonly l1EpochSlots?: number;
  /** Where data goes (default: blobs); calldata where L1 is not the matter: no proofs are made, which takes seconds at each start. */
  readonly da?: "blobs" | "calldata";
  /** Settings beside those of every drill. */
  readonly env?: Readonly<Record<string, string>>;
};

/** A node by its role at that moment, or by number. */
export type NodeRef = "leader" | "standby" | "first killed" | number;
export type LogServerRef = "order leader" | "majority" | "all" | number;

/** Something that can be seen from outside, looked at again and again until it holds. */
export type Condition =
  /** A new transaction of a client that tries every gateway has come this far. */
  | { readonly probe: "confirmed" | "sealed" | "safe" }
  /** No node seals blocks any more, for so long. */
  | { readonly stillForSeconds: number }
  /** A part of some node says that it is not ready, in words that match. */
  | { readonly says: string }
  /** Every running node with a gateway says that it is ready. */
  | { readonly ready: true }
  /** A metric of some node, summed over the label sets whose text matches `where`; `{endpoint 0}` there is its host. */
  | { readonly metric: string; readonly where?: string; readonly above?: number; readonly below?: number }
  /** Everything sealed until now is safe: what waited for L1 is there. */
  | { readonly posted: true }
  /** This L1 endpoint has answered `calls` questions since the step began. */
  | { readonly served: number; readonly calls: number }
  /** 99 of 100 confirmations of the last seconds took at most so long. */
  | { readonly p99AtMostMs: number; readonly overSeconds: number }
  /** The log of some node holds a message that matches. */
  | { readonly logs: string };

export type Step =
  /** Under load, nothing else. */
  | { readonly do: "wait"; readonly seconds: number }
  | { readonly do: "signal"; readonly node: NodeRef; readonly signal: "SIGKILL" | "SIGSTOP" | "SIGCONT" | "SIGTERM" }
  | { readonly do: "start"; readonly node: NodeRef }
  /** Its data goes, as with its disk. Only of a node that was killed. */
  | { readonly do: "lose disk"; readonly node: NodeRef }
  /** From the newest snapshot, with what L1 holds beyond it. */
  | { readonly do: "restore snapshot"; readonly node: NodeRef }
  | { readonly do: "l1"; readonly endpoint: number | "all"; readonly faults: Faults }
  | { readonly do: "reorg"; readonly depth: number }
  /** Of each account that posts segments. */
  | { readonly do: "poster balance"; readonly eth: number }
  | { readonly do: "log servers"; readonly which: LogServerRef; readonly signal: "SIGKILL" | "SIGSTOP" | "SIGCONT" }
  | { readonly do: "start log servers" }
  /** The lines between a node and the log servers. */
  | {
      readonly do: "line";
      readonly node: NodeRef;
      readonly server: LogServerRef;
      readonly fault: Parameters<TcpProxy["set"]>[0];
    }
  | { readonly do: "slow sync"; readonly node: NodeRef; readonly ms: number }
  | { readonly do: "clock"; readonly node: NodeRef; readonly shiftSeconds: number }
  | { readonly do: "fill disk" | "free disk"; readonly node: NodeRef }
  /** Signed beforehand, sent as fast as they are taken; refused ones are sent again. */
  | { readonly do: "burst"; readonly transactions: number; readonly accounts: number }
  /** Kill and start the node so many times at random moments of its first seconds. */
  | { readonly do: "kill while starting"; readonly node: NodeRef; readonly times: number; readonly withinMs: number }
  /** Deposits and withdrawals go on, transactions stop. */
  | { readonly do: "pause load" | "resume load" }
  | {
      readonly do: "until";
      readonly holds: Condition;
      readonly withinSeconds: number;
      /** The bound is on the time since that step began: a recovery, reported as such. */
      readonly recoveryFrom?: "fault" | "heal";
      /** It is the alarm (invariant I) of the fault. */
      readonly alarm?: true;
    }
  /** From here on recovery is counted: the fault begins, or is over. */
  | { readonly do: "mark"; readonly as: "fault" | "heal" };

export type Scenario = {
  readonly name: string;
  /** Of the catalogue, when it is one of its. */
  readonly id: string;
  /** Where it happened. */
  readonly from: string;
  readonly summary: string;
  /** What is injected otherwise than by a real process, line, disk or L1; empty: nothing. */
  readonly simulated?: string;
  readonly shape: Shape;
  readonly steps: readonly Step[];
  /** Shorter, for `--quick`; absent: the same. */
  readonly quickSteps?: readonly Step[];
  /** Invariants that the drill does not hold to, with the reason. */
  readonly exempt?: Readonly<Partial<Record<Invariant, string>>>;
};

/** The invariants of the catalogue, and K: memory is bounded and every refusal is a documented one. */
export const INVARIANTS = {
  A: "every accepted transaction is in the chain, once",
  B: "one signer per height: terms never fall, no height has two blocks",
  C: "a verifier with L1 and its blobs alone computes every posted root",
  D: "escrow on L1 = supply of L2 + what is on its way",
  E: "each message executes once",
  F: "latest >= safe >= finalized; back only with a recorded reorg",
  G: "segments on L1: no gap, no duplicate",
  H: "deposits enter within the sequencing window",
  I: "the stall is told within its bound, and resolves",
  J: "no client sees its height go back except by a reorg",
  K: "memory is bounded and every refusal is documented",
} as const;
export type Invariant = keyof typeof INVARIANTS;
