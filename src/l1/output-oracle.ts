/** Owns calling the output oracle: the input of a proposal, and what it holds as of one L1 block. */
import { type ContractFunctionName, decodeFunctionResult, encodeFunctionData, hexToBytes } from "viem";
import { fromHex, toHex } from "../base/bytes.ts";
import type { L1Origin } from "../protocol/block.ts";
import { sheafOutputOracleAbi } from "./abi/sheaf-output-oracle.ts";
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
  return hexToBytes(
    encodeFunctionData({
      abi: sheafOutputOracleAbi,
      functionName: "proposeL2Output",
      args: [toHex(proposal.outputRoot), BigInt(proposal.blockNumber), toHex(basis.hash), BigInt(basis.number)],
    }),
  );
}

type OracleView = ContractFunctionName<typeof sheafOutputOracleAbi, "view">;

async function view(l1: L1Reader, oracle: Uint8Array, at: L1BlockRef, functionName: OracleView): Promise<bigint> {
  const data = hexToBytes(encodeFunctionData({ abi: sheafOutputOracleAbi, functionName } as never));
  const answer = await l1.call({ to: oracle, data, at });
  if (answer.length !== 32)
    throw l1Error("L1_ENDPOINT_MALFORMED", `${toHex(oracle)} answers ${functionName} with ${answer.length} bytes`, {});
  return BigInt(toHex(answer));
}

/** The proposal at `index`. @throws {L1Error} L1_REFUSED when there is none */
export async function readOutput(
  l1: L1Reader,
  oracle: Uint8Array,
  index: number,
  at: L1BlockRef,
): Promise<OutputProposal> {
  const call = { abi: sheafOutputOracleAbi, functionName: "getL2Output" } as const;
  const data = hexToBytes(encodeFunctionData({ ...call, args: [BigInt(index)] }));
  const answer = await l1.call({ to: oracle, data, at });
  const { outputRoot, l2BlockNumber } = decodeFunctionResult({ ...call, data: toHex(answer) });
  return { outputRoot: fromHex(outputRoot), blockNumber: Number(l2BlockNumber) };
}

/** The oracle's list at one block. */
export async function readOracle(l1: L1Reader, oracle: Uint8Array, at: L1BlockRef): Promise<OracleState> {
  const [length, next, interval] = await Promise.all([
    view(l1, oracle, at, "nextOutputIndex"),
    view(l1, oracle, at, "nextBlockNumber"),
    view(l1, oracle, at, "submissionInterval"),
  ]);
  return {
    length: Number(length),
    nextBlockNumber: Number(next),
    submissionInterval: Number(interval),
    latest: length === 0n ? undefined : await readOutput(l1, oracle, Number(length) - 1, at),
  };
}
