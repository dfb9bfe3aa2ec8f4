/** Owns the configuration object of debug_trace*: which tracer, what it prints, how long it may take. */
import type { TraceRequest } from "../execution/wasm/tracing/trace.ts";
import { type AccountOverride, type BlockOverrides, blockOverrides, stateOverrides } from "./call-args.ts";
import { invalidParams } from "./errors.ts";
import { bool, countParser, field, objectOf, type Parser, safeUint, text } from "./params.ts";

export type TraceConfig = {
  readonly request: TraceRequest;
  /** What the client wants at most; undefined: the node's limit. */
  readonly timeoutMs: number | undefined;
};

export type TraceCallConfig = TraceConfig & {
  readonly accounts: readonly AccountOverride[];
  readonly block: BlockOverrides | undefined;
  /** Run the call before this transaction of the block; undefined: after all. */
  readonly txIndex: number | undefined;
};

export const DEFAULT_TRACE: TraceConfig = { request: {}, timeoutMs: undefined };
export const DEFAULT_CALL_TRACE: TraceCallConfig = {
  ...DEFAULT_TRACE,
  accounts: [],
  block: undefined,
  txIndex: undefined,
};

const UNIT_MS: Readonly<Record<string, number>> = { ns: 1e-6, us: 1e-3, µs: 1e-3, ms: 1, s: 1e3, m: 6e4, h: 3.6e6 };

/** A duration as Go writes it ("1m30s", "300ms"), in ms. */
const duration: Parser<number> = {
  kind: "Duration",
  parse: (value, at) => {
    const spelled = text.parse(value, at);
    const parts = [...spelled.matchAll(/([0-9]+(?:\.[0-9]+)?)(ns|us|µs|ms|s|m|h)/g)];
    if (spelled.length > 64 || parts.length === 0 || parts.map(([part]) => part).join("") !== spelled)
      throw invalidParams(`invalid ${at}: want a duration such as "5s" or "300ms"`);
    return parts.reduce((sum, [, count, unit]) => sum + Number(count) * (UNIT_MS[unit ?? ""] ?? 0), 0);
  },
};

/** The settings among `names` that are given. */
function flags<N extends string>(
  object: Readonly<Record<string, unknown>>,
  names: readonly N[],
  at: string,
): { [K in N]?: boolean } {
  const out: { [K in N]?: boolean } = {};
  for (const name of names) {
    const value = field(object, name, bool, at);
    if (value !== undefined) out[name] = value;
  }
  return out;
}

function requestOf(object: Readonly<Record<string, unknown>>, at: string): TraceRequest {
  const tracer = field(object, "tracer", text, at) ?? "";
  const inner = objectOf(object["tracerConfig"] ?? {}, `${at}.tracerConfig`);
  const innerAt = `${at}.tracerConfig`;
  switch (tracer) {
    case "":
      return {
        ...flags(object, ["disableStack", "disableStorage", "enableMemory", "enableReturnData"], at),
        limit: field(object, "limit", countParser, at) ?? 0,
      };
    case "callTracer":
      return { tracer, tracerConfig: flags(inner, ["onlyTopCall", "withLog"], innerAt) };
    case "prestateTracer":
      return {
        tracer,
        tracerConfig: flags(inner, ["diffMode", "disableCode", "disableStorage", "includeEmpty"], innerAt),
      };
    default:
      throw invalidParams(
        `invalid ${at}.tracer: served are "callTracer", "prestateTracer" and, without a name, the opcode logger`,
      );
  }
}

function configOf(object: Readonly<Record<string, unknown>>, at: string): TraceConfig {
  if (object["overrides"] !== undefined && object["overrides"] !== null)
    throw invalidParams(`invalid ${at}.overrides: the chain's rules cannot be changed for a trace here`);
  return { request: requestOf(object, at), timeoutMs: field(object, "timeout", duration, at) };
}

export const traceConfig: Parser<TraceConfig> = {
  kind: "TraceConfig",
  parse: (value, at) => configOf(objectOf(value, at), at),
};

export const traceCallConfig: Parser<TraceCallConfig> = {
  kind: "TraceCallConfig",
  parse: (value, at) => {
    const object = objectOf(value, at);
    return {
      ...configOf(object, at),
      accounts: field(object, "stateOverrides", stateOverrides, at) ?? [],
      block: field(object, "blockOverrides", blockOverrides, at),
      txIndex: field(object, "txIndex", safeUint, at),
    };
  },
};
