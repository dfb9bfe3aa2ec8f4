/** Owns calling the output oracle: the input of a proposal, and what it holds as of one L1 block. */
import { bytesToBigInt, toHex } from "../base/bytes.ts";
import type { L1Origin } from "../protocol/block.ts";
import { sheafOutputOracleAbi } from "./abi/sheaf-output-oracle.ts";
import { answerWord, encodeCall, type FunctionOf } from "./abi-codec.ts";
import { type L1BlockRef, type L1Reader, l1Error } from "./l1.ts";

export type OutputProposal = { readonly outputRoot: Uint8Array; readonly blockNumber: number };

export type OracleState = {
  /** Proposals so far. */
  readonly length: number;
  /** Least block that the next proposal may be for. */
  readonly nextBlockNumber: number;
  /** Least distance of two proposals, in blocks. */
  readonly submissionInterval: number;
  /** Undefined while there is none. */
  readonly latest: OutputProposal | undefined;
};

/**
 * Input of `proposeL2Output`. `basis` is the L1 block that the output was derived from: where L1 dropped it, the proposal
 * reverts instead of standing on a dead fork. It must be among the newest 256 blocks.
 */
export function proposeOutputInput(proposal: OutputProposal, basis: L1Origin): Uint8Array {
  const { outputRoot, blockNumber } = proposal;
  return encodeCall(sheafOutputOracleAbi, "proposeL2Output", [
    outputRoot,
    BigInt(blockNumber),
    basis.hash,
    BigInt(basis.number),
  ]);
}

/** `count` words. */
async function view(
  l1: L1Reader,
  oracle: Uint8Array,
  at: L1BlockRef,
  name: FunctionOf<typeof sheafOutputOracleAbi>,
  args: readonly bigint[] = [],
  count = 1,
): Promise<readonly Uint8Array[]> {
  const answer = await l1.call({ to: oracle, data: encodeCall(sheafOutputOracleAbi, name, args), at });
  return Array.from({ length: count }, (_, i) => {
    const word = answerWord(answer, i, count);
    if (word === undefined)
      throw l1Error("L1_ENDPOINT_MALFORMED", `${toHex(oracle)} answers ${name} with ${answer.length} bytes`, {});
    return word;
  });
}

/** The proposal at `index`. @throws {L1Error} L1_REFUSED when there is none */
export async function readOutput(
  l1: L1Reader,
  oracle: Uint8Array,
  index: number,
  at: L1BlockRef,
): Promise<OutputProposal> {
  const [outputRoot, , blockNumber] = await view(l1, oracle, at, "getL2Output", [BigInt(index)], 3);
  return {
    outputRoot: (outputRoot as Uint8Array).slice(),
    blockNumber: Number(bytesToBigInt(blockNumber as Uint8Array)),
  };
}

/** The oracle's list at one block. */
export async function readOracle(l1: L1Reader, oracle: Uint8Array, at: L1BlockRef): Promise<OracleState> {
  const number = async (name: FunctionOf<typeof sheafOutputOracleAbi>): Promise<number> => {
    const [word] = await view(l1, oracle, at, name);
    return Number(bytesToBigInt(word as Uint8Array));
  };
  const [length, nextBlockNumber, submissionInterval] = await Promise.all([
    number("nextOutputIndex"),
    number("nextBlockNumber"),
    number("submissionInterval"),
  ]);
  return {
    ...{ length, nextBlockNumber, submissionInterval },
    latest: length === 0 ? undefined : await readOutput(l1, oracle, length - 1, at),
  };
}
