/**
 * Owns the JSON-RPC connection to one L1 endpoint: calls made in the same turn travel as one HTTP batch, with a
 * deadline, a bound on requests in flight and on the size of an answer. Invariant: a call settles exactly once, with the
 * endpoint's result or with a coded error; what is not a valid JSON-RPC answer is a fault of the endpoint.
 * Nothing is retried here: whoever repeats the question knows whether it still makes sense.
 * @see https://www.jsonrpc.org/specification
 */
import { assert } from "../base/assert.ts";
import { type CodedError, isRetryable } from "../base/error.ts";
import { l1Error } from "./l1.ts";

export type JsonRpcOptions = {
  readonly url: string;
  readonly timeoutMs?: number;
  /** Calls per HTTP request. */
  readonly batchMax?: number;
  /** HTTP requests at a time; more wait. */
  readonly inFlightMax?: number;
  /** Calls waiting or in flight; beyond it a call fails at once. */
  readonly queueMax?: number;
  readonly answerSizeMaxBytes?: number;
};

/** What a caller may do with an endpoint; the test seam for everything above. */
export interface JsonRpc {
  /** @throws {L1Error} */
  call(method: string, params: readonly unknown[]): Promise<unknown>;
}

type Pending = {
  readonly method: string;
  readonly params: readonly unknown[];
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
};

type ErrorObject = { readonly code: number; readonly message: string; readonly data?: unknown };

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function isErrorObject(value: unknown): value is ErrorObject {
  return isObject(value) && typeof value["code"] === "number" && typeof value["message"] === "string";
}

/** Revert data wherever servers put it: a string, or one level deeper. */
function revertDataOf(data: unknown): string | undefined {
  if (typeof data === "string" && /^0x[0-9a-fA-F]*$/.test(data)) return data;
  return isObject(data) ? revertDataOf(data["data"]) : undefined;
}

/** Sorts an endpoint's error by what the caller can do about it. */
export function errorOfAnswer(method: string, error: ErrorObject): CodedError {
  const message = `${method}: ${error.message} (code ${error.code})`;
  const fields = { method, rpcCode: error.code, rpcMessage: error.message };
  const revertData = revertDataOf(error.data);
  if (error.code === 3 || /execution reverted/i.test(error.message))
    return l1Error("L1_REFUSED", message, { ...fields, reverted: true, revertData });
  if (/unknown block|header not found|block not found|cannot query unfinalized/i.test(error.message))
    return l1Error("L1_BLOCK_UNKNOWN", message, fields);
  if (
    error.code === -32005 ||
    error.code === 429 ||
    /rate limit|too many|limit exceeded|block range|range is too|response size|query timeout/i.test(error.message)
  )
    return l1Error("L1_LIMIT", message, fields);
  return l1Error("L1_REFUSED", message, { ...fields, reverted: false, revertData });
}

async function readBounded(response: Response, sizeMaxBytes: number): Promise<string> {
  if (response.body === null) return "";
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    sizeBytes += chunk.length;
    if (sizeBytes > sizeMaxBytes)
      throw l1Error("L1_ENDPOINT_MALFORMED", `answer larger than ${sizeMaxBytes} bytes`, { sizeMaxBytes });
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

export class JsonRpcClient implements JsonRpc {
  readonly #url: string;
  readonly #timeoutMs: number;
  readonly #batchMax: number;
  readonly #inFlightMax: number;
  readonly #queueMax: number;
  readonly #answerSizeMaxBytes: number;
  #queue: Pending[] = [];
  #inFlight = 0;
  #scheduled = false;
  #nextId = 1;

  constructor(options: JsonRpcOptions) {
    this.#url = options.url;
    this.#timeoutMs = options.timeoutMs ?? 10_000;
    this.#batchMax = options.batchMax ?? 64;
    this.#inFlightMax = options.inFlightMax ?? 8;
    this.#queueMax = options.queueMax ?? 10_000;
    this.#answerSizeMaxBytes = options.answerSizeMaxBytes ?? 128 * 1024 * 1024;
  }

  call(method: string, params: readonly unknown[]): Promise<unknown> {
    if (this.#queue.length >= this.#queueMax)
      return Promise.reject(l1Error("L1_LIMIT", `${this.#queueMax} calls are already waiting`, { method }));
    return new Promise((resolve, reject) => {
      this.#queue.push({ method, params, resolve, reject });
      if (this.#scheduled) return;
      this.#scheduled = true;
      // One turn later, so that calls made together travel together.
      setImmediate(() => {
        this.#scheduled = false;
        this.#flush();
      });
    });
  }

  #flush(): void {
    while (this.#queue.length > 0 && this.#inFlight < this.#inFlightMax) {
      const batch = this.#queue.splice(0, this.#batchMax);
      this.#inFlight++;
      void this.#send(batch).finally(() => {
        this.#inFlight--;
        this.#flush();
      });
    }
  }

  async #send(batch: readonly Pending[]): Promise<void> {
    const firstId = this.#nextId;
    this.#nextId += batch.length;
    const requests = batch.map((p, i) => ({ jsonrpc: "2.0", id: firstId + i, method: p.method, params: p.params }));
    try {
      const answers = await this.#post(requests.length === 1 ? requests[0] : requests);
      this.#settle(batch, firstId, answers);
    } catch (error) {
      for (const p of batch) p.reject(error);
    }
  }

  async #post(body: unknown): Promise<readonly unknown[]> {
    const where = { endpoint: new URL(this.#url).host };
    let text: string;
    let status: number;
    try {
      const response = await fetch(this.#url, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
        signal: AbortSignal.timeout(this.#timeoutMs),
      });
      status = response.status;
      text = await readBounded(response, this.#answerSizeMaxBytes);
    } catch (cause) {
      if (isRetryable(cause)) throw cause;
      throw l1Error("L1_ENDPOINT_DOWN", `no answer from ${where.endpoint} in ${this.#timeoutMs} ms`, where, { cause });
    }
    if (status === 429) throw l1Error("L1_LIMIT", `${where.endpoint} answers too many requests`, where);
    let answer: unknown;
    try {
      answer = JSON.parse(text);
    } catch (cause) {
      const code = status >= 500 ? "L1_ENDPOINT_DOWN" : "L1_ENDPOINT_MALFORMED";
      throw l1Error(code, `${where.endpoint} answered ${status} with no JSON`, { ...where, status }, { cause });
    }
    return Array.isArray(answer) ? answer : [answer];
  }

  #settle(batch: readonly Pending[], firstId: number, answers: readonly unknown[]): void {
    const open = new Map(batch.map((p, i) => [firstId + i, p]));
    for (const answer of answers) {
      if (!isObject(answer)) continue;
      // An error for the batch as a whole carries no id: it answers everything in it.
      if (answer["id"] === null && isErrorObject(answer["error"])) {
        for (const p of open.values()) p.reject(errorOfAnswer(p.method, answer["error"]));
        return;
      }
      const id = Number(answer["id"]);
      const p = open.get(id);
      if (p === undefined) continue;
      open.delete(id);
      if (isErrorObject(answer["error"])) p.reject(errorOfAnswer(p.method, answer["error"]));
      else if ("result" in answer) p.resolve(answer["result"]);
      else p.reject(l1Error("L1_ENDPOINT_MALFORMED", `${p.method}: neither result nor error`, { method: p.method }));
    }
    for (const p of open.values())
      p.reject(l1Error("L1_ENDPOINT_MALFORMED", `${p.method}: no answer in the batch`, { method: p.method }));
  }
}

const malformed = (what: string, value: unknown): CodedError =>
  l1Error(
    "L1_ENDPOINT_MALFORMED",
    `${what} is malformed: ${value === undefined ? "absent" : JSON.stringify(value).slice(0, 80)}`,
    { what },
  );

/** Bytes of a `0x` string, of exact length when given. @throws {L1Error} L1_ENDPOINT_MALFORMED */
export function readBytes(value: unknown, what: string, length?: number): Uint8Array {
  if (typeof value !== "string" || !value.startsWith("0x") || value.length % 2 !== 0) throw malformed(what, value);
  const bytes = Buffer.from(value.slice(2), "hex");
  // Buffer stops at the first foreign character: the length tells.
  if (bytes.length !== value.length / 2 - 1) throw malformed(what, value);
  if (length !== undefined && bytes.length !== length) throw malformed(what, value);
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** A quantity as bigint. @throws {L1Error} L1_ENDPOINT_MALFORMED */
export function readQuantity(value: unknown, what: string): bigint {
  if (typeof value !== "string" || !/^0x[0-9a-fA-F]{1,64}$/.test(value)) throw malformed(what, value);
  return BigInt(value);
}

/** A quantity as safe integer. @throws {L1Error} L1_ENDPOINT_MALFORMED */
export function readNumber(value: unknown, what: string): number {
  const number = Number(readQuantity(value, what));
  if (!Number.isSafeInteger(number)) throw malformed(what, value);
  return number;
}

export function readList(value: unknown, what: string): readonly unknown[] {
  if (!Array.isArray(value)) throw malformed(what, value);
  return value;
}

export function readObject(value: unknown, what: string): Record<string, unknown> {
  if (!isObject(value)) throw malformed(what, value);
  return value;
}

/** The minimal `0x` form of a quantity. */
export function quantity(value: number | bigint): `0x${string}` {
  assert(value >= 0, "quantities are not negative");
  return `0x${value.toString(16)}`;
}
