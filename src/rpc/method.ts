/**
 * Owns how a method is declared: name, typed parameters, documentation and body in one place, so that dispatch and
 * docs/reference/rpc.md come from the same table. Bodies answer a value at once where they can: the dispatcher awaits
 * only what is a promise.
 */
import { type ArgsOf, type Param, readParams } from "./params.ts";
import type { Client, Services } from "./services.ts";

/**
 * What a method costs, for scheduling: `read` answers at once, `execute` runs the EVM and `scan` walks many blocks;
 * these two share the limit on work in flight. `trace` has one of its own: traces take seconds, calls do not wait for them.
 */
export type MethodCost = "read" | "execute" | "scan" | "trace";

export type Method = {
  readonly name: string;
  readonly summary: string;
  /** Type of the answer, for the reference. */
  readonly result: string;
  readonly params: readonly Param<unknown>[];
  readonly cost: MethodCost;
  /** Only over WebSocket. */
  readonly connectionOnly: boolean;
  /** @throws {RpcError} for everything a client should read; anything else is answered with -32603. */
  readonly call: (services: Services, values: readonly unknown[], client: Client) => unknown;
};

/** Declares a method; the body's arguments are typed by its parameters. */
export function method<const P extends readonly Param<unknown>[]>(declaration: {
  name: string;
  summary: string;
  result: string;
  params: P;
  cost?: MethodCost;
  connectionOnly?: boolean;
  run: (services: Services, args: ArgsOf<P>, client: Client) => unknown;
}): Method {
  const { name, summary, result, params, run } = declaration;
  return {
    name,
    summary,
    result,
    params,
    cost: declaration.cost ?? "read",
    connectionOnly: declaration.connectionOnly ?? false,
    call: (services, values, client) => run(services, readParams(params, values) as ArgsOf<P>, client),
  };
}
