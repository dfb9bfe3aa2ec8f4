/**
 * Owns the network form of a blob transaction: the signed body with its blobs, commitments and proofs. Until Osaka the
 * wrapper is `[body, blobs, commitments, proofs]`, since then `[body, 1, blobs, commitments, cell proofs]` (EIP-7594);
 * nodes of one side refuse the other's form, so which one is configuration (anvil 1.7.1 takes both at every hardfork).
 */
import { assert } from "../base/assert.ts";
import { decodeRlp, encodeRlp } from "../protocol/rlp.ts";
import type { ProvenBlob } from "./kzg.ts";

const BLOB_TYPE = 3;
const CELL_PROOFS_PER_BLOB = 128;
const WRAPPER_VERSION = new Uint8Array([1]);

/** Wraps a signed body of type 3. The proofs of the blobs choose the form: one each, or 128 each. */
export function wrapBlobs(body: Uint8Array, blobs: readonly ProvenBlob[]): Uint8Array {
  assert(body[0] === BLOB_TYPE && blobs.length > 0, "only a blob transaction carries blobs");
  const cells = (blobs[0] as ProvenBlob).proofs.length === CELL_PROOFS_PER_BLOB;
  for (const blob of blobs)
    assert(
      blob.proofs.length === (cells ? CELL_PROOFS_PER_BLOB : 1),
      "all blobs of a transaction carry the same proofs",
    );
  return encodeRlp(
    [
      decodeRlp(body.subarray(1)),
      ...(cells ? [WRAPPER_VERSION] : []),
      blobs.map((b) => b.blob),
      blobs.map((b) => b.commitment),
      blobs.flatMap((b) => b.proofs),
    ],
    body.subarray(0, 1),
  );
}
