/**
 * Owns how SystemConfig's ConfigUpdate events change the parameters of a cluster. Total: an event that is malformed,
 * of another version, or out of bounds changes nothing (the contract emits no such event).
 * Layouts are the OP Stack's: FEE_SCALARS carries (overhead, Ecotone scalar), GAS_LIMIT one word.
 */
import { bytesEqual, bytesToBigInt, fromHex } from "../base/bytes.ts";
import type { SystemConfigValues } from "./system-config.ts";

/** keccak256("ConfigUpdate(uint256,uint8,bytes)") */
export const CONFIG_UPDATE_TOPIC = fromHex("1d2b0bda21d56b8bd12d4f94ebacffdfb35f5e226f84b461103bb8beab6353be");

const UPDATE_FEE_SCALARS = 1n;
const UPDATE_GAS_LIMIT = 2n;
const GAS_LIMIT_MIN = 1_000_000n;
const GAS_LIMIT_MAX = 10_000_000_000n;

type Event = { readonly topics: readonly Uint8Array[]; readonly data: Uint8Array };

/** The parameters after `events` (of the SystemConfig contract, in log order). */
export function applySystemConfigLogs(values: SystemConfigValues, events: readonly Event[]): SystemConfigValues {
  let out = values;
  for (const event of events) {
    const [topic, version, type] = event.topics;
    if (topic === undefined || version === undefined || type === undefined) continue;
    if (!bytesEqual(topic, CONFIG_UPDATE_TOPIC) || bytesToBigInt(version) !== 0n) continue;
    const payload = abiBytes(event.data);
    if (payload === undefined) continue;
    const kind = bytesToBigInt(type);
    if (kind === UPDATE_GAS_LIMIT && payload.length === 32) {
      const gasLimit = bytesToBigInt(payload);
      if (gasLimit >= GAS_LIMIT_MIN && gasLimit <= GAS_LIMIT_MAX) out = { ...out, gasLimit: Number(gasLimit) };
    } else if (kind === UPDATE_FEE_SCALARS && payload.length === 64 && payload[32] === 1) {
      out = {
        ...out,
        blobBaseFeeScalar: Number(bytesToBigInt(payload.subarray(56, 60))),
        baseFeeScalar: Number(bytesToBigInt(payload.subarray(60, 64))),
      };
    }
  }
  return out;
}

/** The content of an ABI-encoded single `bytes` value; undefined when it is not one. */
function abiBytes(data: Uint8Array): Uint8Array | undefined {
  if (data.length < 64 || bytesToBigInt(data.subarray(0, 32)) !== 32n) return undefined;
  const length = bytesToBigInt(data.subarray(32, 64));
  return length <= BigInt(data.length - 64) ? data.subarray(64, 64 + Number(length)) : undefined;
}
