/**
 * Owns the called end of links between machines: one port per process, where callers with a certificate of the network's
 * authority get the service they ask for when their role may have it. Everybody else is refused with a coded reason,
 * which is counted and logged at a bounded rate.
 *
 * Bounds: callers that have not said who they are (time and number; the oldest gives way to the newest, so strangers that
 * hold connections open keep nobody out), links per service, bytes of a hello, bytes of a frame, bytes that wait to be
 * read. Nothing a caller does ends the listener.
 * @see docs/decisions/0015-network.md
 */
import type { AddressInfo, Socket } from "node:net";
import { performance } from "node:perf_hooks";
import { createServer, type Server, type TLSSocket } from "node:tls";
import { assert } from "../base/assert.ts";
import { CodedError } from "../base/error.ts";
import { listen } from "../base/listen.ts";
import type { Log } from "../base/log.ts";
import type { Service } from "../base/service.ts";
import { aborted } from "../base/signal.ts";
import { type Identity, identitiesOf } from "./certificate.ts";
import { FramedSocket, SOCKET_LIMITS, type SocketLimits } from "./framed-socket.ts";
import { FRAME_BYTES_MAX, frameHeader } from "./frames.ts";
import { decodeHello, encodeAnswer, HELLO_BYTES_MAX, type Hello, type LinkErrorCode, linkError } from "./hello.ts";
import type { LinkMetrics } from "./metrics.ts";
import type { Credentials, OpenedLink } from "./tls-link.ts";

/** What a process offers on its port. */
export type LinkService = {
  readonly name: string;
  /** Roles of callers. */
  readonly admits: readonly string[];
  readonly linksMax: number;
  readonly frameBytesMax?: number;
  /** Why callers should try another process now. */
  elsewhere?(): string | undefined;
  /** Takes a link that was admitted. */
  accept(link: OpenedLink): void;
};

export type ListenerOptions = {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly credentials: Credentials;
  readonly network: string;
  readonly cluster: string;
  readonly services: readonly LinkService[];
  readonly log: Log;
  readonly metrics: LinkMetrics;
  readonly limits?: SocketLimits;
  /** For TLS and hello together. */
  readonly handshakeMs?: number;
  /** Callers that have not said who they are. */
  readonly unknownMax?: number;
};

const HANDSHAKE_MS = 5_000;
const UNKNOWN_MAX = 64;
/** Connections of all kinds: what the process has descriptors for. */
const CONNECTIONS_MAX = 1_024;
/** One reason is logged once in so long, with the number of those that were not. */
const TOLD_EVERY_MS = 10_000;

type Unknown = { readonly socket: Socket; readonly timer: NodeJS.Timeout };

export class TlsListener implements Service {
  readonly name = "links";
  readonly #options: ListenerOptions;
  readonly #server: Server;
  /** By remote address and port, oldest first. */
  readonly #unknown = new Map<string, Unknown>();
  readonly #links = new Set<FramedSocket>();
  readonly #counts = new Map<string, number>();
  readonly #told = new Map<string, { atMs: number; untold: number }>();

  private constructor(options: ListenerOptions) {
    this.#options = options;
    const { credentials } = options;
    this.#server = createServer({
      ca: credentials.authority,
      cert: credentials.certificate,
      key: credentials.key,
      minVersion: "TLSv1.3",
      requestCert: true,
      // Looked at in #secured, which can tell the caller why.
      rejectUnauthorized: false,
      handshakeTimeout: 2 * (options.handshakeMs ?? HANDSHAKE_MS),
    });
    this.#server.maxConnections = CONNECTIONS_MAX;
    this.#server.on("connection", (socket: Socket) => this.#called(socket));
    this.#server.on("secureConnection", (socket) => this.#secured(socket));
    this.#server.on("tlsClientError", (error, socket) => {
      const from = keyOf(socket);
      // One that was told of already was ended by us.
      if (this.#forget(from)) this.#refused("LINK_CERTIFICATE", error.message, from);
    });
    this.#server.on("error", (err) => options.log.error("the link port fails", { err }));
  }

  /** Shows others from the next caller on. */
  setCredentials({ authority, certificate, key }: Credentials): void {
    this.#server.setSecureContext({ ca: authority, cert: certificate, key, minVersion: "TLSv1.3" });
  }

  static async create(options: ListenerOptions): Promise<TlsListener> {
    const listener = new TlsListener(options);
    await listen(listener.#server, options.port, options.host);
    for (const { name } of options.services) options.metrics.open.set(0, { service: name });
    return listener;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Links to the service that are open. */
  open(service: string): number {
    return this.#counts.get(service) ?? 0;
  }

  run(signal: AbortSignal): Promise<void> {
    return aborted(signal);
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const [from, { socket }] of this.#unknown) {
      this.#forget(from);
      socket.destroy();
    }
    await Promise.all([...this.#links].map((link) => link.close()));
    await closed;
  }

  #called(socket: Socket): void {
    const from = keyOf(socket);
    socket.on("error", () => undefined); // TLS tells
    const end = (code: LinkErrorCode, reason: string): void => {
      if (!this.#forget(from)) return;
      this.#refused(code, reason, from);
      socket.destroy();
    };
    if (this.#unknown.size >= (this.#options.unknownMax ?? UNKNOWN_MAX)) {
      const [oldest] = this.#unknown;
      assert(oldest !== undefined, "a full table has a first entry");
      this.#forget(oldest[0]);
      this.#refused("LINK_BUSY", "too many callers have not said who they are", oldest[0]);
      oldest[1].socket.destroy();
    }
    const timer = setTimeout(
      () => end("LINK_HANDSHAKE_TIMEOUT", "the caller did not say who it is in time"),
      this.#options.handshakeMs ?? HANDSHAKE_MS,
    );
    this.#unknown.set(from, { socket, timer });
    socket.once("close", () => end("LINK_CLOSED", "the caller left before it said who it is"));
  }

  /** False when it is none any more. */
  #forget(from: string): boolean {
    const unknown = this.#unknown.get(from);
    if (unknown === undefined) return false;
    clearTimeout(unknown.timer);
    return this.#unknown.delete(from);
  }

  #secured(socket: TLSSocket): void {
    const from = keyOf(socket);
    if (!socket.authorized) {
      if (!this.#forget(from)) return;
      const reason = String(socket.authorizationError ?? "no certificate");
      this.#refused("LINK_CERTIFICATE", reason, from);
      socket.on("error", () => undefined);
      const answer = encodeAnswer({ code: "LINK_CERTIFICATE", reason });
      socket.end(Buffer.concat([frameHeader(answer), answer]), () => socket.destroy());
      return;
    }
    const link = new FramedSocket(socket, this.#options.limits ?? SOCKET_LIMITS, {
      first: (message) => this.#greeted(link, socket, from, message),
      firstBytesMax: HELLO_BYTES_MAX,
      lost: (cause) => {
        if (!this.#forget(from)) return;
        const code = cause instanceof CodedError && cause.name === "LinkError" ? cause.code : "LINK_HELLO";
        this.#refused(code as LinkErrorCode, cause.message, from);
      },
    });
  }

  #greeted(link: FramedSocket, socket: TLSSocket, from: string, message: Uint8Array): void {
    if (!this.#forget(from)) return;
    let hello: Hello;
    let service: LinkService;
    try {
      hello = decodeHello(message);
      service = this.#admit(hello, identitiesOf(socket.getPeerCertificate().raw));
    } catch (error) {
      const { code, message: reason } =
        error instanceof CodedError && error.name === "LinkError"
          ? (error as CodedError<LinkErrorCode>)
          : linkError("LINK_HELLO", "the first message is no hello");
      this.#refused(code, reason, from);
      link.send(encodeAnswer({ code, reason }));
      void link.close();
      return;
    }
    const { name } = service;
    this.#links.add(link);
    this.#count(name, 1);
    socket.once("close", () => {
      this.#links.delete(link);
      this.#count(name, -1);
    });
    link.hold(service.frameBytesMax ?? FRAME_BYTES_MAX);
    link.send(encodeAnswer(undefined));
    const { network, cluster, role, process } = hello;
    this.#options.log.info("link admitted", { service: name, role, peer: process, from });
    service.accept({ peer: { network, cluster, role, process }, attach: (events) => link.attach(events) });
  }

  /** @throws {LinkError} why the caller is refused */
  #admit(hello: Hello, identities: readonly Identity[]): LinkService {
    const { network, cluster, services } = this.#options;
    const { role } = hello;
    if (hello.network !== network)
      throw linkError("LINK_NETWORK", `the caller is of network ${hello.network}, this is ${network}`);
    if (hello.cluster !== cluster)
      throw linkError("LINK_CLUSTER", `the caller is of cluster ${hello.cluster}, this is ${cluster}`);
    const proven = identities.some(
      (i) => i.network === network && i.cluster === cluster && i.role === role && i.process === hello.process,
    );
    if (!proven) throw linkError("LINK_ROLE", `the certificate does not say ${role} for ${hello.process}`);
    const service = services.find((s) => s.name === hello.service);
    if (service === undefined) throw linkError("LINK_SERVICE", `there is no service ${hello.service} here`);
    if (!service.admits.includes(role))
      throw linkError("LINK_ROLE", `service ${service.name} is for ${service.admits.join(", ")}, not for ${role}`);
    const elsewhere = service.elsewhere?.();
    if (elsewhere !== undefined) throw linkError("LINK_ELSEWHERE", elsewhere);
    if (this.open(service.name) >= service.linksMax)
      throw linkError("LINK_BUSY", `service ${service.name} has its ${service.linksMax} links`);
    return service;
  }

  #count(service: string, by: number): void {
    const count = this.open(service) + by;
    this.#counts.set(service, count);
    this.#options.metrics.open.set(count, { service });
  }

  #refused(code: LinkErrorCode, reason: string, from: string): void {
    this.#options.metrics.refused.inc(1, { reason: code });
    const nowMs = performance.now();
    const told = this.#told.get(code);
    if (told !== undefined && nowMs - told.atMs < TOLD_EVERY_MS) {
      told.untold++;
      return;
    }
    this.#options.log.warn("caller refused", { code, reason, from, alike: told?.untold ?? 0 });
    this.#told.set(code, { atMs: nowMs, untold: 0 });
  }
}

const keyOf = (socket: Socket): string => `${socket.remoteAddress ?? "?"}:${socket.remotePort ?? 0}`;
