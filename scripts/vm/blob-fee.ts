/** Owns the blob base fee of EIP-4844, for recorded blocks and tests; blocks of the rollup carry no blobs. */

/** EIP-4844: fee per blob gas from the excess. */
export function blobBaseFee(excessBlobGas: bigint, fraction: bigint): bigint {
  let i = 1n;
  let output = 0n;
  let accumulator = fraction;
  while (accumulator > 0n) {
    output += accumulator;
    accumulator = (accumulator * excessBlobGas) / (fraction * i);
    i += 1n;
  }
  return output / fraction;
}
