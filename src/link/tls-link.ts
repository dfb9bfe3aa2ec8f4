/**
 * Owns the calling end of links between machines: TCP with TLS 1.3 where both ends show a certificate of the network's
 * authority. Whom it called is checked by role and cluster and not by address, before anything is sent. A lost link is
 * made anew after a pause that grows, with jitter, so that many callers of one process do not all come back at once.
 * @see docs/decisions/0015-network.md
 */
import { connect, type TLSSocket } from "node:tls";
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { Service } from "../base/service.ts";
import { type Identity, identitiesOf } from "./certificate.ts";
import { FramedSocket, SOCKET_LIMITS, type SocketLimits } from "./framed-socket.ts";
import { FRAME_BYTES_MAX } from "./frames.ts";
import { decodeAnswer, encodeHello, HELLO_BYTES_MAX, LINK_VERSION, linkError } from "./hello.ts";
import type { Host, Link, LinkEvents } from "./link.ts";
import type { LinkMetrics } from "./metrics.ts";

/** What a process shows others: its certificate and key, and the authority it trusts. All PEM; the key is a secret. */
export type Credentials = { readonly authority: string; readonly certificate: string; readonly key: string };

/** A link that was made and is not listened to yet: nothing is lost until it is. */
export type OpenedLink = {
  readonly peer: Identity;
  /** Once. */
  attach(events: LinkEvents): Link;
};

export type CallOptions = {
  readonly host: string;
  readonly port: number;
  /** Asked for each call: certificates are renewed. */
  readonly credentials: Credentials | (() => Credentials);
  /** As whom it calls; its certificate must say so. */
  readonly self: Identity;
  /** The role that must answer, in the caller's cluster. */
  readonly role: string;
  /** What is wanted of it. */
  readonly service: string;
  readonly frameBytesMax?: number;
  readonly limits?: SocketLimits;
  readonly timeoutMs?: number;
};

/** TCP, TLS and hello together. */
const CALL_TIMEOUT_MS = 5_000;
const RETRY_MIN_MS = 250;
const RETRY_MAX_MS = 5_000;
/** A link that lived this long was a good one: the next pause is short again. */
const GOOD_MS = 10_000;

/** Makes one link. @throws {LinkError} */
export function callTls(options: CallOptions, signal: AbortSignal): Promise<OpenedLink> {
  const { host, port, self, role } = options;
  const credentials = typeof options.credentials === "function" ? options.credentials() : options.credentials;
  return new Promise((resolve, reject) => {
    let peer: Identity | undefined;
    const socket: TLSSocket = connect({
      host,
      port,
      ca: credentials.authority,
      cert: credentials.certificate,
      key: credentials.key,
      minVersion: "TLSv1.3",
      checkServerIdentity: (_host, certificate) => {
        const identities = identitiesOf(certificate.raw);
        peer = identities.find((i) => i.network === self.network && i.cluster === self.cluster && i.role === role);
        if (peer !== undefined) return undefined;
        const names = identities.map((i) => `${i.network}/${i.cluster}/${i.role}`).join(", ");
        return linkError(
          "LINK_ROLE",
          `want ${role} of ${self.network}/${self.cluster} at ${host}:${port}, it is ${names}`,
        );
      },
    });
    const end = (cause: Error): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      socket.destroy();
      reject(cause);
    };
    const onAbort = (): void => end(linkError("LINK_CLOSED", "stopped while calling"));
    const timer = setTimeout(
      () => end(linkError("LINK_HANDSHAKE_TIMEOUT", `${host}:${port} did not answer in time`)),
      options.timeoutMs ?? CALL_TIMEOUT_MS,
    );
    signal.addEventListener("abort", onAbort, { once: true });
    socket.on("error", (error) => end(certificateFault(error) ?? error));
    socket.once("secureConnect", () => {
      const link = new FramedSocket(socket, options.limits ?? SOCKET_LIMITS, {
        first: (message) => {
          try {
            const refusal = decodeAnswer(message);
            if (refusal !== undefined) return end(refusal);
          } catch {
            return end(linkError("LINK_HELLO", `${host}:${port} answers something else than a welcome`));
          }
          clearTimeout(timer);
          signal.removeEventListener("abort", onAbort);
          link.hold(options.frameBytesMax ?? FRAME_BYTES_MAX);
          resolve({ peer: peer as Identity, attach: (events) => link.attach(events) });
        },
        firstBytesMax: HELLO_BYTES_MAX * 2,
        lost: end,
      });
      link.send(encodeHello({ ...self, version: LINK_VERSION, service: options.service }));
    });
    if (signal.aborted) onAbort();
  });
}

/** What TLS says of certificates, in our words; undefined when it is about something else. */
function certificateFault(error: Error): Error | undefined {
  const { code } = error as Error & { code?: string };
  if (code === undefined || !/CERT|SELF_SIGNED|ALERT|SIGNATURE/.test(code)) return undefined;
  return linkError("LINK_CERTIFICATE", `${code}: ${error.message}`, { tls: code }, { cause: error });
}

/**
 * A service that keeps calling and is, while the link lasts, the worker or client at its end: `host` is made anew for
 * each link. Of several that offer the same, the next is called when one is lost or away. `lost` tells a client that its
 * answers will not come.
 */
export function callingService(p: {
  readonly name: string;
  /** At least one. */
  readonly calls: readonly CallOptions[];
  readonly host: Host;
  readonly lost?: (cause: Error) => void;
  readonly log: Log;
  readonly metrics: LinkMetrics;
  readonly clock: Clock;
}): Service {
  const { name, calls, log, metrics, clock } = p;
  let missing: string | undefined = "has not called yet";
  return {
    name,
    notReady: () => missing,
    run: async (signal) => {
      let pauseMs = RETRY_MIN_MS;
      for (let turn = 0; !signal.aborted; turn++) {
        const call = calls[turn % calls.length] as CallOptions;
        let sinceMs: number | undefined;
        try {
          const opened = await callTls(call, signal);
          sinceMs = clock.nowMs();
          missing = undefined;
          log.info("link made", { service: call.service, peer: opened.peer.process, port: call.port });
          await serveUntilLost(opened, p.host, signal);
        } catch (err) {
          if (signal.aborted) break;
          p.lost?.(err as Error);
          metrics.lost.inc(1, { service: call.service });
          const told = (err as Error).message;
          // The same reason again and again is told once.
          if (told !== missing)
            log.warn("no link, calling again", { service: call.service, host: call.host, port: call.port, err });
          missing = told;
        }
        if (sinceMs !== undefined && clock.nowMs() - sinceMs >= GOOD_MS) pauseMs = RETRY_MIN_MS;
        await clock.sleep(pauseMs * (0.75 + Math.random() * 0.5), signal);
        // All of them have been tried before the next round takes longer.
        if ((turn + 1) % calls.length === 0) pauseMs = Math.min(RETRY_MAX_MS, pauseMs * 2);
      }
    },
  };
}

/** Resolves when `signal` aborts. @throws why the link was lost */
async function serveUntilLost(opened: OpenedLink, host: Host, signal: AbortSignal): Promise<void> {
  let link: Link | undefined;
  const receive = await host((message) => link?.send(message));
  await new Promise<void>((resolve, reject) => {
    const onAbort = (): void => {
      void link?.close().then(resolve);
    };
    signal.addEventListener("abort", onAbort, { once: true });
    const end = (cause: Error): void => {
      signal.removeEventListener("abort", onAbort);
      void link?.close();
      reject(cause);
    };
    link = opened.attach({
      received: (message) => {
        try {
          receive(message);
        } catch (error) {
          end(error as Error);
        }
      },
      lost: end,
    });
    if (signal.aborted) onAbort();
  });
}
