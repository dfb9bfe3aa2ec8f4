/**
 * Owns the operator's door of a process: /livez (the event loop turns), /readyz (every part is ready, or which ones are
 * not and why) and /metrics (Prometheus text). Separate from the public port: it is for probes and scrapers.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { listen } from "../base/listen.ts";
import type { Log } from "../base/log.ts";
import type { Metrics } from "../base/metrics.ts";
import type { Service } from "../base/service.ts";
import { aborted } from "../base/signal.ts";

/** A part of the process that may be waiting for something. */
export type ReadyPart = { readonly name: string; notReady?(): string | undefined };

export type HealthServerOptions = {
  readonly host: string;
  /** 0 takes a free port. */
  readonly port: number;
  /** Asked anew at each probe. */
  readonly parts: () => readonly ReadyPart[];
  readonly metrics: Metrics;
  readonly log: Log;
};

export class HealthServer implements Service {
  readonly name = "health";
  readonly #server: Server;
  readonly #options: HealthServerOptions;

  private constructor(options: HealthServerOptions) {
    this.#options = options;
    this.#server = createServer(
      { headersTimeout: 5_000, requestTimeout: 5_000, keepAliveTimeout: 30_000, connectionsCheckingInterval: 2_000 },
      (request, response) => void this.#answer(request, response),
    );
    this.#server.maxConnections = 256;
  }

  static async create(options: HealthServerOptions): Promise<HealthServer> {
    const health = new HealthServer(options);
    await listen(health.#server, options.port, options.host);
    return health;
  }

  get url(): string {
    const { address, port, family } = this.#server.address() as AddressInfo;
    return `http://${family === "IPv6" ? `[${address}]` : address}:${port}`;
  }

  async run(signal: AbortSignal): Promise<void> {
    await aborted(signal);
    await this.close();
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on("error", () => undefined);
    if (request.method !== "GET" && request.method !== "HEAD") return this.#text(response, 405, "want GET\n");
    const path = (request.url ?? "/").replace(/\?.*$/s, "");
    try {
      switch (path) {
        case "/livez":
          return this.#text(response, 200, "ok\n");
        case "/readyz":
          return this.#readiness(response);
        case "/metrics": {
          const text = await this.#options.metrics.registry.metrics();
          return this.#text(response, 200, text, this.#options.metrics.registry.contentType);
        }
        default:
          return this.#text(response, 404, "want /livez, /readyz or /metrics\n");
      }
    } catch (error) {
      this.#options.log.error("health probe failed", { path, err: error });
      return this.#text(response, 500, "internal error\n");
    }
  }

  #readiness(response: ServerResponse): void {
    const waiting: Record<string, string> = {};
    for (const part of this.#options.parts()) {
      const reason = part.notReady?.();
      if (reason !== undefined) waiting[part.name] = reason;
    }
    const ready = Object.keys(waiting).length === 0;
    this.#text(response, ready ? 200 : 503, `${JSON.stringify({ ready, waiting })}\n`, "application/json");
  }

  #text(response: ServerResponse, status: number, body: string, contentType = "text/plain; charset=utf-8"): void {
    if (response.headersSent || response.destroyed) return;
    response.writeHead(status, { "content-type": contentType, "content-length": Buffer.byteLength(body) });
    response.end(body);
  }
}
