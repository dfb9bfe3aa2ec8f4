/**
 * Owns executors on other machines. They call their sequencer, not the other way round: the sequencer's address is the
 * one that is known, executors come, go and multiply without anybody's configuration, and need no port of their own.
 * Executors are trusted to run the engine, so the role is in their certificate.
 * @see docs/decisions/0014-sharded-execution.md, 0015-network.md
 */
import type { Clock } from "../../base/clock.ts";
import type { Log } from "../../base/log.ts";
import type { Service } from "../../base/service.ts";
import type { LinkMetrics } from "../../link/metrics.ts";
import { type CallOptions, callingService } from "../../link/tls-link.ts";
import type { LinkService } from "../../link/tls-listener.ts";
import { WasmEngine } from "../wasm/wasm.ts";
import { BatchExecutor } from "./batch-executor.ts";
import type { ShardedEngine } from "./sharded-engine.ts";

const SERVICE = "executors";

/** The sequencer's side: whoever calls gets a seat. */
export function executorSeats(engine: ShardedEngine, linksMax: number): LinkService {
  return {
    name: SERVICE,
    admits: ["executor"],
    linksMax,
    accept: (opened) => engine.admit((events) => opened.attach(events)),
  };
}

/** The executor's side: an engine that serves whom it calls, until it is stopped. */
export async function executorService(p: {
  readonly name: string;
  readonly call: Omit<CallOptions, "service">;
  readonly log: Log;
  readonly metrics: LinkMetrics;
  readonly clock: Clock;
}): Promise<Service> {
  const engine = await WasmEngine.create();
  const { name, log, metrics, clock } = p;
  return callingService({
    name,
    calls: [{ ...p.call, service: SERVICE }],
    host: (send) => {
      const executor = new BatchExecutor(engine, send);
      return (message) => executor.receive(message);
    },
    log,
    metrics,
    clock,
  });
}
