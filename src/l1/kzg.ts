/**
 * Owns KZG for blobs (EIP-4844 commitments and proofs, EIP-7594 cell proofs), computed in worker threads of its own
 * (`kzg-worker.ts`), one that proves and one that checks: loading the trusted setup stalls its thread for over a second
 * and the cell proofs of a blob take more than a hundred milliseconds; neither the event loop nor the shared file-system
 * pool may wait for that. A worker starts on first use, never keeps the process alive, and is started anew when it dies.
 * @see https://eips.ethereum.org/EIPS/eip-4844 and https://eips.ethereum.org/EIPS/eip-7594
 */
import { createHash } from "node:crypto";
import type { Worker } from "node:worker_threads";
import { assert } from "../base/assert.ts";
import { bytesEqual } from "../base/bytes.ts";
import { defineErrors, hasCode } from "../base/error.ts";
import { startWorker } from "../base/worker.ts";

export const kzgError = defineErrors("Kzg", {
  KZG_INVALID_BLOB: {
    summary: "Bytes are not a blob: wrong length, or a field element not below the BLS modulus.",
    action: "Encode them with the blob codec.",
    retryable: false,
  },
  KZG_WORKER: {
    summary: "The KZG worker thread ended before it answered.",
    action: "Look for memory pressure in the logs; the call is retried with a new worker.",
    retryable: true,
  },
});

/** Which proofs travel with a blob: one per blob until Osaka ("blob"), 128 per blob since ("cell"). */
export type BlobProofs = "blob" | "cell";

/** A blob with everything a transaction needs of it. */
export type ProvenBlob = {
  readonly blob: Uint8Array;
  readonly commitment: Uint8Array;
  readonly versionedHash: Uint8Array;
  /** One proof of 48 bytes, or 128 of them. */
  readonly proofs: readonly Uint8Array[];
};

/** `proofs` undefined: the commitment alone. */
export type KzgRequest = { readonly id: number; readonly blob: Uint8Array; readonly proofs: BlobProofs | undefined };
export type KzgAnswer = { readonly id: number } & (
  | { readonly commitment: Uint8Array; readonly proofs: readonly Uint8Array[] }
  | { readonly error: string }
);

/** Proofs are made with precomputed tables on a thread that gives way to others; commitments are checked without both. */
export type KzgPurpose = "prove" | "check";
export type KzgWorkerData = { readonly purpose: KzgPurpose };

type Waiter = { resolve: (answer: KzgAnswer) => void; reject: (error: unknown) => void };

/**
 * Commitments already computed here, by the SHA-256 of the blob: a blob is looked at when it is posted, when it is read
 * back and when it is derived from, and hashing takes 0.2 ms, committing 38.
 */
const KNOWN_MAX = 256;
const known = new Map<string, Uint8Array>();

function remember(key: string, commitment: Uint8Array): void {
  known.delete(key);
  known.set(key, commitment);
  if (known.size <= KNOWN_MAX) return;
  const [oldest] = known.keys();
  if (oldest !== undefined) known.delete(oldest);
}

const keyOf = (blob: Uint8Array): string => createHash("sha256").update(blob).digest("hex");

/** A worker thread with the library, started on first use and again after it died. */
class KzgThread {
  readonly #purpose: KzgPurpose;
  readonly #waiting = new Map<number, Waiter>();
  #worker: Worker | undefined;
  #nextId = 1;

  constructor(purpose: KzgPurpose) {
    this.#purpose = purpose;
  }

  async ask(blob: Uint8Array, proofs: BlobProofs | undefined): Promise<KzgAnswer & { commitment: Uint8Array }> {
    this.#worker ??= this.#start();
    const current = this.#worker;
    const id = this.#nextId++;
    const answer = await new Promise<KzgAnswer>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      current.ref(); // a question in flight keeps the process alive, an idle worker does not
      current.postMessage({ id, blob, proofs } satisfies KzgRequest);
    });
    if ("error" in answer)
      throw kzgError("KZG_INVALID_BLOB", `no KZG commitment of these bytes: ${answer.error}`, {
        sizeBytes: blob.length,
      });
    return answer;
  }

  #start(): Worker {
    const started = startWorker(new URL("./kzg-worker.ts", import.meta.url), {
      name: `kzg ${this.#purpose}`,
      workerData: { purpose: this.#purpose } satisfies KzgWorkerData,
      background: this.#purpose === "prove",
    });
    const fail = (cause: unknown): void => {
      if (this.#worker !== started) return;
      this.#worker = undefined;
      const failed = [...this.#waiting.values()];
      this.#waiting.clear();
      for (const waiter of failed) waiter.reject(kzgError("KZG_WORKER", "the KZG worker ended", {}, { cause }));
    };
    started.on("message", (answer: KzgAnswer) => {
      const waiter = this.#waiting.get(answer.id);
      assert(waiter !== undefined, "every KZG answer has a question");
      this.#waiting.delete(answer.id);
      if (this.#waiting.size === 0) started.unref();
      waiter.resolve(answer);
    });
    started.on("error", fail);
    started.on("exit", fail);
    return started;
  }
}

/** What is posted can wait until the sequencer is less busy; whoever derives waits for what it reads. */
const prover = new KzgThread("prove");
const checker = new KzgThread("check");

/** `0x01 ‖ sha256(commitment)[1:]`. */
export function versionedHashOf(commitment: Uint8Array): Uint8Array {
  const hash = new Uint8Array(createHash("sha256").update(commitment).digest());
  hash[0] = 1;
  return hash;
}

/** The 48-byte KZG commitment of a blob. @throws {KzgError} KZG_INVALID_BLOB */
export async function commitmentOf(blob: Uint8Array): Promise<Uint8Array> {
  const key = keyOf(blob);
  const commitment = known.get(key) ?? (await checker.ask(blob, undefined)).commitment;
  remember(key, commitment);
  return commitment;
}

/** Commitment, versioned hash and proofs of a blob. @throws {KzgError} KZG_INVALID_BLOB */
export async function proveBlob(blob: Uint8Array, proofs: BlobProofs): Promise<ProvenBlob> {
  const key = keyOf(blob); // of the bytes as they were asked about
  const answer = await prover.ask(blob, proofs);
  assert("proofs" in answer, "a proven blob carries proofs");
  remember(key, answer.commitment);
  return {
    blob,
    commitment: answer.commitment,
    versionedHash: versionedHashOf(answer.commitment),
    proofs: answer.proofs,
  };
}

/** True when `blob` is what `versionedHash` commits to; bytes that are no blob never are. */
export async function blobMatches(blob: Uint8Array, versionedHash: Uint8Array): Promise<boolean> {
  if (blob.length !== 131_072) return false;
  try {
    return bytesEqual(versionedHashOf(await commitmentOf(blob)), versionedHash);
  } catch (error) {
    if (hasCode(error, "KZG_INVALID_BLOB")) return false;
    throw error;
  }
}
