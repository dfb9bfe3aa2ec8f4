/**
 * Owns reading blobs from a beacon node: `GET /eth/v1/beacon/blobs/{block_id}`. A real one names blocks by slot, which
 * follows from the L1 timestamp; anvil has no slots (its /eth/v1/config/spec is 404) and takes the hash of the execution
 * block. Blobs are matched to their versioned hashes by recomputing the commitment; the order of the answer is not relied on.
 * @see https://ethereum.github.io/beacon-APIs/#/Beacon/getBlobs
 */
import { toHex, toHexKey } from "../base/bytes.ts";
import { commitmentOf, versionedHashOf } from "../l1/kzg.ts";
import { BLOB_SIZE_BYTES } from "../protocol/blob-codec.ts";
import { type BlobReference, type BlobSource, daError } from "./da.ts";

/** More than a block of 72 blobs in hex. */
const ANSWER_SIZE_MAX_BYTES = 20 * 1024 * 1024;

type Slots = { readonly genesisTime: number; readonly secondsPerSlot: number };

export class BeaconBlobs implements BlobSource {
  readonly name: string;
  readonly checks = true; // finding out which blob is which is the check
  readonly #url: string;
  readonly #timeoutMs: number;
  /** `null`: the node has no slots. */
  #slots: Slots | null | undefined;

  constructor(options: { readonly url: string; readonly timeoutMs?: number }) {
    this.#url = options.url.replace(/\/+$/, "");
    this.#timeoutMs = options.timeoutMs ?? 10_000;
    this.name = `beacon ${new URL(options.url).host}`;
  }

  async blobs(reference: BlobReference): Promise<readonly Uint8Array[]> {
    const id = await this.#blockId(reference);
    const wanted = reference.versionedHashes.map(toHex).join(",");
    const answer = await this.#get(`/eth/v1/beacon/blobs/${id}?versioned_hashes=${wanted}`);
    const data = (answer as { data?: unknown } | undefined)?.data;
    if (!Array.isArray(data))
      throw daError("DA_UNAVAILABLE", `${this.name} has no blobs of block ${id}`, { block: id });
    const byHash = new Map<string, Uint8Array>();
    for (const item of data) {
      const blob = readBlob(item);
      if (blob === undefined) continue;
      try {
        byHash.set(toHexKey(versionedHashOf(await commitmentOf(blob))), blob);
      } catch {
        // Not a blob at all; what is missing shows below.
      }
    }
    return reference.versionedHashes.map((versionedHash) => {
      const hash = toHexKey(versionedHash);
      const blob = byHash.get(hash);
      if (blob === undefined)
        throw daError("DA_UNAVAILABLE", `${this.name} does not serve blob ${hash} of block ${id}`, { hash, block: id });
      return blob;
    });
  }

  async #blockId(reference: BlobReference): Promise<string> {
    this.#slots ??= await this.#readSlots();
    if (this.#slots === null) return toHex(reference.l1BlockHash);
    return String(Math.floor((reference.l1Timestamp - this.#slots.genesisTime) / this.#slots.secondsPerSlot));
  }

  async #readSlots(): Promise<Slots | null> {
    const [spec, genesis] = await Promise.all([this.#get("/eth/v1/config/spec"), this.#get("/eth/v1/beacon/genesis")]);
    if (spec === undefined) return null;
    const secondsPerSlot = Number((spec as { data?: { SECONDS_PER_SLOT?: unknown } }).data?.SECONDS_PER_SLOT);
    const genesisTime = Number((genesis as { data?: { genesis_time?: unknown } } | undefined)?.data?.genesis_time);
    if (!Number.isSafeInteger(secondsPerSlot) || secondsPerSlot <= 0 || !Number.isSafeInteger(genesisTime))
      throw daError("DA_UNAVAILABLE", `${this.name} does not tell its slots`, {});
    return { genesisTime, secondsPerSlot };
  }

  /** The JSON answer; undefined for 404. @throws {DaError} DA_UNAVAILABLE */
  async #get(path: string): Promise<unknown> {
    try {
      const response = await fetch(`${this.#url}${path}`, {
        headers: { accept: "application/json" },
        signal: AbortSignal.timeout(this.#timeoutMs),
      });
      if (response.status === 404) {
        await response.body?.cancel();
        return undefined;
      }
      if (!response.ok) throw new Error(`status ${response.status}`);
      const length = Number(response.headers.get("content-length") ?? "0");
      if (length > ANSWER_SIZE_MAX_BYTES) throw new Error(`answer of ${length} bytes`);
      return await response.json();
    } catch (cause) {
      throw daError("DA_UNAVAILABLE", `${this.name} failed on ${path.slice(0, 60)}`, {}, { cause });
    }
  }
}

function readBlob(item: unknown): Uint8Array | undefined {
  if (typeof item !== "string" || item.length !== 2 + 2 * BLOB_SIZE_BYTES || !item.startsWith("0x")) return undefined;
  const bytes = Buffer.from(item.slice(2), "hex");
  return bytes.length === BLOB_SIZE_BYTES ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length) : undefined;
}
