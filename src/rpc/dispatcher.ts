/**
 * Owns JSON-RPC 2.0 itself: bytes in, answer text out, whatever the transport. Invariant: every input gets exactly the
 * answer the specification gives it, no input throws out of `handle`, and the memory that bodies can take is bounded, one
 * by one and in sum. Batches share the thread with the rest of the process slice by slice.
 * Runs of eth_sendRawTransaction in a batch are taken together: one decode-and-submit for all of them, no promise each.
 * @see https://www.jsonrpc.org/specification
 */
import { isAscii, isUtf8 } from "node:buffer";
import { toHex } from "../base/bytes.ts";
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { ByteBudget } from "./byte-budget.ts";
import { RPC_ERRORS, RpcError, type RpcErrorBody, type RpcErrorName, rejectionError, toWireError } from "./errors.ts";
import { Gate } from "./gate.ts";
import { JsonText } from "./json-text.ts";
import type { Method } from "./method.ts";
import type { RpcMetrics } from "./metrics.ts";
import { data as dataParser } from "./params.ts";
import type { Client, Services } from "./services.ts";
import { Slices } from "./slices.ts";

const SEND_RAW = "eth_sendRawTransaction";

/** JSON.parse of a body this large with more containers than this would cost far more memory than the body. */
const CONTAINERS_MAX = 200_000;

/** Parsing a body this large waits for its turn. */
const SLICED_BODY_BYTES = 65_536;

/** What an item of a batch takes in memory beside its text, roughly. */
const ITEM_BYTES = 512;

const HELD = "the server holds too many bytes for its clients";

type Request = {
  /** JSON text of the id; undefined for a notification. */
  readonly id: string | undefined;
  readonly method: string;
  readonly params: readonly unknown[] | RpcErrorBody;
};

/** A request, or the answer to something that is none. */
type Item = Request | { readonly id: string; readonly error: RpcErrorBody };

function errorBody(name: RpcErrorName, message: string): RpcErrorBody {
  return { code: RPC_ERRORS[name].rpcCode, message };
}

function errorText(id: string, error: RpcErrorBody): string {
  return `{"jsonrpc":"2.0","id":${id},"error":${JSON.stringify(error)}}`;
}

function resultText(id: string, json: string): string {
  return `{"jsonrpc":"2.0","id":${id},"result":${json}}`;
}

/** An answer for a body that never reaches the dispatcher (too large, too many). */
export function refusalText(name: RpcErrorName, message: string): string {
  return errorText("null", errorBody(name, message));
}

/** JSON text of a valid id, or undefined. Numbers that JSON.parse cannot hold exactly would come back changed. */
function idText(id: unknown): string | undefined {
  if (id === null) return "null";
  if (typeof id === "number") return Number.isInteger(id) && !Number.isSafeInteger(id) ? undefined : JSON.stringify(id);
  if (typeof id === "string") return id.length > 1_024 ? undefined : JSON.stringify(id);
  return undefined;
}

function readItem(value: unknown): Item {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    return { id: "null", error: errorBody("INVALID_REQUEST", "invalid request: want an object") };
  const object = value as Readonly<Record<string, unknown>>;
  const hasId = Object.hasOwn(object, "id");
  const id = hasId ? idText(object["id"]) : undefined;
  if (hasId && id === undefined)
    return {
      id: "null",
      error: errorBody("INVALID_REQUEST", "invalid request: id must be a string, an integer or null"),
    };
  if (object["jsonrpc"] !== "2.0")
    return { id: id ?? "null", error: errorBody("INVALID_REQUEST", 'invalid request: jsonrpc must be "2.0"') };
  const method = object["method"];
  if (typeof method !== "string")
    return { id: id ?? "null", error: errorBody("INVALID_REQUEST", "invalid request: method must be a string") };
  const params = object["params"];
  if (params === undefined || params === null) return { id, method, params: [] };
  if (!Array.isArray(params)) return { id, method, params: errorBody("INVALID_PARAMS", "non-array args") };
  return { id, method, params: params as readonly unknown[] };
}

/** Upper bound of the objects and arrays in the text, by counting what opens one. */
function countContainers(body: Uint8Array): number {
  let count = 0;
  for (let i = 0; i < body.length; i++) {
    const byte = body[i];
    if (byte === 0x5b || byte === 0x7b) count++;
  }
  return count;
}

export type DispatcherOptions = {
  readonly services: Services;
  /** Answers in the making count in it. */
  readonly budget: ByteBudget;
  readonly metrics: RpcMetrics;
  readonly clock: Clock;
  readonly log: Log;
};

/** Collects the answers to one body and stops at its byte limit, or at that of all bodies together. */
class Answers {
  readonly parts: string[] = [];
  readonly #limit: number;
  readonly #budget: ByteBudget;
  #size = 0;
  #refusal: RpcErrorBody | undefined;

  constructor(limit: number, budget: ByteBudget) {
    this.#limit = limit;
    this.#budget = budget;
  }

  /** Why no further results are taken. */
  get refusal(): RpcErrorBody | undefined {
    return this.#refusal;
  }

  /** The answers are with the transport now, or nobody wants them. */
  release(): void {
    this.#budget.give(this.#size);
    this.#size = 0;
  }

  /** Adds the answer to `id`; notifications (no id) get none. */
  addResult(id: string | undefined, json: string): void {
    if (id === undefined) return;
    const size = json.length + 40;
    if (this.#size + json.length > this.#limit) this.#refusal = errorBody("RESPONSE_TOO_LARGE", "response too large");
    else if (!this.#budget.take(size)) this.#refusal = errorBody("LIMIT_EXCEEDED", HELD);
    if (this.#refusal !== undefined) {
      this.addError(id, this.#refusal);
      return;
    }
    this.#size += size;
    this.parts.push(resultText(id, json));
  }

  addError(id: string | undefined, error: RpcErrorBody): void {
    if (id !== undefined) this.parts.push(errorText(id, error));
  }
}

export class Dispatcher {
  readonly #services: Services;
  readonly #methods: ReadonlyMap<string, Method>;
  readonly #metrics: RpcMetrics;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #executions: Gate;
  readonly #traces: Gate;
  readonly #budget: ByteBudget;
  readonly #slices: Slices;

  constructor(options: DispatcherOptions) {
    this.#services = options.services;
    this.#methods = options.services.methods;
    this.#metrics = options.metrics;
    this.#clock = options.clock;
    this.#log = options.log;
    const { executionsMax, executionsQueueMax, tracesMax, tracesQueueMax } = options.services.config;
    this.#executions = new Gate(executionsMax, executionsQueueMax);
    this.#traces = new Gate(tracesMax, tracesQueueMax);
    this.#budget = options.budget;
    this.#slices = new Slices(options.clock);
  }

  /** Answers one body. Undefined when nothing is to be answered (notifications only). Never rejects. */
  async handle(body: Uint8Array, client: Client): Promise<string | undefined> {
    try {
      return await this.#handle(body, client);
    } catch (error) {
      this.#log.error("rpc dispatch failed", { err: error });
      return refusalText("INTERNAL_ERROR", "internal error");
    }
  }

  async #handle(body: Uint8Array, client: Client): Promise<string | undefined> {
    const deadlineMs = this.#clock.nowMs() + this.#services.config.requestTimeoutMs;
    if (body.length > SLICED_BODY_BYTES) await this.#slices.next();
    if (client.gone()) return undefined;
    const parsed = this.#parse(body);
    if (typeof parsed === "string") return parsed;
    const answers = new Answers(this.#services.config.responseMaxBytes, this.#budget);
    if (!Array.isArray(parsed.value)) {
      try {
        await this.#answerAll([readItem(parsed.value)], client, answers, deadlineMs);
        return answers.parts[0];
      } finally {
        answers.release();
      }
    }
    const values = parsed.value as readonly unknown[];
    if (values.length === 0) return refusalText("INVALID_REQUEST", "empty batch");
    const itemsMax = this.#services.config.batchItemsMax;
    if (values.length > itemsMax)
      return refusalText("INVALID_REQUEST", `batch too large: at most ${itemsMax} requests, have ${values.length}`);
    const parsedBytes = body.length + values.length * ITEM_BYTES;
    if (!this.#budget.take(parsedBytes)) return refusalText("LIMIT_EXCEEDED", HELD);
    try {
      await this.#answerAll(values.map(readItem), client, answers, deadlineMs);
      return answers.parts.length === 0 ? undefined : `[${answers.parts.join(",")}]`;
    } finally {
      this.#budget.give(parsedBytes);
      answers.release();
    }
  }

  #parse(body: Uint8Array): { value: unknown } | string {
    const buffer = Buffer.from(body.buffer, body.byteOffset, body.length);
    const ascii = isAscii(buffer);
    if (!ascii && !isUtf8(buffer)) return refusalText("PARSE_ERROR", "parse error: not UTF-8");
    if (buffer.length > CONTAINERS_MAX && countContainers(buffer) > CONTAINERS_MAX)
      return refusalText("INVALID_REQUEST", `too many arrays and objects in one body (limit ${CONTAINERS_MAX})`);
    try {
      return { value: JSON.parse(buffer.toString(ascii ? "latin1" : "utf8")) as unknown };
    } catch {
      return refusalText("PARSE_ERROR", "parse error");
    }
  }

  async #answerAll(items: readonly Item[], client: Client, answers: Answers, deadlineMs: number): Promise<void> {
    let sliceEndMs = items.length === 1 ? Number.POSITIVE_INFINITY : await this.#slices.next();
    for (let i = 0; i < items.length; ) {
      if (client.gone()) return;
      const item = items[i] as Item;
      if (answers.refusal !== undefined || this.#clock.nowMs() > deadlineMs) {
        const late = answers.refusal ?? errorBody("TIMED_OUT", "request timed out");
        for (; i < items.length; i++) answers.addError((items[i] as Item).id, late);
        return;
      }
      if ("error" in item) {
        answers.addError(item.id, item.error);
        this.#metrics.errors.inc(1, { method: "invalid", code: String(item.error.code) });
        i++;
      } else if (item.method === SEND_RAW && this.#services.ingest !== undefined) {
        const run: Request[] = [];
        for (; i < items.length; i++) {
          const next = items[i] as Item;
          if ("error" in next || next.method !== SEND_RAW) break;
          run.push(next);
        }
        await this.#sendRun(run, answers, deadlineMs);
      } else {
        await this.#answerOne(item, client, answers, deadlineMs);
        i++;
      }
      if (i < items.length && this.#clock.nowMs() > sliceEndMs) sliceEndMs = await this.#slices.next();
    }
  }

  /** Decodes, submits and answers a run of eth_sendRawTransaction as one. */
  async #sendRun(run: readonly Request[], answers: Answers, deadlineMs: number): Promise<void> {
    const startMs = this.#clock.nowMs();
    const raws: Uint8Array[] = [];
    const refused: (RpcErrorBody | undefined)[] = [];
    for (let i = 0; i < run.length; i++) {
      const { params } = run[i] as Request;
      refused.push(undefined);
      try {
        if (!Array.isArray(params)) refused[i] = params as RpcErrorBody;
        else if (params.length !== 1)
          throw new RpcError(
            "INVALID_PARAMS",
            params.length === 0
              ? "missing value for required argument 0 (transaction)"
              : "too many arguments, want at most 1",
          );
        else raws.push(dataParser.parse(params[0], "argument 0 (transaction)"));
      } catch (error) {
        refused[i] = toWireError(error).body;
      }
    }
    const failures = new Map<number, number>();
    const fail = (id: string | undefined, error: RpcErrorBody): void => {
      failures.set(error.code, (failures.get(error.code) ?? 0) + 1);
      answers.addError(id, error);
    };
    try {
      const ingest = this.#services.ingest;
      const outcomes =
        raws.length === 0 || ingest === undefined ? [] : await this.#inTime(ingest.submit(raws), deadlineMs);
      for (let i = 0, at = 0; i < run.length; i++) {
        const { id } = run[i] as Request;
        const refusal = refused[i];
        if (refusal !== undefined) {
          fail(id, refusal);
          continue;
        }
        const outcome = outcomes[at++];
        if (outcome === undefined) fail(id, errorBody("INTERNAL_ERROR", "internal error"));
        else if (outcome.accepted) answers.addResult(id, `"${toHex(outcome.hash)}"`);
        else fail(id, rejectionError(outcome.reason, outcome.message));
      }
    } catch (error) {
      const { body, unexpected } = toWireError(error);
      if (unexpected) this.#log.error("rpc method failed", { method: SEND_RAW, err: error });
      for (let i = 0; i < run.length; i++) fail((run[i] as Request).id, refused[i] ?? body);
    }
    this.#metrics.requests.inc(run.length, { method: SEND_RAW });
    this.#metrics.durationSeconds.observe((this.#clock.nowMs() - startMs) / 1_000, { method: SEND_RAW });
    for (const [code, count] of failures) this.#metrics.errors.inc(count, { method: SEND_RAW, code: String(code) });
  }

  async #answerOne(request: Request, client: Client, answers: Answers, deadlineMs: number): Promise<void> {
    const startMs = this.#clock.nowMs();
    const method = this.#methods.get(request.method);
    const label = method === undefined ? "unknown" : method.name;
    let failure: RpcErrorBody | undefined;
    if (method === undefined || (method.connectionOnly && client.subscriptions === undefined)) {
      failure = errorBody(
        "METHOD_NOT_FOUND",
        method === undefined
          ? `the method ${request.method.slice(0, 64)} does not exist/is not available`
          : "notifications not supported",
      );
    } else if (!Array.isArray(request.params)) {
      failure = request.params as RpcErrorBody;
    } else {
      try {
        const value = await this.#run(method, request.params as readonly unknown[], client, deadlineMs);
        answers.addResult(request.id, value instanceof JsonText ? value.text : JSON.stringify(value ?? null));
      } catch (error) {
        const wire = toWireError(error);
        failure = wire.body;
        if (wire.unexpected) this.#log.error("rpc method failed", { method: label, err: error });
      }
    }
    if (failure !== undefined) {
      answers.addError(request.id, failure);
      this.#metrics.errors.inc(1, { method: label, code: String(failure.code) });
    }
    this.#metrics.requests.inc(1, { method: label });
    this.#metrics.durationSeconds.observe((this.#clock.nowMs() - startMs) / 1_000, { method: label });
  }

  /** Awaits only what must be awaited: cheap reads answer in the same turn. */
  async #run(method: Method, params: readonly unknown[], client: Client, deadlineMs: number): Promise<unknown> {
    if (method.cost === "read") {
      const value = method.call(this.#services, params, client);
      return value instanceof Promise ? this.#inTime(value, deadlineMs) : value;
    }
    if (method.cost === "trace" && this.#services.config.tracesMax === 0)
      throw new RpcError("METHOD_NOT_SUPPORTED", "tracing is turned off on this node");
    const gate = method.cost === "trace" ? this.#traces : this.#executions;
    const turn = gate.enter();
    try {
      await this.#inTime(turn, deadlineMs);
    } catch (error) {
      // Who gives up in line must still pass its place on when the line reaches it.
      turn.then(
        () => gate.leave(),
        () => undefined,
      );
      throw error;
    }
    // A call that outlives its deadline keeps its place until it really ends: the limit counts work, not answers.
    const work = (async () => method.call(this.#services, params, client))().finally(() => gate.leave());
    return this.#inTime(work, deadlineMs);
  }

  async #inTime<T>(promise: Promise<T>, deadlineMs: number): Promise<T> {
    const leftMs = Math.max(1, deadlineMs - this.#clock.nowMs());
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new RpcError("TIMED_OUT", "request timed out")), leftMs);
    });
    try {
      return await Promise.race([promise, late]);
    } finally {
      clearTimeout(timer);
    }
  }
}
