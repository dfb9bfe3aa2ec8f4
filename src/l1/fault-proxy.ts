/**
 * Owns faults of an L1 endpoint as a tool: an HTTP proxy in front of a real L1 that lies, lags and breaks on command,
 * for tests and drills of everything that talks to L1. Without faults it passes requests on unchanged. Several proxies before one
 * L1 make several endpoints. It counts what it answered, by method: who served is then a fact and not a guess.
 *
 * A fork (`forkAbove`) is consistent: every header above the given number is changed and hashed anew, parents included,
 * so that only another endpoint can tell. With a spike of the blob fee headers are changed the same way.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { bigIntToMinimalBytes, concatBytes, fromHex, toHex } from "../base/bytes.ts";
import { keccak256 } from "../protocol/keccak.ts";
import { encodeRlp } from "../protocol/rlp.ts";

export type Faults = {
  /** Every answer comes this much later. */
  readonly latencyMs?: number;
  /** Connections are accepted and nothing is ever answered. */
  readonly silent?: boolean;
  /** Connections are cut. */
  readonly cut?: boolean;
  /** What comes instead of an answer: HTML with status 200, JSON that ends in the middle, an endless body, status 503. */
  readonly garbage?: "html" | "truncated" | "oversized" | "unavailable" | "rate limit";
  /** The chain id it claims. */
  readonly chainId?: number;
  /** It knows no block of the newest so many. */
  readonly lagBlocks?: number;
  /** It knows no block above this number. */
  readonly headMax?: number;
  /** Transactions are taken and never passed on. */
  readonly swallowTransactions?: boolean;
  /** Transactions are taken and passed on when this fault ends. */
  readonly holdTransactions?: boolean;
  /** Nonces of accounts are those of so many blocks ago. */
  readonly nonceLagBlocks?: number;
  /** Blobs: the beacon API answers 503, knows none (404), or serves bytes that are not theirs. */
  readonly blobs?: "unavailable" | "missing" | "corrupt";
  /** Blocks above this number are of a fork of its own. */
  readonly forkAbove?: number;
  /** Excess blob gas that its headers show; raises the blob fee. */
  readonly excessBlobGas?: bigint;
  /** Changes single results; runs last. */
  readonly tamper?: (method: string, params: readonly unknown[], result: unknown) => unknown;
};

type Json = Record<string, unknown>;
type Call = { readonly id: unknown; readonly method: string; readonly params: readonly unknown[] };

const HEADER_FIELDS =
  "parentHash sha3Uncles miner stateRoot transactionsRoot receiptsRoot logsBloom difficulty number gasLimit gasUsed timestamp extraData mixHash nonce baseFeePerGas withdrawalsRoot blobGasUsed excessBlobGas parentBeaconBlockRoot requestsHash".split(
    " ",
  );
const QUANTITIES = new Set(
  "difficulty number gasLimit gasUsed timestamp baseFeePerGas blobGasUsed excessBlobGas".split(" "),
);

/** The hash of a header in JSON. */
export function hashOfHeader(header: Json): string {
  const fields = HEADER_FIELDS.flatMap((name) => {
    const value = header[name];
    if (typeof value !== "string") return [];
    return [QUANTITIES.has(name) ? bigIntToMinimalBytes(BigInt(value)) : fromHex(value)];
  });
  return toHex(keccak256(encodeRlp(fields)));
}

export class FaultProxy {
  readonly url: string;
  /** Calls answered with a result or a JSON-RPC error of the L1 behind it, by method. */
  readonly answered = new Map<string, number>();
  readonly #target: string;
  readonly #server: Server;
  #faults: Faults = {};
  /** Held transactions by hash, in the order they came. */
  readonly #held = new Map<string, Call>();
  /** Real hash to the hash that this endpoint gives the block, and back. */
  readonly #forged = new Map<string, string>();
  readonly #real = new Map<string, string>();

  private constructor(target: string, server: Server, port: number) {
    this.#target = target;
    this.#server = server;
    this.url = `http://127.0.0.1:${port}`;
  }

  static async start(target: string): Promise<FaultProxy> {
    const handlers: { proxy: FaultProxy | undefined } = { proxy: undefined };
    const server = createServer((request, response) => {
      handlers.proxy?.serve(request, response).catch(() => request.socket.destroy());
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("the proxy listens on a port");
    handlers.proxy = new FaultProxy(target, server, address.port);
    return handlers.proxy;
  }

  /** Replaces all faults; none heals it. */
  set(faults: Faults = {}): void {
    this.#faults = faults;
    this.#forged.clear();
    this.#real.clear();
    if (faults.holdTransactions !== true) void this.#release();
  }

  /** What L1 says to a transaction that comes late is its sender's affair. */
  async #release(): Promise<void> {
    const held = [...this.#held.values()];
    this.#held.clear();
    for (const { id, method, params } of held) await this.#forward(id, method, params).catch(() => undefined);
  }

  /** Calls answered in all. */
  get answeredTotal(): number {
    return [...this.answered.values()].reduce((sum, n) => sum + n, 0);
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { latencyMs = 0, silent, cut, garbage } = this.#faults;
    if (latencyMs > 0) await new Promise((resolve) => setTimeout(resolve, latencyMs));
    if (silent === true) return;
    if (cut === true) {
      request.socket.destroy();
      return;
    }
    if (garbage !== undefined) {
      serveGarbage(response, garbage);
      return;
    }
    if (request.method !== "POST") {
      await this.#serveBeacon(request.url ?? "/", response);
      return;
    }
    const body = JSON.parse(Buffer.concat(chunks).toString("utf8")) as Call | Call[];
    const calls = Array.isArray(body) ? body : [body];
    const answers = await Promise.all(calls.map((call) => this.#answer(call)));
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify(Array.isArray(body) ? answers : answers[0]));
  }

  /** The beacon API, on the same address as anvil has it. */
  async #serveBeacon(path: string, response: ServerResponse): Promise<void> {
    const { blobs } = this.#faults;
    const asksBlobs = path.startsWith("/eth/v1/beacon/blobs");
    if (asksBlobs && (blobs === "unavailable" || blobs === "missing")) {
      response.writeHead(blobs === "missing" ? 404 : 503, { "content-type": "application/json" });
      response.end(JSON.stringify({ code: blobs === "missing" ? 404 : 503, message: "no blobs" }));
      return;
    }
    const answer = await fetch(this.#target + path);
    let body = Buffer.from(await answer.arrayBuffer());
    if (asksBlobs && blobs === "corrupt" && answer.ok) body = corruptBlobs(body);
    response.writeHead(answer.status, { "content-type": answer.headers.get("content-type") ?? "application/json" });
    response.end(body);
  }

  async #answer(call: Call): Promise<Json> {
    const { method } = call;
    const answer = await this.#altered(call);
    this.answered.set(method, (this.answered.get(method) ?? 0) + 1);
    const { tamper } = this.#faults;
    if (tamper === undefined || !("result" in answer)) return answer;
    return { ...answer, result: tamper(method, call.params, answer["result"]) };
  }

  async #altered({ id, method, params }: Call): Promise<Json> {
    const { chainId, swallowTransactions } = this.#faults;
    const result = (value: unknown): Json => ({ jsonrpc: "2.0", id, result: value });
    if (method === "eth_chainId" && chainId !== undefined) return result(`0x${chainId.toString(16)}`);
    if (method === "eth_sendRawTransaction" && swallowTransactions === true) return result(transactionHash(params[0]));
    if (method === "eth_sendRawTransaction" && this.#faults.holdTransactions === true) {
      const hash = transactionHash(params[0]);
      this.#held.set(hash, { id, method, params });
      return result(hash);
    }
    if (method === "eth_getTransactionCount" && this.#faults.nonceLagBlocks !== undefined) {
      const head = Number((await this.#forward(0, "eth_blockNumber", []))["result"]);
      const at = `0x${Math.max(0, head - this.#faults.nonceLagBlocks).toString(16)}`;
      return this.#forward(id, method, [params[0], at]);
    }
    const limit = await this.#headLimit();
    const asked = params.map((p) => this.#toReal(p));
    if (limit !== undefined) {
      const top = `0x${limit.toString(16)}`;
      if (method === "eth_blockNumber") return result(top);
      for (const [i, p] of asked.entries()) if (p === "latest" || p === "pending") asked[i] = top;
      if (method === "eth_getBlockByNumber" && isAbove(asked[0], limit)) return result(null);
      if (method === "eth_getLogs") {
        const filter = asked[0] as Json;
        if (isAbove(filter["toBlock"], limit)) asked[0] = { ...filter, toBlock: top };
      }
    }
    let answer = await this.#forward(id, method, asked);
    // One that lags has older safe and finalized blocks, and not none.
    const isTag = method === "eth_getBlockByNumber" && (asked[0] === "safe" || asked[0] === "finalized");
    if (isTag && limit !== undefined && isAbove((answer["result"] as Json | null)?.["number"], limit))
      answer = await this.#forward(id, method, [`0x${limit.toString(16)}`, asked[1]]);
    if (limit !== undefined && "result" in answer) {
      const value = answer["result"];
      const first = Array.isArray(value) ? (value as unknown[])[0] : value;
      const number =
        first !== null && typeof first === "object"
          ? ((first as Json)["blockNumber"] ?? (first as Json)["number"])
          : undefined;
      if (number !== undefined && isAbove(number, limit) && method !== "eth_getTransactionByHash") return result(null);
    }
    if (!this.#forks || !("result" in answer)) return answer;
    return result(await this.#forge(method, answer["result"]));
  }

  get #forks(): boolean {
    return this.#faults.forkAbove !== undefined || this.#faults.excessBlobGas !== undefined;
  }

  async #headLimit(): Promise<number | undefined> {
    const { lagBlocks, headMax } = this.#faults;
    if (headMax !== undefined) return headMax;
    if (lagBlocks === undefined) return undefined;
    const head = await this.#forward(0, "eth_blockNumber", []);
    return Math.max(0, Number(head["result"]) - lagBlocks);
  }

  /** Hashes of this endpoint's fork in a question become the real ones. */
  #toReal(value: unknown): unknown {
    if (typeof value === "string") return this.#real.get(value) ?? value;
    if (Array.isArray(value)) return value.map((v) => this.#toReal(v));
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, this.#toReal(v)]));
  }

  async #forge(method: string, result: unknown): Promise<unknown> {
    if (result === null || typeof result !== "object") return result;
    if (method === "eth_getBlockByNumber" || method === "eth_getBlockByHash") return this.#forgedHeader(result as Json);
    return this.#forgedHashes(result);
  }

  async #forgedHashes(value: unknown): Promise<unknown> {
    if (Array.isArray(value)) return Promise.all(value.map((v) => this.#forgedHashes(v)));
    if (value === null || typeof value !== "object") return value;
    const raw = value as Json;
    const out: Json = { ...raw };
    if (Array.isArray(raw["logs"])) out["logs"] = await this.#forgedHashes(raw["logs"]);
    if (typeof raw["blockHash"] === "string" && typeof raw["blockNumber"] === "string")
      out["blockHash"] = await this.#hashAt(Number(raw["blockNumber"]), raw["blockHash"]);
    return out;
  }

  async #hashAt(number: number, hash: string): Promise<string> {
    const known = this.#forged.get(hash);
    if (known !== undefined) return known;
    const answer = await this.#forward(0, "eth_getBlockByHash", [hash, false]);
    const header = answer["result"];
    if (header === null || typeof header !== "object" || number < 0) return hash;
    return String((await this.#forgedHeader(header as Json))["hash"]);
  }

  async #forgedHeader(header: Json): Promise<Json> {
    const { forkAbove = -1, excessBlobGas } = this.#faults;
    const number = Number(header["number"]);
    if (number <= forkAbove || number === 0) return header;
    const real = String(header["hash"]);
    const changed: Json = {
      ...header,
      parentHash: await this.#hashAt(number - 1, String(header["parentHash"])),
      ...(forkAbove >= 0 ? { extraData: "0x666f726b" } : {}),
      ...(excessBlobGas === undefined ? {} : { excessBlobGas: `0x${excessBlobGas.toString(16)}` }),
    };
    changed["hash"] = hashOfHeader(changed);
    this.#forged.set(real, String(changed["hash"]));
    this.#real.set(String(changed["hash"]), real);
    return changed;
  }

  async #forward(id: unknown, method: string, params: readonly unknown[]): Promise<Json> {
    const response = await fetch(this.#target, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ jsonrpc: "2.0", id, method, params }),
    });
    return (await response.json()) as Json;
  }
}

function isAbove(number: unknown, limit: number): boolean {
  return typeof number === "string" && number.startsWith("0x") && number.length < 20 && Number(number) > limit;
}

/**
 * Of a raw transaction. One with blobs travels as type 3 and a list of its body and the sidecar: its hash is that of
 * the body alone.
 */
function transactionHash(raw: unknown): string {
  const bytes = fromHex(String(raw));
  if (bytes[0] !== 0x03) return toHex(keccak256(bytes));
  const outer = listContent(bytes, 1);
  const body = listContent(bytes, outer);
  const bodyEnd = body + listLength(bytes, outer);
  return toHex(keccak256(concatBytes(bytes.subarray(0, 1), bytes.subarray(outer, bodyEnd))));
}

/** Where the content of the RLP list at `at` starts. */
function listContent(bytes: Uint8Array, at: number): number {
  const first = bytes[at] as number;
  return at + 1 + (first > 0xf7 ? first - 0xf7 : 0);
}

/** Length of that content. */
function listLength(bytes: Uint8Array, at: number): number {
  const first = bytes[at] as number;
  if (first <= 0xf7) return first - 0xc0;
  return bytes.subarray(at + 1, listContent(bytes, at)).reduce((length, byte) => length * 256 + byte, 0);
}

/** Every blob of an answer with one bit of its content changed. */
function corruptBlobs(body: Buffer): Buffer<ArrayBuffer> {
  const answer = JSON.parse(body.toString("utf8")) as { data?: string[] };
  const data = answer.data?.map((blob) => `${blob.slice(0, -1)}${blob.endsWith("0") ? "1" : "0"}`);
  return Buffer.from(JSON.stringify({ ...answer, data }));
}

function serveGarbage(response: ServerResponse, kind: NonNullable<Faults["garbage"]>): void {
  if (kind === "unavailable" || kind === "rate limit") {
    response.writeHead(kind === "unavailable" ? 503 : 429, { "content-type": "text/plain" });
    response.end("try again later");
    return;
  }
  response.writeHead(200, { "content-type": kind === "html" ? "text/html" : "application/json" });
  if (kind === "html") response.end("<html><body>maintenance</body></html>");
  else if (kind === "truncated") response.end('{"jsonrpc":"2.0","id":1,"result":"0x12');
  else {
    const chunk = Buffer.alloc(1024 * 1024, 0x20);
    const more = (): void => {
      while (!response.destroyed) if (!response.write(chunk)) break;
    };
    response.on("drain", more);
    more();
  }
}
