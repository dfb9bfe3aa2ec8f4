/** Owns what a verifier reads of the output oracle: outputs proposed and outputs deleted. Total: other logs give nothing. */
import { bytesEqual, bytesToBigInt, fromHex } from "../base/bytes.ts";

/** keccak256("OutputProposed(bytes32,uint256,uint256,uint256)") */
export const OUTPUT_PROPOSED_TOPIC = fromHex("a7aaf2512769da4e444e3de247be2564225c2e7a8f74cfe528e46e17d24868e2");
/** keccak256("OutputsDeleted(uint256,uint256)") */
export const OUTPUTS_DELETED_TOPIC = fromHex("4ee37ac2c786ec85e87592d3c5c8a1dd66f8496dda3f125d9ea8ca5f657629b6");

export type OracleEvent =
  | {
      readonly kind: "proposed";
      readonly outputRoot: Uint8Array;
      readonly outputIndex: number;
      readonly blockNumber: number;
    }
  /** Outputs from this index on are void. */
  | { readonly kind: "deleted"; readonly fromIndex: number };

export function decodeOracleEvent(log: { readonly topics: readonly Uint8Array[] }): OracleEvent | undefined {
  const [topic, first, second, third] = log.topics;
  if (topic === undefined || first === undefined || second === undefined) return undefined;
  if (bytesEqual(topic, OUTPUT_PROPOSED_TOPIC) && third !== undefined) {
    const outputIndex = toNumber(second);
    const blockNumber = toNumber(third);
    if (outputIndex === undefined || blockNumber === undefined) return undefined;
    return { kind: "proposed", outputRoot: first, outputIndex, blockNumber };
  }
  if (bytesEqual(topic, OUTPUTS_DELETED_TOPIC)) {
    const fromIndex = toNumber(second);
    return fromIndex === undefined ? undefined : { kind: "deleted", fromIndex };
  }
  return undefined;
}

function toNumber(word: Uint8Array): number | undefined {
  const value = bytesToBigInt(word);
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : undefined;
}
