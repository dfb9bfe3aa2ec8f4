/**
 * Owns the curve: signing digests and recovering the address behind a signature, through libsecp256k1.
 * Native where a prebuilt exists (65–95 µs a recovery), otherwise the package's slow JavaScript.
 * Recovery answers `undefined` for a signature no key can have made; it never throws on well-sized input.
 */
import secp256k1 from "secp256k1";
import { bytesToBigInt } from "../base/bytes.ts";
import { keccak256 } from "./keccak.ts";

const publicKeyOut = new Uint8Array(65);
const publicKeyBody = publicKeyOut.subarray(1);
const signatureIn = new Uint8Array(64);
const signatureWords = new DataView(signatureIn.buffer);

function writeWord(at: number, value: bigint): void {
  signatureWords.setBigUint64(at, value >> 192n);
  signatureWords.setBigUint64(at + 8, BigInt.asUintN(64, value >> 128n));
  signatureWords.setBigUint64(at + 16, BigInt.asUintN(64, value >> 64n));
  signatureWords.setBigUint64(at + 24, BigInt.asUintN(64, value));
}

/**
 * The 20-byte address whose key signed `digest`, or undefined when none can have.
 * @param yParity 0 or 1; r and s below 2^256.
 */
export function recoverAddress(digest: Uint8Array, yParity: number, r: bigint, s: bigint): Uint8Array | undefined {
  writeWord(0, r);
  writeWord(32, s);
  try {
    secp256k1.ecdsaRecover(signatureIn, yParity, digest, false, publicKeyOut);
  } catch {
    return undefined;
  }
  return keccak256(publicKeyBody).slice(12);
}

/** Signs a 32-byte digest; deterministic (RFC 6979) and low-s. @throws on an invalid private key. */
export function signDigest(
  digest: Uint8Array,
  privateKey: Uint8Array,
): { readonly yParity: number; readonly r: bigint; readonly s: bigint } {
  const { signature, recid } = secp256k1.ecdsaSign(digest, privateKey);
  return { yParity: recid, r: bytesToBigInt(signature.subarray(0, 32)), s: bytesToBigInt(signature.subarray(32)) };
}

/** Whether 32 bytes are a private key. */
export function isPrivateKey(bytes: Uint8Array): boolean {
  return secp256k1.privateKeyVerify(bytes);
}

/** Address of a 32-byte private key. */
export function addressOfPrivateKey(privateKey: Uint8Array): Uint8Array {
  return keccak256(secp256k1.publicKeyCreate(privateKey, false).subarray(1)).slice(12);
}
