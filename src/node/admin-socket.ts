/**
 * Owns the operator's hand on a running node: HTTP on a Unix socket in the node's data folder, mode 0600, so that who may
 * write the data may steer the node, and nobody over a network (`curl --unix-socket`). Each thing is a resource: GET
 * shows it, PUT or POST changes it, the answer is JSON. Errors answer with their code. A socket that cannot be had (a
 * folder whose name is too long for one) is a warning: the node needs none.
 */
import { chmodSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { join } from "node:path";
import { CodedError, defineErrors } from "../base/error.ts";
import type { Log } from "../base/log.ts";

export const adminError = defineErrors("Admin", {
  ADMIN_UNKNOWN: {
    summary: "The node has no such thing to show or to change.",
    action: "`sheaf admin --help` lists what there is; key shards exist with SHEAF_KEY_SHARDS above 1.",
    retryable: false,
  },
  ADMIN_INVALID: {
    summary: "What was asked for is not possible.",
    action: "Read the message; `sheaf admin --help` says what is.",
    retryable: false,
  },
});

/** What can be shown and changed, by path. */
export type AdminResource = {
  readonly show?: () => unknown;
  /** Given the request's JSON; answers what is shown then. */
  readonly change?: (body: unknown) => unknown;
};

const BODY_BYTES_MAX = 4_096;

export function adminSocketPath(dataDir: string): string {
  return join(dataDir, "admin.sock");
}

export class AdminSocket {
  readonly #resources: ReadonlyMap<string, AdminResource>;
  readonly #server: Server;
  readonly #path: string;
  readonly #log: Log;

  private constructor(path: string, resources: ReadonlyMap<string, AdminResource>, log: Log) {
    this.#path = path;
    this.#resources = resources;
    this.#log = log;
    this.#server = createServer(
      { headersTimeout: 5_000, requestTimeout: 5_000, connectionsCheckingInterval: 2_000 },
      (request, response) => void this.#answer(request, response),
    );
    this.#server.maxConnections = 16;
  }

  /** In a folder that this process has to itself: what is left of an earlier one goes. */
  static async open(dataDir: string, resources: ReadonlyMap<string, AdminResource>, log: Log): Promise<AdminSocket> {
    const path = adminSocketPath(dataDir);
    rmSync(path, { force: true });
    const socket = new AdminSocket(path, resources, log);
    await new Promise<void>((resolve) => {
      const server = socket.#server;
      server.once("error", (err) => {
        log.warn("no admin socket", { path, err });
        resolve();
      });
      server.listen(path, () => {
        chmodSync(path, 0o600);
        server.removeAllListeners("error");
        server.on("error", (err) => log.warn("admin socket", { err }));
        resolve();
      });
    });
    return socket;
  }

  async close(): Promise<void> {
    if (!this.#server.listening) return;
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
    rmSync(this.#path, { force: true });
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on("error", () => undefined);
    const path = (request.url ?? "/").replace(/\?.*$/s, "").slice(1);
    try {
      const resource = this.#resources.get(path);
      const isRead = request.method === "GET";
      if (resource === undefined || (isRead ? resource.show : resource.change) === undefined)
        throw adminError("ADMIN_UNKNOWN", `${request.method} /${path} is not known here`);
      if (!isRead) {
        await resource.change?.(await readBody(request));
        this.#log.info("changed by the operator", { path });
      }
      send(response, 200, (await resource.show?.()) ?? {});
    } catch (error) {
      const code = error instanceof CodedError ? error.code : "ADMIN_INVALID";
      const message = error instanceof Error ? error.message : String(error);
      send(response, code === "ADMIN_UNKNOWN" ? 404 : 400, { code, message });
    }
  }
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json", connection: "close" });
  response.end(`${JSON.stringify(body)}\n`);
}

async function readBody(request: IncomingMessage): Promise<unknown> {
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of request as AsyncIterable<Uint8Array>) {
    sizeBytes += chunk.length;
    if (sizeBytes > BODY_BYTES_MAX) throw adminError("ADMIN_INVALID", `the body has more than ${BODY_BYTES_MAX} bytes`);
    chunks.push(chunk);
  }
  if (sizeBytes === 0) return undefined;
  try {
    return JSON.parse(Buffer.concat(chunks).toString());
  } catch {
    throw adminError("ADMIN_INVALID", "the body is no JSON");
  }
}
