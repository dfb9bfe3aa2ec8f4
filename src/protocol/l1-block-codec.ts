/** Owns the binary form of L1 block facts and parameters, as order-log records and saved derivation state carry them. */
import type { Reader, Writer } from "../base/binary.ts";
import type { L1BlockInfo, SystemConfigValues } from "./system-config.ts";

export function writeL1BlockInfo(w: Writer, info: L1BlockInfo): void {
  w.uvarint(info.number).fixed(info.hash).fixed(info.parentHash).uvarint(info.timestamp);
  w.bigint(info.baseFeePerGasWei).bigint(info.blobBaseFeeWei);
  w.fixed(info.prevRandao).fixed(info.parentBeaconBlockRoot);
}

/** @throws {CodecError} */
export function readL1BlockInfo(r: Reader): L1BlockInfo {
  return {
    number: r.uvarint(),
    hash: r.fixed(32),
    parentHash: r.fixed(32),
    timestamp: r.uvarint(),
    baseFeePerGasWei: r.bigint(),
    blobBaseFeeWei: r.bigint(),
    prevRandao: r.fixed(32),
    parentBeaconBlockRoot: r.fixed(32),
  };
}

export function writeSystemConfig(w: Writer, values: SystemConfigValues): void {
  w.uvarint(values.gasLimit).uvarint(values.baseFeeScalar).uvarint(values.blobBaseFeeScalar);
}

/** @throws {CodecError} */
export function readSystemConfig(r: Reader): SystemConfigValues {
  return { gasLimit: r.uvarint(), baseFeeScalar: r.uvarint(), blobBaseFeeScalar: r.uvarint() };
}
