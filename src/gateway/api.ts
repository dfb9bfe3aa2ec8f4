/**
 * What others may ask of a gateway: to take raw transactions as its clients' requests do, and where it listens. Same
 * object in one process, a JSON-RPC client of the same shape in another.
 */
import type { Ingest } from "../rpc/services.ts";

export interface GatewayApi extends Ingest {
  /** Where clients reach it. */
  readonly url: string;
  readonly wsUrl: string;
}
