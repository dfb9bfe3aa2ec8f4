/**
 * Owns keys and certificates as files: an authority per network, a certificate per process, keys of L1 accounts. Files
 * with keys are made for their owner alone and refused when others may read them; what is in them is never logged.
 */
import { X509Certificate } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fromHex, toHex } from "../base/bytes.ts";
import { issueCertificate, type KeyedCertificate, makeAuthority } from "../link/certificate.ts";
import type { Credentials } from "../link/tls-link.ts";
import { type Network, networkError, type ProcessSpec } from "./network-file.ts";

/** Ten years: the network's own, kept offline where that matters. */
export const AUTHORITY_DAYS = 3_650;
/** A process's: issued again by a script well before. */
export const CERTIFICATE_DAYS = 90;
const PRIVATE_MODE = 0o600;

type File = { readonly certificate: string; readonly key: string };

const authorityFiles = (folder: string): File => ({
  certificate: join(folder, "authority.crt"),
  key: join(folder, "authority.key"),
});

function certificateFiles(network: Network, process: ProcessSpec): File {
  const path = (given: string | undefined, kind: string): string =>
    resolve(network.folder, given ?? join(network.pki, `${process.name}.${kind}`));
  return { certificate: path(process.certificate, "crt"), key: path(process.certificateKey, "key") };
}

/** Makes the network's authority unless it is there. @returns whether it was made */
export function initAuthority(network: Network, nowMs: number): boolean {
  const files = authorityFiles(resolve(network.folder, network.pki));
  if (existsSync(files.certificate) && existsSync(files.key)) return false;
  write(files, makeAuthority({ network: network.network, nowMs, days: AUTHORITY_DAYS }));
  return true;
}

/** Issues a process its certificate for the roles it has in the file; replaces the one it had. */
export function issueFor(network: Network, process: ProcessSpec, p: { nowMs: number; days: number }): File {
  const { cluster } = process;
  if (cluster === undefined)
    throw networkError("NETWORK_NO_PROCESS", `${process.name} has no links: it needs no certificate`);
  const authority = authorityFiles(resolve(network.folder, network.pki));
  const files = certificateFiles(network, process);
  const issued = issueCertificate(
    { certificate: readText(authority.certificate), key: readPrivate(authority.key) },
    {
      network: network.network,
      process: process.name,
      roles: process.roles.map((role) => ({ cluster, role })),
      ...p,
    },
  );
  write(files, issued);
  return files;
}

/** What the process shows others. @throws {NetworkError} NETWORK_KEY_FILE, also when its certificate is out of date */
export function credentialsOf(network: Network, process: ProcessSpec, nowMs: number): Credentials {
  const files = certificateFiles(network, process);
  const certificate = readText(files.certificate);
  const until = validUntil(certificate, files.certificate);
  if (until <= nowMs)
    throw networkError(
      "NETWORK_KEY_FILE",
      `${files.certificate} was valid until ${new Date(until).toISOString()}: sheaf pki issue ${process.name}`,
      { file: files.certificate },
    );
  return {
    authority: readText(authorityFiles(resolve(network.folder, network.pki)).certificate),
    certificate,
    key: readPrivate(files.key),
  };
}

/** When a certificate ends. */
export function certificateEndMs(certificate: string): number {
  return Date.parse(new X509Certificate(certificate).validTo);
}

/** When the process's certificate ends; undefined when it has none here. */
export function certificateFileEndMs(network: Network, process: ProcessSpec): number | undefined {
  const { certificate } = certificateFiles(network, process);
  return existsSync(certificate) ? validUntil(readText(certificate), certificate) : undefined;
}

function validUntil(certificate: string, file: string): number {
  try {
    return certificateEndMs(certificate);
  } catch (cause) {
    throw networkError("NETWORK_KEY_FILE", `${file} holds no certificate`, { file }, { cause });
  }
}

/** Private key of an L1 account. @throws {NetworkError} NETWORK_KEY_FILE */
export function readAccountKey(network: Network, path: string): Uint8Array {
  const file = resolve(network.folder, path);
  const text = readPrivate(file).trim().replace(/^0x/, "");
  if (!/^[0-9a-fA-F]{64}$/.test(text))
    throw networkError("NETWORK_KEY_FILE", `${file}: want one private key of 64 hex digits`, { file });
  return fromHex(`0x${text}`);
}

/** What log servers ask for, as the variable that carries it. @throws {NetworkError} NETWORK_KEY_FILE */
export function logTokenOf(network: Network): { readonly SHEAF_LOG_NATS_TOKEN?: string } {
  const file = network.logs?.tokenFile;
  return file === undefined ? {} : { SHEAF_LOG_NATS_TOKEN: readPrivate(resolve(network.folder, file)).trim() };
}

export function writeAccountKey(file: string, key: Uint8Array): void {
  writePrivate(file, `${toHex(key)}\n`);
}

function write(files: File, issued: KeyedCertificate): void {
  // The key first: a certificate whose key is not there is worse than none.
  writePrivate(files.key, issued.key);
  writeFileSync(`${files.certificate}.tmp`, issued.certificate);
  renameSync(`${files.certificate}.tmp`, files.certificate);
}

function writePrivate(file: string, text: string): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  const temporary = `${file}.tmp`;
  writeFileSync(temporary, text, { mode: PRIVATE_MODE });
  chmodSync(temporary, PRIVATE_MODE); // one that was there keeps its mode
  renameSync(temporary, file);
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw networkError(
      "NETWORK_KEY_FILE",
      `${file} cannot be read: sheaf pki init, sheaf pki issue`,
      { file },
      { cause },
    );
  }
}

function readPrivate(file: string): string {
  const text = readText(file);
  // Where files have no such modes there is nothing to see.
  if (process.platform !== "win32" && (statSync(file).mode & 0o077) !== 0)
    throw networkError("NETWORK_KEY_FILE", `${file} may be read by others: chmod 600 ${file}`, { file });
  return text;
}
