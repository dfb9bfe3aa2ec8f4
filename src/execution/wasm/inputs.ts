/** Owns what is written into a machine before a run: the environment of the block, transactions, or one call. */
import { assert } from "../../base/assert.ts";
import { bigIntToMinimalBytes, concatBytes } from "../../base/bytes.ts";
import { encodeRlp } from "../../protocol/rlp.ts";
import type { Authorization } from "../../protocol/transaction.ts";
import type { BlockEnv, CallInput, Fork, TxInput } from "../execution.ts";
import {
  CALL,
  ENV,
  FLAG_ASSUME_NONCE,
  FLAG_BLOOM,
  FLAG_CLOCK,
  FLAG_OP_FEES,
  FLAG_TRACE,
  INPUT,
  INPUT_SIZE_BYTES,
  KIND_CALL,
  KIND_FREE_CALL,
  KIND_TRANSACTION,
} from "./layout.ts";
import type { Machine } from "./machine.ts";

const FORKS: Record<Fork, number> = { london: 0, paris: 1, shanghai: 2, cancun: 3, prague: 4, osaka: 5 };
/** Blobs a block, and so a transaction, may carry at most. */
const BLOBS_MAX: Record<Fork, number> = { london: 0, paris: 0, shanghai: 0, cancun: 6, prague: 9, osaka: 6 };
/** Room each input takes beside its bytes. */
const INPUT_OVERHEAD_BYTES = INPUT.header + 8;

export type EnvironmentOptions = {
  readonly assumeNonce?: boolean;
  readonly bloom?: boolean;
  readonly traced?: boolean;
  /** The run pauses when its ticks are used up. */
  readonly clocked?: boolean;
  readonly gasLimit?: bigint;
};

/** The block a run happens in; `gasAvailable` is what is left of its gas. */
export function writeEnvironment(
  machine: Machine,
  env: BlockEnv,
  gasAvailable: number,
  options: EnvironmentOptions,
): void {
  const { view, bytes } = machine;
  const at = machine.environmentAt;
  machine.clearEnvironment();
  const flags =
    (env.feePolicy === "op" ? FLAG_OP_FEES : 0) |
    (options.assumeNonce === true ? FLAG_ASSUME_NONCE : 0) |
    (options.bloom === true ? FLAG_BLOOM : 0) |
    (options.traced === true ? FLAG_TRACE : 0) |
    (options.clocked === true ? FLAG_CLOCK : 0);
  view.setUint32(at + ENV.fork, FORKS[env.fork], true);
  view.setUint32(at + ENV.flags, flags, true);
  view.setBigUint64(at + ENV.number, BigInt(env.number), true);
  view.setBigUint64(at + ENV.timestamp, BigInt(env.timestamp), true);
  view.setBigUint64(at + ENV.gasLimit, options.gasLimit ?? BigInt(env.gasLimit), true);
  view.setBigUint64(at + ENV.chainId, BigInt(env.chainId), true);
  view.setBigUint64(at + ENV.gasAvailable, BigInt(gasAvailable), true);
  machine.writeWord(at + ENV.baseFee, env.baseFeePerGasWei);
  machine.writeWord(at + ENV.blobBaseFee, env.blobBaseFeeWei);
  assert(env.prevRandao.length === 32 && env.coinbase.length === 20, "block hashes have 32 bytes, addresses 20");
  for (let i = 0; i < 32; i++) bytes[at + ENV.randao + i] = env.prevRandao[31 - i] as number;
  bytes.set(env.coinbase, at + ENV.coinbase);
  view.setUint32(at + ENV.blobsMax, BLOBS_MAX[env.fork], true);
}

/** Writes inputs from `first` on, as many as fit; returns how many. */
export function writeInputs(machine: Machine, txs: readonly TxInput[], first: number): number {
  const { view, bytes } = machine;
  let at = machine.inputAt;
  const end = at + INPUT_SIZE_BYTES;
  let count = 0;
  for (let i = first; i < txs.length; i++) {
    const { raw, sender, l1FeeWei } = txs[i] as TxInput;
    if (at + raw.length + INPUT_OVERHEAD_BYTES > end) break;
    view.setUint32(at + INPUT.size, raw.length, true);
    view.setUint32(at + INPUT.kind, KIND_TRANSACTION, true);
    bytes.set(sender, at + INPUT.sender);
    machine.writeWord(at + INPUT.l1Fee, l1FeeWei);
    bytes.set(raw, at + INPUT.header);
    at += INPUT.header + ((raw.length + 7) & ~7);
    count++;
  }
  assert(count > 0, "one transaction fits the input region");
  return count;
}

/** The one input of a call. */
export function writeCall(machine: Machine, call: CallInput): void {
  const { view, bytes } = machine;
  const at = machine.inputAt;
  const access =
    call.accessList === undefined
      ? new Uint8Array(0)
      : concatBytes(...call.accessList.map((entry) => encodeRlp([entry.address, [...entry.slots]])));
  const authorizations = concatBytes(...(call.authorizations ?? []).map(encodeAuthorization));
  const size = CALL.header + call.data.length + access.length + authorizations.length;
  assert(size + INPUT_OVERHEAD_BYTES <= INPUT_SIZE_BYTES, "a call fits the input region");
  view.setUint32(at + INPUT.size, size, true);
  view.setUint32(at + INPUT.kind, call.intrinsicGas ? KIND_CALL : KIND_FREE_CALL, true);
  bytes.set(call.from, at + INPUT.sender);
  machine.writeWord(at + INPUT.l1Fee, 0n);
  const body = at + INPUT.header;
  view.setBigUint64(body + CALL.gas, BigInt(call.gasLimit), true);
  machine.writeWord(body + CALL.value, call.valueWei);
  machine.writeWord(body + CALL.gasPrice, call.gasPriceWei);
  view.setUint32(body + CALL.create, call.to === undefined ? 1 : 0, true);
  if (call.to !== undefined) bytes.set(call.to, body + CALL.to);
  view.setUint32(body + CALL.dataLength, call.data.length, true);
  view.setUint32(body + CALL.accessLength, access.length, true);
  view.setUint32(body + CALL.authLength, authorizations.length, true);
  bytes.set(call.data, body + CALL.header);
  bytes.set(access, body + CALL.header + call.data.length);
  bytes.set(authorizations, body + CALL.header + call.data.length + access.length);
}

function encodeAuthorization(a: Authorization): Uint8Array {
  return encodeRlp([
    bigIntToMinimalBytes(a.chainId),
    a.address,
    bigIntToMinimalBytes(a.nonce),
    bigIntToMinimalBytes(BigInt(a.yParity)),
    bigIntToMinimalBytes(a.r),
    bigIntToMinimalBytes(a.s),
  ]);
}
