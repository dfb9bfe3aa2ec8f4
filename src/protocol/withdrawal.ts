/**
 * Owns withdrawals as L2 records them: the hash that the message passer marks as sent and the storage slot that a
 * proof on L1 opens. Must equal the contracts on both sides.
 * @see OP Stack specification, withdrawals
 */
import { bigIntToBytes, bytesEqual, bytesToBigInt, concatBytes, fromHex, padLeft } from "../base/bytes.ts";
import { keccak256 } from "./keccak.ts";
import type { Log } from "./receipt.ts";

/** `keccak256("MessagePassed(uint256,address,address,uint256,uint256,bytes,bytes32)")` */
export const MESSAGE_PASSED_TOPIC = fromHex("02a52367d10742d8032712c1bb8e0144ff1ec5ffda1ed7d70bb05a2744955054");

export type Withdrawal = {
  /** Versioned nonce: the version in the two highest bytes. */
  readonly nonce: bigint;
  readonly sender: Uint8Array;
  readonly target: Uint8Array;
  readonly valueWei: bigint;
  readonly gasLimit: bigint;
  readonly data: Uint8Array;
};

const word = (value: bigint): Uint8Array => bigIntToBytes(value, 32);

/** `keccak256(abi.encode(nonce, sender, target, value, gasLimit, data))` */
export function withdrawalHash(withdrawal: Withdrawal): Uint8Array {
  const { nonce, sender, target, valueWei, gasLimit, data } = withdrawal;
  const padding = new Uint8Array((32 - (data.length % 32)) % 32);
  return keccak256(
    concatBytes(
      word(nonce),
      padLeft(sender, 32),
      padLeft(target, 32),
      word(valueWei),
      word(gasLimit),
      word(6n * 32n),
      word(BigInt(data.length)),
      data,
      padding,
    ),
  );
}

/** Slot of `sentMessages[hash]` (mapping at slot 0 of the message passer) that holds 1 once the message was sent. */
export function sentMessageSlot(hash: Uint8Array): Uint8Array {
  return keccak256(concatBytes(hash, new Uint8Array(32)));
}

/** The withdrawal in a MessagePassed log of the message passer, or undefined for other logs. */
export function withdrawalOfLog({ topics, data }: Pick<Log, "topics" | "data">): Withdrawal | undefined {
  const [topic, nonce, sender, target] = topics;
  if (topic === undefined || nonce === undefined || sender === undefined || target === undefined) return undefined;
  if (!bytesEqual(topic, MESSAGE_PASSED_TOPIC) || data.length < 5 * 32) return undefined;
  // Words: value, gas limit, offset of the data (128), withdrawal hash, length of the data; then the data.
  const at = (i: number): bigint => bytesToBigInt(data.subarray(32 * i, 32 * (i + 1)));
  const length = at(4);
  if (at(2) !== 128n || length > BigInt(data.length - 5 * 32)) return undefined;
  return {
    nonce: bytesToBigInt(nonce),
    sender: new Uint8Array(sender.subarray(12)),
    target: new Uint8Array(target.subarray(12)),
    valueWei: at(0),
    gasLimit: at(1),
    data: new Uint8Array(data.subarray(5 * 32, 5 * 32 + Number(length))),
  };
}
