/**
 * Owns the KZG library: the worker thread behind `kzg.ts`. One question at a time, synchronously: the thread has nothing
 * else to do. Bytes that are no blob give an error answer, never a crash.
 */
import { parentPort, workerData } from "node:worker_threads";
// A CommonJS module whose names Node cannot see from outside: only the default import works.
import ethKzg from "@crate-crypto/node-eth-kzg";
import { assert } from "../base/assert.ts";
import type { KzgAnswer, KzgRequest, KzgWorkerData } from "./kzg.ts";

assert(parentPort !== null, "the KZG worker runs as a worker");
const port = parentPort;
// Precomputation costs 0.7 s and 100 MB once; the cell proofs of a blob then take 139 ms of CPU instead of 217.
const { purpose } = workerData as KzgWorkerData;
const context = ethKzg.DasContextJs.create({ usePrecomp: purpose === "prove" });

function answer(request: KzgRequest): KzgAnswer {
  try {
    const commitment = context.blobToKzgCommitment(request.blob);
    const proofs =
      request.proofs === undefined
        ? []
        : request.proofs === "blob"
          ? [context.computeBlobKzgProof(request.blob, commitment)]
          : context.computeCellsAndKzgProofs(request.blob).proofs;
    return { id: request.id, commitment, proofs };
  } catch (error) {
    return { id: request.id, error: error instanceof Error ? error.message : String(error) };
  }
}

port.on("message", (request: KzgRequest) => port.postMessage(answer(request)));
