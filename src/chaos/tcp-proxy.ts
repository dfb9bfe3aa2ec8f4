/**
 * Owns a line that can fail: a TCP proxy on loopback whose traffic is passed on, delayed, held back, or cut. Held
 * traffic is a network that drops packets: both ends keep their connections and hear nothing.
 */
import { createServer, type Server, type Socket, connect as tcpConnect } from "node:net";

export type LineFault = {
  /** Connections are ended and new ones refused. */
  readonly cut?: boolean;
  /** Nothing passes in either direction; connections stay. */
  readonly silent?: boolean;
  readonly delayMs?: number;
  /** Added to the delay of each chunk, at random up to this; order is kept. */
  readonly jitterMs?: number;
};

/** One connection's two halves are paused while this holds more than that. */
const HELD_BYTES_MAX = 16 * 1024 * 1024;

export class TcpProxy {
  readonly #server: Server;
  readonly #random: () => number;
  readonly #pipes = new Set<{ resume(): void; end(): void }>();
  #fault: LineFault = {};

  private constructor(server: Server, random: () => number) {
    this.#server = server;
    this.#random = random;
  }

  static async start(targetPort: number, random: () => number): Promise<TcpProxy> {
    const server = createServer({ noDelay: true });
    const proxy = new TcpProxy(server, random);
    server.on("connection", (client) => {
      if (proxy.#fault.cut === true) client.destroy();
      else proxy.#join(client, tcpConnect({ port: targetPort, host: "127.0.0.1", noDelay: true }));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return proxy;
  }

  /** `host:port`. */
  get address(): string {
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("the proxy listens on a port");
    return `127.0.0.1:${address.port}`;
  }

  /** Replaces the fault; none heals the line. */
  set(fault: LineFault = {}): void {
    this.#fault = fault;
    for (const pipe of [...this.#pipes]) {
      if (fault.cut === true) pipe.end();
      else pipe.resume();
    }
  }

  async stop(): Promise<void> {
    for (const pipe of [...this.#pipes]) pipe.end();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #join(client: Socket, server: Socket): void {
    const halves = [this.#half(client, server), this.#half(server, client)];
    const pipe = {
      resume: (): void => {
        for (const half of halves) half();
      },
      end: (): void => {
        this.#pipes.delete(pipe);
        client.destroy();
        server.destroy();
      },
    };
    this.#pipes.add(pipe);
    for (const socket of [client, server]) {
      socket.on("error", pipe.end);
      socket.on("close", pipe.end);
    }
  }

  /** Passes what `from` says on to `to`, as the fault allows; the result looks at the fault anew. */
  #half(from: Socket, to: Socket): () => void {
    const held: { chunk: Buffer; dueMs: number }[] = [];
    let heldBytes = 0;
    let timer: NodeJS.Timeout | undefined;
    let lastDueMs = 0;
    const flush = (): void => {
      clearTimeout(timer);
      timer = undefined;
      if (this.#fault.silent === true) return;
      const nowMs = performance.now();
      for (let head = held[0]; head !== undefined && head.dueMs <= nowMs; head = held[0]) {
        held.shift();
        heldBytes -= head.chunk.length;
        to.write(head.chunk);
      }
      if (heldBytes <= HELD_BYTES_MAX) from.resume();
      const [next] = held;
      if (next !== undefined) timer = setTimeout(flush, Math.max(1, next.dueMs - nowMs));
    };
    from.on("data", (chunk: Buffer) => {
      const { delayMs = 0, jitterMs = 0 } = this.#fault;
      lastDueMs = Math.max(lastDueMs, performance.now() + delayMs + jitterMs * this.#random());
      held.push({ chunk, dueMs: lastDueMs });
      heldBytes += chunk.length;
      if (heldBytes > HELD_BYTES_MAX) from.pause();
      flush();
    });
    from.on("close", () => clearTimeout(timer));
    return flush;
  }
}
