/** Owns a JSON-RPC endpoint over a memory chain for tests: a gateway, raw requests to it, and everything closed at the end. */
import { WebSocket } from "ws";
import { readConfig } from "../../base/config.ts";
import { silentLog } from "../../base/log.ts";
import { Metrics } from "../../base/metrics.ts";
import { until as waitUntil } from "../../base/testing/until.ts";
import { gatewayConfig } from "../../gateway/config.ts";
import { Gateway } from "../../gateway/gateway.ts";
import { type RpcConfig, rpcConfig } from "../config.ts";
import { MemoryChain } from "./memory-chain.ts";

export type Answer = {
  jsonrpc: string;
  id: unknown;
  result?: unknown;
  error?: { code: number; message: string; data?: unknown };
};

export class RpcFixture {
  readonly chain: MemoryChain;
  readonly gateway: Gateway;
  readonly metrics: Metrics;

  private constructor(chain: MemoryChain, gateway: Gateway, metrics: Metrics) {
    this.chain = chain;
    this.gateway = gateway;
    this.metrics = metrics;
  }

  static async create(
    overrides: { readonly [K in keyof RpcConfig]?: RpcConfig[K] } = {},
    p: { wsPort?: number } = {},
  ): Promise<RpcFixture> {
    const chain = MemoryChain.create();
    const metrics = new Metrics().withLabels({ rollup: "test", cluster: "alpha" });
    const gateway = await Gateway.create(
      {
        config: readConfig(gatewayConfig, {}),
        rpcConfig: readConfig(rpcConfig, {}, overrides),
        port: 0,
        wsPort: p.wsPort,
      },
      { chain, pool: chain, log: silentLog, metrics },
    );
    return new RpcFixture(chain, gateway, metrics);
  }

  get url(): string {
    return this.gateway.url;
  }

  async close(): Promise<void> {
    await this.gateway.close();
    await this.chain.engine.close();
  }

  post(body: string | Uint8Array, headers: Record<string, string> = {}): Promise<Response> {
    return fetch(this.url, {
      method: "POST",
      body,
      headers: { "content-type": "application/json", ...headers },
    });
  }

  async request(method: string, params: unknown = []): Promise<Answer> {
    const response = await this.post(JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }));
    return (await response.json()) as Answer;
  }

  /** The result, or a throw with the error. */
  async result(method: string, ...params: unknown[]): Promise<unknown> {
    const answer = await this.request(method, params);
    if (answer.error !== undefined) throw new Error(`${method}: ${JSON.stringify(answer.error)}`);
    return answer.result;
  }

  async socket(): Promise<TestSocket> {
    const ws = new WebSocket(this.gateway.wsUrl);
    const socket = new TestSocket(ws);
    await new Promise<void>((resolve, reject) => {
      ws.once("open", () => resolve());
      ws.once("error", reject);
    });
    return socket;
  }
}

export type Notification = { method: string; params: { subscription: string; result: unknown } };

export class TestSocket {
  readonly ws: WebSocket;
  readonly notifications: Notification[] = [];
  readonly answers: Answer[] = [];
  closeCode: number | undefined;
  #id = 0;

  constructor(ws: WebSocket) {
    this.ws = ws;
    ws.on("message", (data: Buffer) => {
      const message = JSON.parse(data.toString()) as Answer & Notification;
      if (message.method === "eth_subscription") this.notifications.push(message);
      else this.answers.push(message);
    });
    ws.on("close", (code) => {
      this.closeCode = code;
    });
    ws.on("error", () => undefined);
  }

  async request(method: string, params: unknown[] = []): Promise<Answer> {
    const id = ++this.#id;
    this.ws.send(JSON.stringify({ jsonrpc: "2.0", id, method, params }));
    return until(() => this.answers.find((answer) => answer.id === id));
  }

  close(): void {
    this.ws.terminate();
  }
}

/** Resolves to what `look` finds. */
export function until<T>(look: () => T | undefined | false): Promise<T> {
  return waitUntil(look.toString(), look);
}
