/**
 * Owns the JSON-RPC transport: HTTP (POST, CORS, keep-alive, optional gzip) and WebSocket, on one port by upgrade and,
 * where asked for, WebSocket on a port of its own. Invariant: bytes held for clients (bodies, answers, socket buffers)
 * are bounded in sum and per client; whoever sends or reads too slowly is dropped; no input stops the server.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { gzip } from "node:zlib";
import { type WebSocket, WebSocketServer } from "ws";
import { type Clock, systemClock } from "../base/clock.ts";
import { listen } from "../base/listen.ts";
import type { Log } from "../base/log.ts";
import { Loop } from "../base/loop.ts";
import type { Metrics } from "../base/metrics.ts";
import type { Service } from "../base/service.ts";
import { BlockCache } from "./block-cache.ts";
import { ByteBudget } from "./byte-budget.ts";
import type { ChainView, PoolView } from "./chain-view.ts";
import type { RpcConfig } from "./config.ts";
import { ConfirmationFeed } from "./confirmation-feed.ts";
import { Dispatcher, refusalText } from "./dispatcher.ts";
import type { RpcErrorName } from "./errors.ts";
import { FeeOracle } from "./fee-oracle.ts";
import { FilterStore } from "./filter-store.ts";
import { HeadFeed } from "./head-feed.ts";
import type { Method } from "./method.ts";
import { METHODS } from "./method-table.ts";
import { type RpcMetrics, rpcMetrics } from "./metrics.ts";
import { PendingIndex } from "./pending-index.ts";
import type { BaseFeeRule, Ingest, OrderView, RollupView, Services } from "./services.ts";
import { Subscriptions } from "./subscriptions.ts";
import { Tracing } from "./tracing.ts";

const GZIP_MIN_BYTES = 4_096;
const HEARTBEAT_MS = 30_000;
const DRAIN_MS = 2_000;
/** What a socket may leave unread even when the server holds too much. */
const SOCKET_SHARE_MIN_BYTES = 65_536;

export type RpcServerDeps = {
  readonly chain: ChainView;
  readonly pool?: PoolView | undefined;
  readonly order?: OrderView | undefined;
  readonly ingest?: Ingest | undefined;
  readonly rollup?: RollupView | undefined;
  readonly standing?: Services["standing"];
  /** Further methods (tests); a name of the built-in table is replaced. */
  readonly methods?: readonly Method[] | undefined;
  readonly baseFeeRule?: BaseFeeRule | undefined;
  readonly clientVersion?: string | undefined;
  readonly syncing?: Services["syncing"] | undefined;
  readonly clock?: Clock | undefined;
  readonly log: Log;
  /** With the labels of the role bound. */
  readonly metrics: Metrics;
};

export type RpcServerOptions = {
  readonly config: RpcConfig;
  /** 0 takes a free port. */
  readonly port: number;
  /** A further port for WebSocket alone; absent: only by upgrade on `port`. */
  readonly wsPort?: number | undefined;
};

function urlOf(server: Server, scheme: "http" | "ws"): string {
  const { address, port, family } = server.address() as AddressInfo;
  const wildcard = address === "0.0.0.0" || address === "::";
  const host = wildcard ? "127.0.0.1" : family === "IPv6" ? `[${address}]` : address;
  return `${scheme}://${host}:${port}`;
}

export class RpcServer implements Service {
  readonly name = "rpc";
  readonly #config: RpcConfig;
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #metrics: RpcMetrics;
  readonly #services: Services;
  readonly #dispatcher: Dispatcher;
  readonly #feed: HeadFeed;
  readonly #confirmations: ConfirmationFeed;
  readonly #tracing: Tracing;
  readonly #blocks: BlockCache;
  readonly #servers: Server[] = [];
  readonly #sockets: WebSocketServer;
  readonly #alive = new WeakSet<WebSocket>();
  readonly #heartbeat: Loop;
  readonly #corsOrigins: "*" | ReadonlySet<string>;
  /** Names this server in the count of peers. */
  #node = "";
  readonly #budget: ByteBudget;
  #inFlight = 0;
  #closing = false;
  #closed: Promise<void> | undefined;

  private constructor(options: RpcServerOptions, deps: RpcServerDeps) {
    const { config } = options;
    this.#config = config;
    this.#log = deps.log;
    this.#clock = deps.clock ?? systemClock;
    this.#metrics = rpcMetrics(deps.metrics);
    this.#blocks = new BlockCache(deps.chain);
    this.#feed = new HeadFeed(deps.chain, this.#blocks);
    this.#confirmations = new ConfirmationFeed(deps.chain);
    this.#tracing = new Tracing(deps.chain.engine, config, deps.log);
    const methods = new Map<string, Method>();
    for (const method of [...METHODS, ...(deps.methods ?? [])]) methods.set(method.name, method);
    const baseFeeRule = deps.baseFeeRule ?? { elasticity: 2, baseFeeDenominator: 8 };
    this.#services = {
      chain: deps.chain,
      pool: deps.pool,
      order: deps.order,
      ingest: deps.ingest,
      rollup: deps.rollup,
      standing: deps.standing,
      baseFeeRule,
      blocks: this.#blocks,
      fees: new FeeOracle(deps.chain, this.#blocks, baseFeeRule, BigInt(config.priorityFeeMinWei)),
      pendingIndex: new PendingIndex(deps.chain),
      filters: new FilterStore(deps.chain, this.#feed, this.#clock, config),
      tracing: this.#tracing,
      config,
      clock: this.#clock,
      log: deps.log,
      clientVersion: deps.clientVersion ?? "sheaf/v0.1.0",
      methods,
      syncing: deps.syncing ?? (() => undefined),
    };
    this.#budget = new ByteBudget(config.buffersMaxBytes);
    this.#dispatcher = new Dispatcher({
      services: this.#services,
      budget: this.#budget,
      metrics: this.#metrics,
      clock: this.#clock,
      log: deps.log,
    });
    const cors = config.corsOrigin.trim();
    this.#corsOrigins =
      cors === "*"
        ? "*"
        : new Set(
            cors
              .split(",")
              .map((origin) => origin.trim())
              .filter((origin) => origin !== ""),
          );
    this.#sockets = new WebSocketServer({
      noServer: true,
      maxPayload: config.bodyMaxBytes,
      // Compression keeps a window per connection: memory for little gain on hex.
      perMessageDeflate: false,
      clientTracking: true,
    });
    this.#heartbeat = new Loop("rpc heartbeat", async () => this.#beat(), {
      everyMs: HEARTBEAT_MS,
      log: deps.log,
      clock: this.#clock,
    });
  }

  /** Opens the ports and answers from then on. */
  static async create(options: RpcServerOptions, deps: RpcServerDeps): Promise<RpcServer> {
    const server = new RpcServer(options, deps);
    try {
      await server.#open(options.port, true);
      if (options.wsPort !== undefined) await server.#open(options.wsPort, false);
      server.#node = new URL(server.url).host;
      server.#metrics.peers.set(0, { node: server.#node });
    } catch (error) {
      await server.close();
      throw error;
    }
    return server;
  }

  get url(): string {
    return urlOf(this.#servers[0] as Server, "http");
  }

  get wsUrl(): string {
    return urlOf((this.#servers[1] ?? this.#servers[0]) as Server, "ws");
  }

  /** Bytes of bodies and answers held for clients now. */
  get bufferedBytes(): number {
    return this.#budget.held;
  }

  /** Everything the methods work with; for further roles of the same process. */
  get services(): Services {
    return this.#services;
  }

  async run(signal: AbortSignal): Promise<void> {
    await this.#heartbeat.run(signal);
    await this.close();
  }

  /** Stops accepting, lets what is being answered finish for a moment, then drops the rest. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#closing = true;
    const closed = this.#servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve())));
    for (const server of this.#servers) server.closeIdleConnections();
    const endMs = this.#clock.nowMs() + DRAIN_MS;
    while (this.#inFlight > 0 && this.#clock.nowMs() < endMs) await this.#clock.sleep(10);
    for (const socket of this.#sockets.clients) socket.close(1001, "server is going away");
    if (this.#sockets.clients.size > 0) await this.#clock.sleep(50);
    for (const socket of this.#sockets.clients) socket.terminate();
    for (const server of this.#servers) server.closeAllConnections();
    this.#sockets.close();
    await Promise.all([...closed, this.#tracing.close()]);
    this.#feed.close();
    this.#confirmations.close();
    this.#blocks.close();
  }

  async #open(port: number, http: boolean): Promise<void> {
    const { requestTimeoutMs, connectionsMax } = this.#config;
    const server = createServer({
      // Slow senders: headers and body each have their time, checked often enough to matter.
      headersTimeout: Math.min(10_000, requestTimeoutMs),
      requestTimeout: requestTimeoutMs,
      keepAliveTimeout: 65_000,
      connectionsCheckingInterval: Math.min(5_000, requestTimeoutMs),
      maxHeaderSize: 16_384,
      noDelay: true,
    });
    server.maxConnections = connectionsMax;
    server.maxHeadersCount = 64;
    server.on("request", (request, response) => {
      if (http) this.#onRequest(request, response);
      else this.#refuse(request, response, 426, "INVALID_REQUEST", "this port speaks WebSocket only");
    });
    // Each pipelined answer listens for the end of its connection.
    server.on("connection", (socket) => socket.setMaxListeners(0));
    server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) =>
      this.#onUpgrade(request, socket, head),
    );
    server.on("clientError", (error: NodeJS.ErrnoException, socket: Duplex) => {
      this.#metrics.refused.inc(1, { reason: "malformed_http" });
      if (!socket.writable) {
        socket.destroy();
        return;
      }
      const status = error.code === "ERR_HTTP_REQUEST_TIMEOUT" ? "408 Request Timeout" : "400 Bad Request";
      socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`, () =>
        // Half-closed is not closed: a slow sender would go on.
        socket.destroy(),
      );
    });
    server.on("drop", () => this.#metrics.refused.inc(1, { reason: "connections" }));
    await listen(server, port, this.#config.host);
    server.on("error", (error) => this.#log.error("rpc server failed", { err: error }));
    this.#servers.push(server);
  }

  #onRequest(request: IncomingMessage, response: ServerResponse): void {
    // A connection that breaks mid-way is its client's affair.
    request.on("error", () => undefined);
    response.on("error", () => undefined);
    this.#setCors(request, response);
    if (request.method === "OPTIONS") {
      response.writeHead(204, {
        "access-control-allow-methods": "POST, OPTIONS",
        "access-control-allow-headers": "content-type, authorization",
        "access-control-max-age": "86400",
      });
      response.end();
      return;
    }
    if (request.method !== "POST") {
      response.setHeader("allow", "POST, OPTIONS");
      this.#refuse(request, response, 405, "INVALID_REQUEST", "want POST");
      return;
    }
    const contentType = request.headers["content-type"];
    if (contentType !== undefined && !/^application\/(json|json-rpc|jsonrequest)\s*(;|$)/i.test(contentType)) {
      this.#refuse(request, response, 415, "INVALID_REQUEST", "want content-type application/json");
      return;
    }
    const encoding = request.headers["content-encoding"];
    if (encoding !== undefined && encoding !== "identity") {
      this.#refuse(request, response, 415, "INVALID_REQUEST", "compressed bodies are not accepted");
      return;
    }
    if (this.#closing) {
      this.#refuse(request, response, 503, "LIMIT_EXCEEDED", "server is stopping");
      return;
    }
    const declared = Number(request.headers["content-length"] ?? 0);
    if (declared > this.#config.bodyMaxBytes) {
      this.#refuseTooLarge(request, response);
      return;
    }
    if (this.#inFlight >= this.#config.requestsInFlightMax) {
      response.setHeader("retry-after", "1");
      this.#refuse(request, response, 429, "LIMIT_EXCEEDED", "too many requests in flight");
      return;
    }
    this.#readBody(request, response);
  }

  #setCors(request: IncomingMessage, response: ServerResponse): void {
    const { origin } = request.headers;
    if (origin === undefined) return;
    if (this.#corsOrigins === "*") response.setHeader("access-control-allow-origin", "*");
    else {
      response.setHeader("vary", "origin");
      if (this.#corsOrigins.has(origin)) response.setHeader("access-control-allow-origin", origin);
    }
  }

  /** Answers without reading the rest of the request; the connection does not live on. */
  #refuse(
    request: IncomingMessage,
    response: ServerResponse,
    status: number,
    name: RpcErrorName,
    message: string,
  ): void {
    this.#metrics.refused.inc(1, { reason: `http_${status}` });
    const text = refusalText(name, message);
    response.writeHead(status, { "content-type": "application/json", connection: "close" });
    response.end(text, () => {
      // Reading on would let a refused client send at its leisure; a moment lets the answer out first.
      if (!request.complete) request.socket.destroySoon();
    });
  }

  #refuseTooLarge(request: IncomingMessage, response: ServerResponse): void {
    const limit = this.#config.bodyMaxBytes;
    this.#refuse(request, response, 413, "INVALID_REQUEST", `body too large: at most ${limit} bytes`);
  }

  #readBody(request: IncomingMessage, response: ServerResponse): void {
    const chunks: Buffer[] = [];
    let size = 0;
    let done = false;
    const release = (): void => {
      if (done) return;
      done = true;
      this.#budget.give(size);
      this.#leave();
    };
    this.#enter();
    request.on("data", (chunk: Buffer) => {
      if (done) return;
      size += chunk.length;
      this.#budget.add(chunk.length);
      if (size > this.#config.bodyMaxBytes) {
        release();
        chunks.length = 0;
        this.#refuseTooLarge(request, response);
      } else if (this.#budget.exceeded) {
        release();
        chunks.length = 0;
        response.setHeader("retry-after", "1");
        this.#refuse(request, response, 503, "LIMIT_EXCEEDED", "the server holds too many bytes for its clients");
      } else chunks.push(chunk);
    });
    request.on("end", () => {
      if (done) return;
      const body = chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks, size);
      this.#metrics.receivedBytes.inc(size);
      const client = {
        address: request.socket.remoteAddress ?? "",
        subscriptions: undefined,
        gone: () => request.socket.destroyed,
      };
      void this.#dispatcher.handle(body, client).then((text) => {
        release();
        this.#respond(request, response, text);
      });
    });
    request.on("close", () => {
      // Gone before the body was complete.
      if (!request.complete) release();
    });
  }

  #respond(request: IncomingMessage, response: ServerResponse, text: string | undefined): void {
    if (request.socket.destroyed) return;
    if (text === undefined) {
      response.writeHead(204);
      response.end();
      return;
    }
    const accepts = this.#config.gzip && /\bgzip\b/.test(request.headers["accept-encoding"]?.toString() ?? "");
    if (!accepts || text.length < GZIP_MIN_BYTES) {
      this.#send(request, response, Buffer.from(text));
      return;
    }
    gzip(text, { level: 1 }, (error, compressed) => {
      if (error === null) this.#send(request, response, compressed, "gzip");
      else this.#send(request, response, Buffer.from(text));
    });
  }

  #send(request: IncomingMessage, response: ServerResponse, body: Buffer, encoding?: string): void {
    if (request.socket.destroyed) return;
    this.#metrics.sentBytes.inc(body.length);
    response.setHeader("content-type", "application/json");
    response.setHeader("content-length", body.length);
    if (encoding !== undefined) response.setHeader("content-encoding", encoding);
    if (this.#closing) response.setHeader("connection", "close");
    // What a client has not read yet is ours to hold: counted, and not for ever. A pipelined answer that waits behind
    // another has no socket of its own yet and never closes, so the connection's end counts too.
    const { socket } = request;
    this.#budget.add(body.length);
    let isHeld = true;
    const release = (): void => {
      // A connection that ends closes the response while it tells its own listeners: both come here then.
      if (!isHeld) return;
      isHeld = false;
      clearTimeout(timer);
      response.removeListener("close", release);
      socket.removeListener("close", release);
      this.#budget.give(body.length);
    };
    const timer = setTimeout(() => {
      this.#metrics.refused.inc(1, { reason: "slow_reader" });
      socket.destroy();
    }, this.#config.requestTimeoutMs);
    timer.unref();
    response.once("close", release);
    socket.once("close", release);
    response.end(body);
  }

  #enter(): void {
    this.#inFlight++;
    this.#metrics.requestsInFlight.set(this.#inFlight);
  }

  #leave(): void {
    this.#inFlight--;
    this.#metrics.requestsInFlight.set(this.#inFlight);
  }

  #onUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on("error", () => undefined);
    const { origin } = request.headers;
    const forbidden = origin !== undefined && this.#corsOrigins !== "*" && !this.#corsOrigins.has(origin);
    if (this.#closing || forbidden) {
      socket.end(
        `HTTP/1.1 ${forbidden ? "403 Forbidden" : "503 Service Unavailable"}\r\nConnection: close\r\n\r\n`,
        () => socket.destroy(),
      );
      return;
    }
    this.#sockets.handleUpgrade(request, socket, head, (ws) => this.#onSocket(ws, request.socket));
  }

  #onSocket(ws: WebSocket, socket: Socket): void {
    this.#alive.add(ws);
    this.#metrics.connections.set(this.#sockets.clients.size);
    this.#metrics.peers.set(this.#sockets.clients.size, { node: this.#node });
    const send = (message: string): void => {
      if (ws.readyState !== ws.OPEN) return;
      const unread = ws.bufferedAmount + message.length;
      // When all together hold too much, those go that hold more than their share.
      const share = this.#budget.exceeded
        ? Math.max(SOCKET_SHARE_MIN_BYTES, this.#budget.max / this.#sockets.clients.size)
        : Number.POSITIVE_INFINITY;
      if (unread > this.#config.socketBufferMaxBytes || unread > share) {
        this.#metrics.refused.inc(1, { reason: "slow_socket" });
        ws.terminate();
        return;
      }
      this.#metrics.sentBytes.inc(message.length);
      this.#budget.add(message.length);
      ws.send(message, () => this.#budget.give(message.length));
    };
    const subscriptions = new Subscriptions(
      this.#feed,
      this.#confirmations,
      send,
      this.#config.subscriptionsPerConnectionMax,
    );
    const client = { address: socket.remoteAddress ?? "", subscriptions, gone: () => ws.readyState !== ws.OPEN };
    let inFlight = 0;
    // Parts of a message that is not complete yet are held too: thousands of half-sent ones must not add up.
    let partialBytes = 0;
    const count = (chunk: Buffer): void => {
      partialBytes += chunk.length;
      this.#budget.add(chunk.length);
      if (!this.#budget.exceeded) return;
      this.#metrics.refused.inc(1, { reason: "buffers" });
      ws.terminate();
    };
    const settle = (): void => {
      this.#budget.give(partialBytes);
      partialBytes = 0;
    };
    // Before the library's own listener, which completes messages.
    socket.prependListener("data", count);
    ws.on("message", (payload: Buffer | ArrayBuffer | Buffer[]) => {
      const body = Array.isArray(payload)
        ? Buffer.concat(payload)
        : payload instanceof ArrayBuffer
          ? new Uint8Array(payload)
          : payload;
      this.#metrics.receivedBytes.inc(body.length);
      settle();
      if (!this.#budget.take(body.length)) {
        send(refusalText("LIMIT_EXCEEDED", "the server holds too many bytes for its clients"));
        return;
      }
      this.#enter();
      if (++inFlight >= this.#config.socketInFlightMax) ws.pause();
      void this.#dispatcher.handle(body, client).then((text) => {
        this.#budget.give(body.length);
        this.#leave();
        if (inFlight-- >= this.#config.socketInFlightMax) ws.resume();
        if (text !== undefined) send(text);
      });
    });
    ws.on("pong", () => this.#alive.add(ws));
    ws.on("error", () => this.#metrics.refused.inc(1, { reason: "malformed_ws" }));
    ws.on("close", () => {
      socket.removeListener("data", count);
      settle();
      subscriptions.close();
      this.#metrics.connections.set(this.#sockets.clients.size);
      this.#metrics.peers.set(this.#sockets.clients.size, { node: this.#node });
    });
  }

  /** Drops connections that did not answer the last ping, and filters nobody asks any more. */
  #beat(): void {
    for (const ws of this.#sockets.clients) {
      if (!this.#alive.has(ws)) {
        ws.terminate();
        continue;
      }
      this.#alive.delete(ws);
      ws.ping();
    }
    this.#services.filters.expire();
    this.#metrics.subscriptions.set(this.#feed.listeners + this.#confirmations.listeners);
  }
}
