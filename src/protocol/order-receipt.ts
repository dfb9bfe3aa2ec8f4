/**
 * Owns order receipts: the sequencer's signed word on when a transaction was accepted, and what can be made of two of
 * them. One signature covers a whole accepted batch: the root of a Merkle tree over its transactions; a receipt is a leaf
 * with the way to the root. Verified offline, with nothing but the receipt and the signer's address.
 *
 *   leaf   keccak256(0 ‖ "sheaf order receipt" ‖ chain id ‖ lane ‖ sequence ‖ accepted ms ‖ transaction hash), integers
 *          of 8 bytes, big-endian
 *   node   keccak256(1 ‖ left ‖ right); a node without a sibling moves up as it is
 *   signed the 32 bytes of the root as an Ethereum message (EIP-191), so `cast wallet verify` checks it too
 *
 * @see docs/decisions/0009-lanes-and-ordering.md
 */
import { bigIntToBytes, bytesToBigInt, concatBytes } from "../base/bytes.ts";
import { keccak256 } from "./keccak.ts";
import type { Arrival } from "./ordering.ts";
import { recoverAddress, signDigest } from "./secp256k1.ts";

const DOMAIN = Buffer.from("sheaf order receipt");
const SIGNED_PREFIX = Buffer.from("\x19Ethereum Signed Message:\n32");
/** Deeper than any batch. */
const PROOF_MAX = 32;

export type OrderReceipt = {
  readonly chainId: number;
  readonly arrival: Arrival;
  readonly hash: Uint8Array;
  /** Place in its batch, and how many the batch has. */
  readonly index: number;
  readonly count: number;
  /** Siblings from the leaf up. */
  readonly proof: readonly Uint8Array[];
  /** r ‖ s ‖ v, 65 bytes, of the batch's root. */
  readonly signature: Uint8Array;
};

function word(value: number): Uint8Array {
  return bigIntToBytes(BigInt(value), 8);
}

function leafOf(chainId: number, arrival: Arrival, hash: Uint8Array): Uint8Array {
  const { lane, sequence, acceptedMs } = arrival;
  return keccak256(
    concatBytes(Uint8Array.of(0), DOMAIN, word(chainId), word(lane), word(sequence), word(acceptedMs), hash),
  );
}

function nodeOf(left: Uint8Array, right: Uint8Array): Uint8Array {
  return keccak256(concatBytes(Uint8Array.of(1), left, right));
}

function signedDigest(root: Uint8Array): Uint8Array {
  return keccak256(concatBytes(SIGNED_PREFIX, root));
}

/** A batch as it was accepted in one lane, at one time. */
export type AcceptedBatch = {
  readonly lane: number;
  readonly firstSequence: number;
  readonly acceptedMs: number;
  readonly hashes: readonly Uint8Array[];
};

/** The tree over a batch: its levels from the leaves to the root. */
export function receiptTree(chainId: number, batch: AcceptedBatch): Uint8Array[][] {
  const { lane, firstSequence, acceptedMs } = batch;
  const levels = [
    batch.hashes.map((hash, i) => leafOf(chainId, { lane, sequence: firstSequence + i, acceptedMs }, hash)),
  ];
  for (let level = levels[0] as Uint8Array[]; level.length > 1; ) {
    const up: Uint8Array[] = [];
    for (let i = 0; i < level.length; i += 2) {
      const left = level[i] as Uint8Array;
      const right = level[i + 1];
      up.push(right === undefined ? left : nodeOf(left, right));
    }
    levels.push(up);
    level = up;
  }
  return levels;
}

/** Signs the root of a tree. */
export function signRoot(levels: readonly (readonly Uint8Array[])[], privateKey: Uint8Array): Uint8Array {
  const root = levels.at(-1)?.[0] as Uint8Array;
  const { r, s, yParity } = signDigest(signedDigest(root), privateKey);
  return concatBytes(bigIntToBytes(r, 32), bigIntToBytes(s, 32), Uint8Array.of(27 + yParity));
}

/** The receipt of place `index` of a batch. */
export function receiptOf(
  chainId: number,
  batch: AcceptedBatch,
  index: number,
  levels: readonly (readonly Uint8Array[])[],
  signature: Uint8Array,
): OrderReceipt {
  const proof: Uint8Array[] = [];
  let at = index;
  for (const level of levels.slice(0, -1)) {
    const sibling = level[at ^ 1];
    if (sibling !== undefined) proof.push(sibling);
    at >>= 1;
  }
  const { lane, firstSequence, acceptedMs } = batch;
  return {
    chainId,
    arrival: { lane, sequence: firstSequence + index, acceptedMs },
    hash: batch.hashes[index] as Uint8Array,
    index,
    count: batch.hashes.length,
    proof,
    signature,
  };
}

/** Root that a receipt leads to, undefined when its proof has not the length its place asks for. */
export function receiptRoot(receipt: OrderReceipt): Uint8Array | undefined {
  const { chainId, arrival, hash, proof } = receipt;
  let { index: at, count } = receipt;
  if (at < 0 || at >= count || proof.length > PROOF_MAX) return undefined;
  let node = leafOf(chainId, arrival, hash);
  let used = 0;
  for (; count > 1; count = (count + 1) >> 1) {
    const isAlone = at === count - 1 && at % 2 === 0;
    if (!isAlone) {
      const sibling = proof[used++];
      if (sibling === undefined) return undefined;
      node = at % 2 === 0 ? nodeOf(node, sibling) : nodeOf(sibling, node);
    }
    at >>= 1;
  }
  return used === proof.length ? node : undefined;
}

/** Whose word a receipt is; undefined when nobody signed it. Whether that is the sequencer, the reader knows. */
export function receiptSigner(receipt: OrderReceipt): Uint8Array | undefined {
  const root = receiptRoot(receipt);
  const { signature } = receipt;
  const v = signature[64];
  if (root === undefined || signature.length !== 65 || (v !== 27 && v !== 28)) return undefined;
  const r = bytesToBigInt(signature.subarray(0, 32));
  const s = bytesToBigInt(signature.subarray(32, 64));
  return recoverAddress(signedDigest(root), v - 27, r, s);
}

/** Where a transaction is in the chain, and what its block shows of why another one may not have come before it. */
export type ChainPlace = {
  readonly blockNumber: number;
  readonly index: number;
};

export type OrderQuestion = {
  /** Of the two receipts: which transaction was accepted first, and which later. */
  readonly first: { readonly receipt: OrderReceipt; readonly place: ChainPlace | undefined } & FirstTransaction;
  readonly later: { readonly receipt: OrderReceipt; readonly place: ChainPlace | undefined };
  /** Of the block that holds the later one. */
  readonly block: {
    readonly baseFeePerGasWei: bigint;
    readonly gasLimit: bigint;
    /** Gas limits of all transactions up to and with the later one. */
    readonly gasLimitsTo: bigint;
    /** Encoded bytes of the same. */
    readonly bytesTo: number;
    /** Nonce of the first one's sender before this block. */
    readonly senderNonceBefore: bigint;
  };
  /** Bytes a block surely has room for, however badly they compress. */
  readonly blockBytesFree: number;
};

type FirstTransaction = {
  readonly nonce: bigint;
  readonly maxFeePerGasWei: bigint;
  readonly gasLimit: bigint;
  readonly sizeBytes: number;
};

/**
 * Whether the order of two transactions kept first come first served: "kept"; "broken"; or, where the first one may have
 * had to wait, why. Never "broken" for a sequencer that kept the rule: a doubt is an excuse.
 */
export type OrderVerdict =
  | "kept"
  | "broken"
  /** The later one is not in the chain (yet): nothing was passed. */
  | "undecided"
  | "excused: an earlier nonce of its sender was missing"
  | "excused: its fee cap was below the base fee"
  | "excused: the block may have had too little gas left"
  | "excused: the block may have had too few bytes left";

export function judgeOrder(question: OrderQuestion): OrderVerdict {
  const { first, later, block } = question;
  if (later.place === undefined) return "undecided";
  if (first.place !== undefined) {
    const isBefore =
      first.place.blockNumber === later.place.blockNumber
        ? first.place.index < later.place.index
        : first.place.blockNumber < later.place.blockNumber;
    if (isBefore) return "kept";
  }
  if (block.senderNonceBefore < first.nonce) return "excused: an earlier nonce of its sender was missing";
  if (first.maxFeePerGasWei < block.baseFeePerGasWei) return "excused: its fee cap was below the base fee";
  if (block.gasLimitsTo + first.gasLimit > block.gasLimit) return "excused: the block may have had too little gas left";
  if (block.bytesTo + first.sizeBytes > question.blockBytesFree)
    return "excused: the block may have had too few bytes left";
  return "broken";
}
