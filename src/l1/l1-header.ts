/**
 * Owns reading an L1 block header from JSON and proving it against its own hash: the fields are encoded again as
 * consensus does and hashed. A header that passes binds everything in it (parent, time, fees, bloom, receipts root) to
 * the hash, so the hash is all that endpoints have to agree on.
 * A header with a field of a later fork does not hash to itself here; it counts as a malformed answer until this table
 * knows the field, or until the check is switched off (SHEAF_L1_CHECK_HEADERS).
 * @see yellow paper 4.3; EIP-1559, 4895, 4844, 4788, 7685, 7928
 */
import { bigIntToMinimalBytes, bytesEqual, toHex } from "../base/bytes.ts";
import { keccak256 } from "../protocol/keccak.ts";
import { encodeRlp } from "../protocol/rlp.ts";
import type { L1BlockInfo } from "../protocol/system-config.ts";
import { type BlobSchedule, blobBaseFeeOfHeader } from "./blob-fee.ts";
import { readBytes, readNumber, readObject, readQuantity } from "./json-rpc.ts";
import { l1Error } from "./l1.ts";

/** What is kept of a header: what derivation reads, and what answers about its block are checked against. */
export type L1Header = {
  readonly info: L1BlockInfo;
  readonly bloom: Uint8Array;
  readonly receiptsRoot: Uint8Array;
};

type Shape = number | "quantity" | "bytes";

/** Fields in consensus order: the JSON name, and a fixed length in bytes, "bytes" or "quantity". */
const FIELDS: readonly (readonly [name: string, shape: Shape])[] = [
  ["parentHash", 32],
  ["sha3Uncles", 32],
  ["miner", 20],
  ["stateRoot", 32],
  ["transactionsRoot", 32],
  ["receiptsRoot", 32],
  ["logsBloom", 256],
  ["difficulty", "quantity"],
  ["number", "quantity"],
  ["gasLimit", "quantity"],
  ["gasUsed", "quantity"],
  ["timestamp", "quantity"],
  ["extraData", "bytes"],
  ["mixHash", 32],
  ["nonce", 8],
];

/** Fields that forks added, in order; a header ends before the first one it does not have. */
const LATER_FIELDS: readonly (readonly [name: string, shape: Shape])[] = [
  ["baseFeePerGas", "quantity"],
  ["withdrawalsRoot", 32],
  ["blobGasUsed", "quantity"],
  ["excessBlobGas", "quantity"],
  ["parentBeaconBlockRoot", 32],
  ["requestsHash", 32],
  ["blockAccessListHash", 32],
];

const ZERO_HASH = new Uint8Array(32);

const absent = (value: unknown): boolean => value === undefined || value === null;

function readField(raw: Record<string, unknown>, name: string, shape: Shape): Uint8Array {
  const what = `block.${name}`;
  if (shape === "quantity") return bigIntToMinimalBytes(readQuantity(raw[name], what));
  return readBytes(raw[name], what, shape === "bytes" ? undefined : shape);
}

/** The hash of a header in JSON. @throws {L1Error} L1_ENDPOINT_MALFORMED */
function hashOf(raw: Record<string, unknown>): Uint8Array {
  const fields = FIELDS.map(([name, shape]) => readField(raw, name, shape));
  for (const [name, shape] of LATER_FIELDS) {
    if (absent(raw[name])) break;
    fields.push(readField(raw, name, shape));
  }
  return keccak256(encodeRlp(fields));
}

/**
 * Decodes a block as `eth_getBlockBy*` gives it. With `check` its hash must be that of its fields.
 * @throws {L1Error} L1_ENDPOINT_MALFORMED
 */
export function readHeader(value: unknown, schedule: BlobSchedule, check: boolean): L1Header {
  const raw = readObject(value, "block");
  const hash = readBytes(raw["hash"], "block.hash", 32);
  if (check && !bytesEqual(hashOf(raw), hash))
    throw l1Error("L1_ENDPOINT_MALFORMED", `the header of block ${toHex(hash)} does not hash to it`, {
      hash: toHex(hash),
    });
  const timestamp = readNumber(raw["timestamp"], "block.timestamp");
  const excess = raw["excessBlobGas"];
  const root = raw["parentBeaconBlockRoot"];
  return {
    info: {
      number: readNumber(raw["number"], "block.number"),
      hash,
      parentHash: readBytes(raw["parentHash"], "block.parentHash", 32),
      timestamp,
      baseFeePerGasWei: readQuantity(raw["baseFeePerGas"], "block.baseFeePerGas"),
      blobBaseFeeWei: blobBaseFeeOfHeader(
        schedule,
        timestamp,
        absent(excess) ? undefined : readQuantity(excess, "block.excessBlobGas"),
      ),
      prevRandao: readBytes(raw["mixHash"], "block.mixHash", 32),
      parentBeaconBlockRoot: absent(root) ? ZERO_HASH : readBytes(root, "block.parentBeaconBlockRoot", 32),
    },
    bloom: readBytes(raw["logsBloom"], "block.logsBloom", 256),
    receiptsRoot: readBytes(raw["receiptsRoot"], "block.receiptsRoot", 32),
  };
}
