/**
 * A TCP proxy in front of NATS servers that understands enough of their protocol to lose answers, send publishes
 * twice, hold one back, or cut the line: faults between a log and its store, for tests.
 */
import { createServer, type Server, type Socket, connect as tcpConnect } from "node:net";

export class NatsProxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** Answers are swallowed while true. */
  losesAnswers = false;
  /** Every message published with an expected sequence goes out twice. */
  doublesPublishes = false;
  /** The next message published with an expected sequence is kept until `release`. */
  holdsNext = false;
  #held: { chunk: Buffer; to: Socket } | undefined;
  publishes = 0;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(targetPort: () => number): Promise<NatsProxy> {
    const server = createServer();
    const proxy = new NatsProxy(server);
    server.on("connection", (client) => proxy.#join(client, tcpConnect(targetPort(), "127.0.0.1")));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return proxy;
  }

  get address(): string {
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("the proxy listens on a port");
    return `127.0.0.1:${address.port}`;
  }

  #join(client: Socket, server: Socket): void {
    for (const socket of [client, server]) {
      socket.setNoDelay(true);
      this.#sockets.add(socket);
      socket.on("error", () => undefined);
      socket.on("close", () => {
        this.#sockets.delete(socket);
        client.destroy();
        server.destroy();
      });
    }
    server.on("data", (chunk) => {
      if (!this.losesAnswers) client.write(chunk);
    });
    let rest: Buffer = Buffer.alloc(0);
    client.on("data", (chunk) => {
      rest = Buffer.concat([rest, chunk]);
      for (let size = commandSize(rest); size !== undefined; size = commandSize(rest)) {
        this.#forward(rest.subarray(0, size), server);
        rest = rest.subarray(size);
      }
    });
  }

  #forward(command: Buffer, server: Socket): void {
    const isAppend = command.subarray(0, 5).toString() === "HPUB " && command.includes("Nats-Expected-Last-Sequence");
    if (isAppend) {
      this.publishes++;
      if (this.holdsNext) {
        this.holdsNext = false;
        this.#held = { chunk: Buffer.from(command), to: server };
        return;
      }
      if (this.doublesPublishes) server.write(command);
    }
    server.write(command);
  }

  /** Sends what was held back, on the connection it came from or, when that is gone, not at all. */
  release(): void {
    this.#held?.to.write(this.#held.chunk);
    this.#held = undefined;
  }

  /** Ends all connections; new ones are taken. */
  cut(): void {
    for (const socket of [...this.#sockets]) socket.destroy();
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** Length of the command that `bytes` start with; undefined when it is not whole. */
function commandSize(bytes: Buffer): number | undefined {
  const end = bytes.indexOf("\r\n");
  if (end === -1) return undefined;
  const words = bytes.subarray(0, end).toString("latin1").split(" ");
  const size = words[0] === "PUB" || words[0] === "HPUB" ? end + 2 + Number(words.at(-1)) + 2 : end + 2;
  return size <= bytes.length ? size : undefined;
}
