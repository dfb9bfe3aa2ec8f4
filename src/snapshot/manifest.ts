/**
 * Owns the document of a snapshot: which cluster and block it is of, and the hashes of all chunks of all tables. Its
 * signature covers all of it, so whoever trusts the signer trusts every byte restored. Its name is its hash.
 * Reading accepts any bytes; what is read is canonical, so the hash of what was signed is the hash of what was read.
 */
import { createHash } from "node:crypto";
import { Reader, Writer } from "../base/binary.ts";
import { bytesEqual, concatBytes, toHex } from "../base/bytes.ts";
import { keccak256 } from "../protocol/keccak.ts";
import { addressOfPrivateKey, recoverAddress, signDigest } from "../protocol/secp256k1.ts";
import { snapshotError } from "./error.ts";

const VERSION = 1;
const DOMAIN = Buffer.from("sheaf snapshot v1\0");
const HASH_BYTES = 32;
const SIGNATURE_BYTES = 65;
const NAME_BYTES_MAX = 64;
const DATABASES_MAX = 1_024;

export type ChunkRef = {
  /** sha256 of the chunk before compression. */
  readonly hash: Uint8Array;
  readonly sizeBytes: number;
};

export type TableManifest = { readonly name: string; readonly entries: number; readonly chunks: readonly ChunkRef[] };

export type SnapshotHead = { readonly number: number; readonly hash: Uint8Array; readonly stateRoot: Uint8Array };

export type Manifest = {
  readonly chainId: number;
  readonly genesisHash: Uint8Array;
  readonly takenAtSeconds: number;
  /** Databases by name; those of one head belong together, others are as of moments of their own. */
  readonly databases: readonly {
    readonly name: string;
    /** Of the chain that is in it, or whose state is: what a part has of later blocks is taken back when it is opened. */
    readonly head: SnapshotHead;
    readonly tables: readonly TableManifest[];
  }[];
};

export type SignedManifest = { readonly manifest: Manifest; readonly id: Uint8Array; readonly signer: Uint8Array };

function encode(m: Manifest): Uint8Array {
  const w = new Writer(4096).uvarint(VERSION).uvarint(m.chainId).fixed(m.genesisHash).uvarint(m.takenAtSeconds);
  w.list(m.databases, ({ name, head, tables }) => {
    w.text(name).uvarint(head.number).fixed(head.hash).fixed(head.stateRoot);
    w.list(tables, (table) => {
      w.text(table.name).uvarint(table.entries);
      w.list(table.chunks, (chunk) => w.fixed(chunk.hash).uvarint(chunk.sizeBytes));
    });
  });
  return w.finish();
}

function decode(bytes: Uint8Array): Manifest {
  const r = new Reader(bytes);
  const version = r.uvarint();
  if (version !== VERSION) throw new Error(`manifest version ${version}, this program reads ${VERSION}`);
  const manifest: Manifest = {
    chainId: r.uvarint(),
    genesisHash: r.fixed(HASH_BYTES).slice(),
    takenAtSeconds: r.uvarint(),
    databases: r.list(DATABASES_MAX, () => ({
      name: r.text(NAME_BYTES_MAX),
      head: { number: r.uvarint(), hash: r.fixed(HASH_BYTES).slice(), stateRoot: r.fixed(HASH_BYTES).slice() },
      tables: r.list(64, () => ({
        name: r.text(NAME_BYTES_MAX),
        entries: r.uvarint(),
        chunks: r.list(1_000_000, () => ({ hash: r.fixed(HASH_BYTES).slice(), sizeBytes: r.uvarint() })),
      })),
    })),
  };
  r.end();
  for (const { name, tables } of manifest.databases)
    for (const part of [name, ...tables.map((t) => t.name)])
      if (!/^[a-z0-9-]+$/.test(part)) throw new Error("names are lower-case words");
  if (!bytesEqual(encode(manifest), bytes)) throw new Error("the encoding is not canonical");
  return manifest;
}

const digestOf = (encoded: Uint8Array): Uint8Array => keccak256(concatBytes(DOMAIN, encoded));

/** Signed bytes of a manifest, and its id (their sha256). @throws on an invalid private key. */
export function signManifest(
  manifest: Manifest,
  privateKey: Uint8Array,
): { bytes: Uint8Array; signed: SignedManifest } {
  const encoded = encode(manifest);
  const { yParity, r, s } = signDigest(digestOf(encoded), privateKey);
  const w = new Writer(encoded.length + SIGNATURE_BYTES).fixed(encoded).byte(yParity);
  const hex = (value: bigint): Uint8Array => Buffer.from(value.toString(16).padStart(2 * HASH_BYTES, "0"), "hex");
  const bytes = w.fixed(hex(r)).fixed(hex(s)).finish();
  return { bytes, signed: { manifest, id: sha256(bytes), signer: addressOfPrivateKey(privateKey) } };
}

/** The manifest in signed bytes and who signed it; whether to trust that is the caller's. @throws SNAPSHOT_CORRUPT */
export function readManifest(bytes: Uint8Array): SignedManifest {
  const at = bytes.length - SIGNATURE_BYTES;
  try {
    if (at < 0) throw new Error("too short");
    const encoded = bytes.subarray(0, at);
    const yParity = bytes[at] as number;
    if (yParity > 1) throw new Error("the parity of a signature is 0 or 1");
    const r = BigInt(toHex(bytes.subarray(at + 1, at + 1 + HASH_BYTES)));
    const s = BigInt(toHex(bytes.subarray(at + 1 + HASH_BYTES)));
    const signer = recoverAddress(digestOf(encoded), yParity, r, s);
    if (signer === undefined) throw new Error("the signature is none");
    return { manifest: decode(encoded), id: sha256(bytes), signer };
  } catch (error) {
    throw snapshotError(
      "SNAPSHOT_CORRUPT",
      `a manifest is not readable: ${error instanceof Error ? error.message : ""}`,
      {},
      { cause: error },
    );
  }
}

export function sha256(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(createHash("sha256").update(bytes).digest());
}
