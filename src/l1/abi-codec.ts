/**
 * Owns the ABI of calls to our own contracts while a node runs: arguments and results of one word each, `bytes` as the
 * last argument, and errors. The ABIs are those that scripts/contracts.ts writes; a type that is not known here is a bug
 * of the caller. viem does the same for everything, at the price of four hundred modules that each process would load
 * at its start; deployment and tools use it.
 * @see https://docs.soliditylang.org/en/latest/abi-spec.html
 */
import { assert } from "../base/assert.ts";
import { bigIntToBytes, bytesToBigInt, concatBytes, padLeft, toHex } from "../base/bytes.ts";
import { keccak256 } from "../protocol/keccak.ts";

type Parameter = { readonly name?: string; readonly type: string };
/** What is read of an ABI's entry. */
export type AbiEntry = { readonly type: string; readonly name?: string; readonly inputs?: readonly Parameter[] };
export type ContractAbi = readonly AbiEntry[];
/** Names of the functions of an ABI. */
export type FunctionOf<A extends ContractAbi> = Extract<A[number], { type: "function" }>["name"] & string;
/** Numbers, and what is bytes: addresses, hashes, `bytes`. */
export type AbiValue = bigint | Uint8Array;

const WORD = 32;
const text = new TextEncoder();
const utf8 = new TextDecoder();

function selectorOf({ name = "", inputs = [] }: AbiEntry): Uint8Array {
  return keccak256(text.encode(`${name}(${inputs.map((i) => i.type).join(",")})`)).subarray(0, 4);
}

/** Input of a call. */
export function encodeCall<A extends ContractAbi>(
  abi: A,
  name: FunctionOf<A>,
  args: readonly AbiValue[] = [],
): Uint8Array {
  const entry = abi.find((e) => e.type === "function" && e.name === name);
  assert(entry !== undefined, `${name} is a function of the ABI`);
  const { inputs = [] } = entry;
  assert(inputs.length === args.length, `${name} takes ${inputs.length} arguments`);
  const heads: Uint8Array[] = [];
  const tails: Uint8Array[] = [];
  let end = args.length * WORD;
  for (const [i, { type }] of inputs.entries()) {
    const value = args[i] as AbiValue;
    if (type !== "bytes") {
      heads.push(wordOf(type, value));
      continue;
    }
    assert(value instanceof Uint8Array, "bytes are bytes");
    const padded = new Uint8Array(Math.ceil(value.length / WORD) * WORD);
    padded.set(value);
    heads.push(bigIntToBytes(BigInt(end), WORD));
    tails.push(bigIntToBytes(BigInt(value.length), WORD), padded);
    end += WORD + padded.length;
  }
  return concatBytes(selectorOf(entry), ...heads, ...tails);
}

function wordOf(type: string, value: AbiValue): Uint8Array {
  if (typeof value === "bigint") {
    assert(/^uint\d*$/.test(type) && value >= 0n, `${type} is no number`);
    return bigIntToBytes(value, WORD);
  }
  assert((type === "address" && value.length === 20) || (type === "bytes32" && value.length === WORD), `a ${type}`);
  return padLeft(value, WORD);
}

/** Word `index` of an answer that has `count` of them; undefined when it has not. */
export function answerWord(answer: Uint8Array, index: number, count: number): Uint8Array | undefined {
  return answer.length === count * WORD ? answer.subarray(index * WORD, (index + 1) * WORD) : undefined;
}

/** What every contract may revert with. */
const STANDARD_ERRORS: ContractAbi = [
  { type: "error", name: "Error", inputs: [{ type: "string" }] },
  { type: "error", name: "Panic", inputs: [{ type: "uint256" }] },
];

/** An error of the ABI, or one of Solidity's own, with its arguments as text; undefined: not one of them. */
export function decodeError(
  abi: ContractAbi,
  data: Uint8Array,
): { readonly name: string; readonly args: readonly string[] } | undefined {
  const selector = toHex(data.subarray(0, 4));
  const entry = [...abi, ...STANDARD_ERRORS].find((e) => e.type === "error" && toHex(selectorOf(e)) === selector);
  if (entry === undefined) return undefined;
  const body = data.subarray(4);
  const args: string[] = [];
  for (const [i, { type }] of (entry.inputs ?? []).entries()) {
    const word = body.subarray(i * WORD, (i + 1) * WORD);
    const arg = word.length < WORD ? undefined : textOf(type, word, body);
    if (arg === undefined) return undefined;
    args.push(arg);
  }
  return { name: entry.name ?? "", args };
}

function textOf(type: string, word: Uint8Array, body: Uint8Array): string | undefined {
  if (/^uint\d*$/.test(type)) return bytesToBigInt(word).toString();
  if (type === "bool") return bytesToBigInt(word) === 0n ? "false" : "true";
  if (type === "address") return toHex(word.subarray(12));
  if (/^bytes\d+$/.test(type)) return toHex(word.subarray(0, Number(type.slice(5))));
  if (type !== "string" && type !== "bytes") return undefined;
  const at = bytesToBigInt(word);
  if (at + BigInt(WORD) > BigInt(body.length)) return undefined;
  const start = Number(at) + WORD;
  const length = bytesToBigInt(body.subarray(Number(at), start));
  if (length > BigInt(body.length - start)) return undefined;
  const value = body.subarray(start, start + Number(length));
  return type === "bytes" ? toHex(value) : utf8.decode(value);
}
