/** Owns what each role of a process is opened with, and what it gives back: each role's file is loaded only where it runs. */
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { Metrics } from "../base/metrics.ts";
import type { CloseStack, Service } from "../base/service.ts";
import type { CallOptions } from "../link/tls-link.ts";
import type { LinkService } from "../link/tls-listener.ts";
import type { Network, ProcessSpec, RoleName } from "./network-file.ts";

export type RoleContext = {
  readonly network: Network;
  readonly process: ProcessSpec;
  readonly cluster: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly dataDir: string;
  readonly l1: { readonly rpcUrl: string; readonly beaconUrl: string; readonly chainId: number };
  readonly inbox: Uint8Array;
  /** Private keys of the L1 accounts that post segments; empty: posted elsewhere. */
  readonly posters: readonly Uint8Array[];
  readonly proposer: Uint8Array | undefined;
  /** How to reach `role` of a process, speaking as `self`. */
  readonly callTo: (target: ProcessSpec, role: RoleName, self: RoleName) => Omit<CallOptions, "service">;
  readonly log: Log;
  /** With the labels rollup and cluster bound. */
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly close: CloseStack;
};

export type RoleNode = {
  readonly services: readonly Service[];
  /** What others may call it for. */
  readonly offers?: readonly LinkService[];
  /** Gives the lead to another process. */
  readonly handOver?: () => Promise<void>;
};

/** Publishers that may call a process: one posts, others wait to take its place. */
export const PUBLISHERS_MAX = 4;
