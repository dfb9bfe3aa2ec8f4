/**
 * Owns running the TransactionTests of ethereum/tests: per fork, codec, sender recovery, intrinsic gas and the engine
 * (which decodes by itself) must together find a transaction valid or not, and give its hash, sender and gas.
 * @see https://ethereum-tests.readthedocs.io/en/latest/test_types/transaction_tests.html
 */
import { fromHex, toHexKey } from "../../base/bytes.ts";
import { CodedError } from "../../base/error.ts";
import { recoverSender } from "../../protocol/sender.ts";
import { differs, type VectorCase, vectorCase } from "../../protocol/testing/vectors.ts";
import type { SignedTransaction } from "../../protocol/transaction.ts";
import { decodeSignedTransaction } from "../../protocol/transaction-codec.ts";
import type { BlockEnv, Fork, SkipReason, SpeculativeEngine } from "../execution.ts";
import { intrinsicGas } from "../transaction-rules.ts";
import { EMPTY_CODE_HASH, World } from "../wasm/testing/world.ts";
import { TEST_FORKS } from "./state-test.ts";

type Result = {
  readonly exception?: string;
  readonly hash?: string;
  readonly sender?: string;
  readonly intrinsicGas: string;
};
export type TransactionTest = { readonly txbytes: string; readonly result: Readonly<Record<string, Result>> };

/** Reasons that lie in the state or the block, not in the transaction. */
const NOT_ITS_FAULT: ReadonlySet<SkipReason> = new Set(["GAS_LIMIT_EXCEEDED", "INSUFFICIENT_FUNDS", "FEE_BELOW_BASE"]);
const NOBODY = fromHex("00000000000000000000000000000000dead0001");

export function transactionCases(
  engine: SpeculativeEngine,
  file: Readonly<Record<string, TransactionTest>>,
): VectorCase[] {
  return Object.entries(file).flatMap(([name, test]) =>
    Object.entries(test.result).flatMap(([forkName, expected]) => {
      const fork = TEST_FORKS[forkName];
      return fork === undefined
        ? []
        : [vectorCase(`${name} ${forkName}`, () => failureOf(engine, fork, test.txbytes, expected))];
    }),
  );
}

function failureOf(engine: SpeculativeEngine, fork: Fork, txbytes: string, expected: Result): string | undefined {
  // Some of the malformed ones are not even hex.
  const raw = /^0x([0-9a-fA-F]{2})*$/.test(txbytes) ? fromHex(txbytes.toLowerCase()) : new Uint8Array(0);
  let tx: SignedTransaction | undefined;
  let sender: Uint8Array | undefined;
  let refusal: string | undefined;
  try {
    tx = decodeSignedTransaction(raw);
    sender = recoverSender(tx);
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    refusal = error.code;
  }
  const reason = engineRefusal(engine, fork, raw, sender ?? NOBODY);
  // Who signed is not the engine's business, all else is.
  if (tx === undefined && reason === undefined) return `the codec says ${refusal}, the engine takes it`;
  if (reason !== undefined && !NOT_ITS_FAULT.has(reason)) refusal ??= reason;
  if (expected.exception !== undefined)
    return refusal === undefined ? `valid, expected ${expected.exception}` : undefined;
  if (tx === undefined || sender === undefined || refusal !== undefined) return `refused as ${refusal}`;
  const { gas } = intrinsicGas(fork, {
    data: tx.data,
    isCreate: tx.to === undefined,
    accessList: tx.accessList,
    authorizationCount: tx.authorizations.length,
  });
  return (
    differs("hash", `0x${toHexKey(tx.hash)}`, expected.hash ?? "") ??
    differs("sender", `0x${toHexKey(sender)}`, (expected.sender ?? "").toLowerCase()) ??
    differs("intrinsic gas", String(gas), String(BigInt(expected.intrinsicGas)))
  );
}

/** Why the engine would not take it even from a rich sender in a large block. */
function engineRefusal(
  engine: SpeculativeEngine,
  fork: Fork,
  raw: Uint8Array,
  sender: Uint8Array,
): SkipReason | undefined {
  const world = new World();
  const balanceWei = 2n ** 256n - 1n;
  world.accounts.set(toHexKey(sender), { nonce: 0n, balanceWei, codeHash: EMPTY_CODE_HASH, storage: new Map() });
  const env: BlockEnv = {
    chainId: 1,
    number: 1,
    timestamp: 1,
    gasLimit: Number.MAX_SAFE_INTEGER,
    baseFeePerGasWei: 0n,
    blobBaseFeeWei: 1n,
    coinbase: NOBODY,
    prevRandao: new Uint8Array(32),
    fork,
    feePolicy: "ethereum",
  };
  const { results } = engine.executePartial(env, [{ raw, sender, l1FeeWei: 0n }], world, env.gasLimit, {
    assumeNonce: true,
  });
  const [result] = results;
  return result === undefined || result.included ? undefined : result.reason;
}
