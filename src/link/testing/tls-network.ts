/** A small network of certificates for tests: an authority, processes by role, a listener that echoes, and callers. */
import type { TestContext } from "node:test";
import { systemClock } from "../../base/clock.ts";
import type { Log, LogFields } from "../../base/log.ts";
import { Metrics } from "../../base/metrics.ts";
import { type Identity, issueCertificate, type KeyedCertificate, makeAuthority } from "../certificate.ts";
import type { SocketLimits } from "../framed-socket.ts";
import type { Link } from "../link.ts";
import { linkMetrics } from "../metrics.ts";
import { type CallOptions, type Credentials, callTls, type OpenedLink } from "../tls-link.ts";
import { type LinkService, type ListenerOptions, TlsListener } from "../tls-listener.ts";

export const NETWORK = "testnet";
export const CLUSTER = "cluster-1";

export type Refusal = { readonly code: string; readonly reason: string; readonly alike: number };

export class TlsNetwork {
  readonly authority: KeyedCertificate;
  readonly refusals: Refusal[] = [];
  readonly metrics = new Metrics();
  readonly #t: TestContext;

  constructor(t: TestContext, authority?: KeyedCertificate) {
    this.#t = t;
    this.authority = authority ?? makeAuthority({ network: NETWORK, nowMs: systemClock.nowMs(), days: 2 });
  }

  identity(role: string, process = `${role}-1`): Identity {
    return { network: NETWORK, cluster: CLUSTER, role, process };
  }

  /** `nowMs`: when it is issued; it lasts a day. */
  credentials(identity: Identity, nowMs = systemClock.nowMs(), authority = this.authority): Credentials {
    const { network, cluster, role, process } = identity;
    const issued = issueCertificate(authority, { network, process, roles: [{ cluster, role }], nowMs, days: 1 });
    return { authority: this.authority.certificate, ...issued };
  }

  /** Collects what the listener says of those it refuses. */
  readonly log: Log = {
    debug: () => undefined,
    info: () => undefined,
    warn: (message: string, fields?: LogFields) => {
      if (message === "caller refused") this.refusals.push(fields as Refusal);
    },
    error: () => undefined,
    child: () => this.log,
  };

  async listen(
    services: readonly LinkService[] = [echo()],
    options: Partial<ListenerOptions> = {},
  ): Promise<TlsListener> {
    const listener = await TlsListener.create({
      host: "127.0.0.1",
      port: 0,
      credentials: this.credentials(this.identity("sequencer")),
      network: NETWORK,
      cluster: CLUSTER,
      services,
      log: this.log,
      metrics: linkMetrics(this.metrics),
      ...options,
    });
    this.#t.after(() => listener.close());
    return listener;
  }

  callOptions(port: number, options: Partial<CallOptions> = {}): CallOptions {
    const self = options.self ?? this.identity("executor");
    return {
      host: "127.0.0.1",
      port,
      self,
      credentials: options.credentials ?? this.credentials(self),
      role: "sequencer",
      service: "echo",
      timeoutMs: 60_000,
      ...options,
    };
  }

  async call(port: number, options: Partial<CallOptions> = {}): Promise<Ear> {
    return new Ear(await callTls(this.callOptions(port, options), new AbortController().signal), this.#t);
  }

  async refusedTotal(code: string): Promise<number> {
    const text = await this.metrics.registry.metrics();
    return Number(new RegExp(`sheaf_link_refused_total\\{reason="${code}"\\} (\\d+)`).exec(text)?.[1] ?? 0);
  }
}

/** Sends back what it is sent. */
export function echo(options: Partial<LinkService> = {}): LinkService {
  return {
    name: "echo",
    admits: ["executor"],
    linksMax: 8,
    accept: (opened) => {
      const link: Link = opened.attach({
        received: (message) => link.send(message),
        lost: () => undefined,
      });
    },
    ...options,
  };
}

/** An end of a link that keeps what it hears. */
export class Ear {
  readonly link: Link;
  readonly heard: Uint8Array[] = [];
  readonly #lost: Promise<Error>;
  readonly #waiting: { count: number; resolve: () => void }[] = [];

  constructor(opened: OpenedLink, t: TestContext) {
    let lose: (cause: Error) => void = () => undefined;
    this.#lost = new Promise((resolve) => {
      lose = resolve;
    });
    this.link = opened.attach({
      received: (message) => {
        this.heard.push(message);
        for (const w of this.#waiting) if (this.heard.length >= w.count) w.resolve();
      },
      lost: (cause) => lose(cause),
    });
    t.after(() => this.link.close());
  }

  /** Resolves when so many messages were heard. */
  async hears(count: number): Promise<void> {
    if (this.heard.length >= count) return;
    await new Promise<void>((resolve) => this.#waiting.push({ count, resolve }));
  }

  lost(): Promise<Error> {
    return this.#lost;
  }
}

/** Beats fast, for tests of silence. */
export const FAST: SocketLimits = { beatMs: 50, silentBeatsMax: 6, waitingBytesMax: 1024 * 1024 };
