/** Owns turning revert data into words: custom errors by ABI, `Error(string)` and `Panic(uint256)`, else the raw bytes. */
import { toHex } from "../base/bytes.ts";
import { type ContractAbi, decodeError } from "./abi-codec.ts";

/** A revert in words, e.g. `StaleTerm(3, 5)`. */
export type Revert = { readonly name: string; readonly text: string };

/** `abis` are tried in order; Solidity's own errors are always known. */
export function decodeRevert(revertData: Uint8Array, abis: readonly ContractAbi[]): Revert {
  if (revertData.length < 4) return { name: "", text: "no reason given" };
  for (const abi of [...abis, []]) {
    const error = decodeError(abi, revertData);
    if (error !== undefined) return { name: error.name, text: `${error.name}(${error.args.join(", ")})` };
  }
  return { name: "", text: `unknown error ${toHex(revertData).slice(0, 138)}` };
}
