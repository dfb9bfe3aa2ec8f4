/** Owns the table of all built-in methods: what is served and what docs/reference/rpc.md is made from. */
import { ACCESS_LIST_METHODS } from "./access-list-methods.ts";
import { BLOCK_METHODS } from "./block-methods.ts";
import { CALL_METHODS } from "./call-methods.ts";
import { FEE_METHODS } from "./fee-methods.ts";
import { LEADER_METHODS } from "./leader-methods.ts";
import { LOG_METHODS } from "./log-methods.ts";
import type { Method } from "./method.ts";
import { NODE_METHODS } from "./node-methods.ts";
import { ORDER_METHODS } from "./order-methods.ts";
import { POOL_METHODS } from "./pool-methods.ts";
import { RAW_METHODS } from "./raw-methods.ts";
import { ROLLUP_METHODS } from "./rollup-methods.ts";
import { STATE_METHODS } from "./state-methods.ts";
import { TRACE_METHODS } from "./trace-methods.ts";

export const METHODS: readonly Method[] = [
  ...NODE_METHODS,
  ...BLOCK_METHODS,
  ...STATE_METHODS,
  ...CALL_METHODS,
  ...FEE_METHODS,
  ...LOG_METHODS,
  ...POOL_METHODS,
  ...ORDER_METHODS,
  ...ROLLUP_METHODS,
  ...RAW_METHODS,
  ...ACCESS_LIST_METHODS,
  ...TRACE_METHODS,
  ...LEADER_METHODS,
];
