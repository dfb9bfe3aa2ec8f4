/** Owns the packed form in which signatures go to a recovery thread: digest ‖ r ‖ s ‖ parity, 97 bytes each. */
import { recoverAddress } from "../protocol/secp256k1.ts";

export const SIGNATURE_SLOT_BYTES = 97;
/** One byte that says whether there is a sender, then the 20 of its address. */
export const SENDER_SLOT_BYTES = 21;

const MASK_64 = (1n << 64n) - 1n;

function writeWord(view: DataView, at: number, value: bigint): void {
  view.setBigUint64(at, value >> 192n);
  view.setBigUint64(at + 8, (value >> 128n) & MASK_64);
  view.setBigUint64(at + 16, (value >> 64n) & MASK_64);
  view.setBigUint64(at + 24, value & MASK_64);
}

function readWord(view: DataView, at: number): bigint {
  return (
    (view.getBigUint64(at) << 192n) |
    (view.getBigUint64(at + 8) << 128n) |
    (view.getBigUint64(at + 16) << 64n) |
    view.getBigUint64(at + 24)
  );
}

/** Writes slot `index`. */
export function packSignature(
  out: Uint8Array,
  index: number,
  digest: Uint8Array,
  { r, s, yParity }: { readonly r: bigint; readonly s: bigint; readonly yParity: number },
): void {
  const at = index * SIGNATURE_SLOT_BYTES;
  const view = new DataView(out.buffer, out.byteOffset, out.byteLength);
  out.set(digest, at);
  writeWord(view, at + 32, r);
  writeWord(view, at + 64, s);
  out[at + 96] = yParity;
}

/** Recovers every slot. */
export function recoverPacked(signatures: Uint8Array): Uint8Array {
  const count = signatures.length / SIGNATURE_SLOT_BYTES;
  const out = new Uint8Array(count * SENDER_SLOT_BYTES);
  const view = new DataView(signatures.buffer, signatures.byteOffset, signatures.byteLength);
  for (let i = 0; i < count; i++) {
    const at = i * SIGNATURE_SLOT_BYTES;
    const digest = signatures.subarray(at, at + 32);
    const sender = recoverAddress(
      digest,
      signatures[at + 96] as number,
      readWord(view, at + 32),
      readWord(view, at + 64),
    );
    if (sender === undefined) continue;
    out[i * SENDER_SLOT_BYTES] = 1;
    out.set(sender, i * SENDER_SLOT_BYTES + 1);
  }
  return out;
}
