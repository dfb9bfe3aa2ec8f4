/**
 * Owns running the RLPTests and BasicTests of ethereum/tests against the codecs: each case passes, fails with what
 * differs, or is skipped by name because Sheaf has nothing it could ask.
 * @see https://ethereum-tests.readthedocs.io/
 */
import { bytesEqual, fromHex, toHexKey } from "../../base/bytes.ts";
import { CodedError } from "../../base/error.ts";
import { hexPrefix } from "../../state/trie-node.ts";
import { keccak256 } from "../keccak.ts";
import { decodeRlp, encodeRlp, type RlpItem } from "../rlp.ts";
import { addressOfPrivateKey } from "../secp256k1.ts";
import { signTransaction } from "../transaction-codec.ts";

/** One case of a public test file. It passed when neither is set. */
export type VectorCase = {
  readonly name: string;
  readonly failure?: string | undefined;
  /** Why it was not asked. */
  readonly skipped?: string;
};

/** Runs `body`, which says what differs. */
export function vectorCase(name: string, body: () => string | undefined): VectorCase {
  try {
    return { name, failure: body() };
  } catch (error) {
    return { name, failure: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}

/** What differs, or undefined. */
export const differs = (what: string, actual: string, expected: string): string | undefined =>
  actual === expected ? undefined : `${what} ${actual}, expected ${expected}`;

type RlpVector = { readonly in: unknown; readonly out: string };

/** Strings are bytes, "#…" and numbers are integers. */
function rlpItem(value: unknown): RlpItem {
  if (Array.isArray(value)) return value.map(rlpItem);
  if (typeof value === "string" && !value.startsWith("#")) return new Uint8Array(Buffer.from(value, "latin1"));
  const number = BigInt(typeof value === "string" ? value.slice(1) : (value as number));
  const hex = number === 0n ? "" : number.toString(16);
  return fromHex(hex.length % 2 === 0 ? hex : `0${hex}`);
}

export function rlpCases(file: Readonly<Record<string, RlpVector>>): VectorCase[] {
  return Object.entries(file).map(([name, vector]) =>
    vectorCase(name, () => {
      const bytes = fromHex(vector.out.toLowerCase());
      if (vector.in === "INVALID") {
        try {
          decodeRlp(bytes);
          return "decodes, but is invalid";
        } catch (error) {
          if (error instanceof CodedError && error.code.startsWith("RLP_")) return undefined;
          throw error;
        }
      }
      const back = differs("decoded and encoded", toHexKey(encodeRlp(decodeRlp(bytes))), toHexKey(bytes));
      if (back !== undefined || vector.in === "VALID") return back;
      return differs("encoding", toHexKey(encodeRlp(rlpItem(vector.in))), toHexKey(bytes));
    }),
  );
}

type KeyVector = { key: string; addr: string };
type TxVector = {
  key: string;
  nonce: number;
  gasprice: number;
  startgas: number;
  to: string;
  value: number;
  data: string;
  signed: string;
};
type HexVector = { seq: number[]; term: boolean; out: string };
type GenesisVector = { genesis_rlp_hex: string; genesis_hash: string };

const NOT_OURS: readonly [RegExp, string][] = [
  [/^difficulty/, "difficulty of proof of work, which no block here has"],
  [/^crypto/, "ciphers of devp2p, which Sheaf does not speak"],
  [/^blockgenesistest/, "headers of a prototype before Frontier, with fields no chain has"],
];

/** `fileName` decides what the cases ask. */
export function basicCases(fileName: string, file: unknown): VectorCase[] {
  const reason = NOT_OURS.find(([pattern]) => pattern.test(fileName))?.[1];
  if (reason !== undefined) return [{ name: fileName, skipped: reason }];
  switch (fileName) {
    case "hexencodetest.json":
      return Object.entries(file as Record<string, HexVector>).map(([name, { seq, term, out }]) =>
        vectorCase(name, () => differs("compact path", toHexKey(hexPrefix(Uint8Array.from(seq), term)), out)),
      );
    case "keyaddrtest.json":
      return (file as KeyVector[]).map(({ key, addr }) =>
        // The signatures beside them are over a digest that nobody names.
        vectorCase(addr, () => differs("address", toHexKey(addressOfPrivateKey(fromHex(key))), addr)),
      );
    case "txtest.json":
      return (file as TxVector[]).map((tx) =>
        vectorCase(tx.key, () => {
          const { raw } = signTransaction(
            {
              type: 0,
              nonce: BigInt(tx.nonce),
              to: tx.to === "" ? undefined : fromHex(tx.to),
              valueWei: BigInt(tx.value),
              data: fromHex(tx.data),
              gasLimit: BigInt(tx.startgas),
              maxFeePerGasWei: BigInt(tx.gasprice),
            },
            fromHex(tx.key),
          );
          return differs("unsigned part", unsignedPart(raw), unsignedPart(fromHex(tx.signed)));
        }),
      );
    case "genesishashestest.json": {
      const { genesis_rlp_hex: block, genesis_hash: hash } = file as GenesisVector;
      return [
        vectorCase("genesis", () => {
          const item = decodeRlp(fromHex(block));
          if (item instanceof Uint8Array || !bytesEqual(encodeRlp(item), fromHex(block))) return "does not encode back";
          return differs("hash", toHexKey(keccak256(encodeRlp(item[0] as RlpItem))), hash);
        }),
      ];
    }
    default:
      return [{ name: fileName, failure: "a basic test of a form nobody has read yet" }];
  }
}

/** Fields before the signature, which has no fixed nonce in these files. */
function unsignedPart(raw: Uint8Array): string {
  const fields = decodeRlp(raw) as readonly Uint8Array[];
  return fields.slice(0, 6).map(toHexKey).join(" ");
}
