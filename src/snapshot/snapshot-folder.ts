/**
 * Owns a folder of snapshots: manifests by block and hash, chunks by the hash of their content. A chunk that several
 * snapshots share is stored once. Invariant: a file is complete or absent (written beside, then renamed); a manifest is
 * written after all its chunks, and chunks are removed only when no manifest names them.
 * What is read is checked against its name: a damaged file is a fault, never content.
 */
import { mkdir, open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { brotliCompress as brotliCompressLater, brotliDecompress as brotliDecompressLater, constants } from "node:zlib";
import { bytesEqual, toHexKey } from "../base/bytes.ts";
import { CHUNK_MAX_BYTES } from "./chunk.ts";
import { snapshotError } from "./error.ts";
import { type ChunkRef, type Manifest, readManifest, type SignedManifest, sha256 } from "./manifest.ts";

const brotliCompress = promisify(brotliCompressLater);
const brotliDecompress = promisify(brotliDecompressLater);
/** Most of the gain of higher ones at a tenth of the time. */
const BROTLI_QUALITY = 4;
const MANIFEST = /^\d{12}-([0-9a-f]{64})\.manifest$/;

export class SnapshotFolder {
  readonly #path: string;
  #writes = 0;

  constructor(path: string) {
    this.#path = path;
  }

  #chunkPath(hash: Uint8Array): string {
    const key = toHexKey(hash);
    return join(this.#path, "chunks", key.slice(0, 2), key);
  }

  /** Stores a chunk unless it is there; says how many bytes were written. */
  async putChunk(chunk: Uint8Array): Promise<{ ref: ChunkRef; writtenBytes: number }> {
    const ref = { hash: sha256(chunk), sizeBytes: chunk.length };
    const path = this.#chunkPath(ref.hash);
    if ((await stat(path).catch(() => undefined)) !== undefined) return { ref, writtenBytes: 0 };
    const stored = await brotliCompress(chunk, {
      params: {
        [constants.BROTLI_PARAM_QUALITY]: BROTLI_QUALITY,
        [constants.BROTLI_PARAM_SIZE_HINT]: chunk.length,
      },
    });
    await this.#write(path, stored);
    return { ref, writtenBytes: stored.length };
  }

  /** @throws {SnapshotError} SNAPSHOT_CORRUPT */
  async chunk({ hash, sizeBytes }: ChunkRef): Promise<Uint8Array> {
    const name = toHexKey(hash);
    try {
      if (sizeBytes > CHUNK_MAX_BYTES) throw new Error(`${sizeBytes} bytes are more than a chunk may have`);
      const stored = await readFile(this.#chunkPath(hash));
      const chunk = await brotliDecompress(stored, { maxOutputLength: Math.max(1, sizeBytes) });
      if (!bytesEqual(sha256(chunk), hash)) throw new Error("the content has another hash");
      return chunk;
    } catch (error) {
      throw snapshotError("SNAPSHOT_CORRUPT", `chunk ${name} is missing or damaged`, { chunk: name }, { cause: error });
    }
  }

  /** Stores a signed manifest, whose chunks must all be stored. */
  async putManifest(bytes: Uint8Array): Promise<SignedManifest> {
    const signed = readManifest(bytes);
    await this.#write(join(this.#path, manifestName(signed)), bytes);
    return signed;
  }

  /** All snapshots, oldest block first; unreadable manifests are faults. @throws {SnapshotError} SNAPSHOT_CORRUPT */
  async list(): Promise<SignedManifest[]> {
    const found: SignedManifest[] = [];
    for (const name of await this.#manifestNames()) {
      const signed = readManifest(await readFile(join(this.#path, name)));
      if (toHexKey(signed.id) !== MANIFEST.exec(name)?.[1])
        throw snapshotError("SNAPSHOT_CORRUPT", `manifest ${name} is not what its name says`, { name });
      found.push(signed);
    }
    return found;
  }

  async #manifestNames(): Promise<string[]> {
    const names = await readdir(this.#path).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
      throw error;
    });
    return names.filter((name) => MANIFEST.test(name)).toSorted();
  }

  /** Removes all but the newest `count` snapshots, then the chunks that none of them names. */
  async keep(count: number): Promise<void> {
    const all = await this.list();
    const kept = all.slice(-count);
    for (const signed of all.slice(0, -count)) await rm(join(this.#path, manifestName(signed)), { force: true });
    const named = new Set(kept.flatMap(({ manifest }) => chunksIn(manifest).map(({ hash }) => toHexKey(hash))));
    const root = join(this.#path, "chunks");
    for (const folder of await readdir(root).catch(() => []))
      for (const name of await readdir(join(root, folder)))
        if (!named.has(name)) await rm(join(root, folder, name), { force: true });
  }

  async #write(path: string, bytes: Uint8Array): Promise<void> {
    await mkdir(dirname(path), { recursive: true });
    const beside = `${path}.${process.pid}-${this.#writes++}.part`;
    const file = await open(beside, "w");
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(beside, path);
  }
}

export function chunksIn(manifest: Manifest): ChunkRef[] {
  return manifest.databases.flatMap(({ tables }) => tables.flatMap(({ chunks }) => chunks));
}

function manifestName({ manifest, id }: SignedManifest): string {
  const number = Math.max(0, ...manifest.databases.map(({ head }) => head.number));
  return `${String(number).padStart(12, "0")}-${toHexKey(id)}.manifest`;
}
