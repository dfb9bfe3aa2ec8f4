/**
 * Owns the first messages of a link between machines: who calls, which service they want, in which version; and the
 * answer, yes or a coded no. Certificates prove who somebody is, the hello says what they are here for.
 *
 *   hello   "sheaf" ‖ version ‖ network ‖ cluster ‖ role ‖ process ‖ service
 *   answer  0, or 1 ‖ code ‖ reason
 */
import { Reader, Writer } from "../base/binary.ts";
import { type CodedError, defineErrors } from "../base/error.ts";
import type { Identity } from "./certificate.ts";

/** Both ends must speak the same: messages of roles have no versions of their own. */
export const LINK_VERSION = 1;
/** Above the longest hello there is. */
export const HELLO_BYTES_MAX = 1_024;
const MAGIC = "sheaf";
const TEXT_BYTES_MAX = 64;
const REASON_BYTES_MAX = 400;

export const linkError = defineErrors("Link", {
  LINK_CERTIFICATE: {
    summary: "The other end has no certificate that this network's authority signed and that is valid now.",
    action:
      "Issue the process a certificate (sheaf pki issue); compare the authorities and the clocks of both machines.",
    retryable: true,
  },
  LINK_VERSION: {
    summary: "The two ends speak different versions of the link protocol.",
    action: "Run the same release on both machines.",
    retryable: true,
  },
  LINK_NETWORK: {
    summary: "The other end belongs to another network.",
    action: "Compare `network` and the addresses in both network files.",
    retryable: true,
  },
  LINK_CLUSTER: {
    summary: "The other end belongs to another cluster.",
    action: "Compare the addresses of processes in the network file.",
    retryable: true,
  },
  LINK_ROLE: {
    summary: "The other end's certificate does not let it speak as the role it takes, or that role is not wanted here.",
    action: "Issue it a certificate with the role (sheaf pki issue), or give it the right address.",
    retryable: true,
  },
  LINK_SERVICE: {
    summary: "The called process does not offer what the caller wants.",
    action: "Compare the roles of the called process in the network file.",
    retryable: true,
  },
  LINK_BUSY: {
    summary: "The called process has as many links of this kind as it takes.",
    action: "Run fewer callers, or raise the limit that the message names.",
    retryable: true,
  },
  LINK_ELSEWHERE: {
    summary: "The called process does not offer this service now: another one does.",
    action: "Nothing: the caller tries the others of the network file in turn.",
    retryable: true,
  },
  LINK_HELLO: {
    summary: "What came first on a link was no hello.",
    action: "Nothing: another program called. Keep link ports private.",
    retryable: true,
  },
  LINK_HANDSHAKE_TIMEOUT: {
    summary: "The other end did not say who it is in time.",
    action: "Nothing, when it is rare; else look for a machine that is overloaded, or for a stranger.",
    retryable: true,
  },
  LINK_CLOSED: {
    summary: "The link was closed by the other end, or its connection broke.",
    action: "Nothing: it is made anew.",
    retryable: true,
  },
  LINK_SILENT: {
    summary: "Nothing was heard from the other end for several heartbeats: its machine or the network between is gone.",
    action: "Nothing, when it is rare: the link is made anew.",
    retryable: true,
  },
  LINK_SLOW: {
    summary: "The other end reads slower than it is written to, and what waits for it passed the bound.",
    action: "Look at its load and at the network between.",
    retryable: true,
  },
});

export type LinkErrorCode = Parameters<typeof linkError>[0];
const CODES: readonly LinkErrorCode[] = [
  ...(["LINK_CERTIFICATE", "LINK_VERSION", "LINK_NETWORK", "LINK_CLUSTER", "LINK_ROLE", "LINK_SERVICE"] as const),
  ...(["LINK_BUSY", "LINK_HELLO", "LINK_ELSEWHERE"] as const),
];

export type Hello = Identity & { readonly version: number; readonly service: string };

export function encodeHello(hello: Hello): Uint8Array {
  const { version, network, cluster, role, process, service } = hello;
  const w = new Writer(128).text(MAGIC).uvarint(version);
  for (const part of [network, cluster, role, process, service]) w.text(part);
  return w.finish();
}

/** What follows the version is read only in ours: another one may say other things. @throws {LinkError}, {CodecError} */
export function decodeHello(bytes: Uint8Array): Hello {
  const r = new Reader(bytes);
  if (r.text(TEXT_BYTES_MAX) !== MAGIC) throw linkError("LINK_HELLO", "not a hello of Sheaf");
  const version = r.uvarint();
  if (version !== LINK_VERSION)
    throw linkError("LINK_VERSION", `the caller speaks version ${version}, this is ${LINK_VERSION}`, { version });
  const [network, cluster, role, process, service] = Array.from({ length: 5 }, () => r.text(TEXT_BYTES_MAX)) as [
    string,
    string,
    string,
    string,
    string,
  ];
  r.end();
  return { version, network, cluster, role, process, service };
}

/** `refusal` undefined: welcome. */
export function encodeAnswer(
  refusal: { readonly code: LinkErrorCode; readonly reason: string } | undefined,
): Uint8Array {
  const w = new Writer(128);
  if (refusal === undefined) return w.byte(0).finish();
  return w.byte(1).byte(CODES.indexOf(refusal.code)).text(refusal.reason.slice(0, REASON_BYTES_MAX)).finish();
}

/** @returns the refusal, or undefined for a welcome. @throws {CodecError} */
export function decodeAnswer(bytes: Uint8Array): CodedError<LinkErrorCode> | undefined {
  const r = new Reader(bytes);
  if (r.byte() === 0) {
    r.end();
    return undefined;
  }
  const code = CODES[r.byte()] ?? "LINK_HELLO";
  const reason = r.text(4 * REASON_BYTES_MAX);
  r.end();
  return linkError(code, `refused: ${reason}`);
}
