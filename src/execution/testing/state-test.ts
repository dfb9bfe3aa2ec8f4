/**
 * Owns running the GeneralStateTests of ethereum/tests through any engine: pre-state, environment and one signed
 * transaction per post entry; the engine's writes on the pre-state must give the expected root, and its logs the
 * expected hash.
 * @see https://ethereum-tests.readthedocs.io/en/latest/test_types/gstate_tests.html
 */
import { bigIntToBytes, fromHex, toHexKey } from "../../base/bytes.ts";
import { keccak256 } from "../../protocol/keccak.ts";
import { EMPTY_TRIE_ROOT } from "../../protocol/ordered-trie.ts";
import { encodeRlp } from "../../protocol/rlp.ts";
import { addressOfPrivateKey } from "../../protocol/secp256k1.ts";
import { differs, type VectorCase } from "../../protocol/testing/vectors.ts";
import { PlainTrie } from "../../state/plain-trie.ts";
import { accountLeafValue, slotLeafValue } from "../../state/trie-node.ts";
import type { BlockEnv, Fork, StateReader, TxInput, TxResult } from "../execution.ts";
import { EMPTY_CODE_HASH, World } from "../wasm/testing/world.ts";

type Hex = string;
export type PreAccount = {
  readonly balance: Hex;
  readonly code: Hex;
  readonly nonce: Hex;
  readonly storage: Record<Hex, Hex>;
};
type Post = {
  readonly hash: Hex;
  readonly logs: Hex;
  readonly txbytes: Hex;
  readonly expectException?: string;
};
export type StateTest = {
  readonly env: Readonly<Record<string, Hex>>;
  readonly pre: Readonly<Record<Hex, PreAccount>>;
  readonly transaction: { readonly secretKey?: Hex; readonly sender?: Hex };
  readonly post: Readonly<Record<string, readonly Post[]>>;
};

/** Runs one transaction; `gasLimit` is the block's, which in some tests is no safe integer. */
export type RunTransaction = (
  env: BlockEnv,
  tx: TxInput,
  state: StateReader,
  gasLimit: bigint,
) => Promise<TxResult | undefined>;

/** Forks by their names in test files; older ones are not run. */
export const TEST_FORKS: Readonly<Record<string, Fork>> = {
  London: "london",
  Merge: "paris",
  Paris: "paris",
  Shanghai: "shanghai",
  Cancun: "cancun",
  Prague: "prague",
  Osaka: "osaka",
};

const number = (hex: Hex): bigint => (hex === "0x" ? 0n : BigInt(hex));
const word = (hex: Hex): Uint8Array => bigIntToBytes(number(hex), 32);

/** A world of accounts as JSON files give them; slots of value 0 are absent. */
export function worldOf(pre: StateTest["pre"], blockHash: (number: number) => Uint8Array): World {
  const world = new World(blockHash);
  for (const [address, account] of Object.entries(pre)) {
    const code = fromHex(account.code);
    const codeHash = code.length === 0 ? EMPTY_CODE_HASH : keccak256(code);
    if (code.length > 0) world.codes.set(toHexKey(codeHash), code);
    const storage = new Map<string, Uint8Array>();
    for (const [slot, value] of Object.entries(account.storage))
      if (number(value) !== 0n) storage.set(toHexKey(word(slot)), word(value));
    const balanceWei = number(account.balance);
    world.accounts.set(address.slice(2).toLowerCase(), { nonce: number(account.nonce), balanceWei, codeHash, storage });
  }
  return world;
}

function rootOf(world: World): Uint8Array {
  return new PlainTrie(
    [...world.accounts].map(([address, { nonce, balanceWei, codeHash, storage }]) => {
      const slots = [...storage].map(([slot, value]) => ({
        key: keccak256(fromHex(slot)),
        value: slotLeafValue(value),
      }));
      const storageRoot = slots.length === 0 ? EMPTY_TRIE_ROOT : new PlainTrie(slots).root;
      return { key: keccak256(fromHex(address)), value: accountLeafValue(nonce, balanceWei, storageRoot, codeHash) };
    }),
  ).root;
}

function envOf(env: StateTest["env"], fork: Fork): BlockEnv {
  const field = (name: string, otherwise = "0x0"): bigint => number(env[name] ?? otherwise);
  return {
    chainId: 1,
    number: Number(field("currentNumber")),
    timestamp: Number(field("currentTimestamp")),
    gasLimit: Number(field("currentGasLimit")),
    baseFeePerGasWei: field("currentBaseFee", "0x0a"),
    blobBaseFeeWei: blobBaseFeeWei(field("currentExcessBlobGas"), fork),
    coinbase: bigIntToBytes(field("currentCoinbase"), 20),
    prevRandao: bigIntToBytes(field(fork === "london" ? "currentDifficulty" : "currentRandom"), 32),
    fork,
    feePolicy: "ethereum",
  };
}

/** EIP-4844's approximation of e^(excess / fraction); EIP-7691 changed the fraction. */
function blobBaseFeeWei(excessBlobGas: bigint, fork: Fork): bigint {
  const fraction = fork === "prague" || fork === "osaka" ? 5_007_716n : 3_338_477n;
  let sum = 0n;
  let term = fraction;
  for (let i = 1n; term > 0n; i++) {
    sum += term;
    term = (term * excessBlobGas) / (fraction * i);
  }
  return sum / fraction;
}

/** Every post entry of every test in a file, for the forks that engines know. */
export async function stateCases(
  run: RunTransaction,
  file: Readonly<Record<string, StateTest>>,
): Promise<VectorCase[]> {
  const cases: VectorCase[] = [];
  for (const [name, test] of Object.entries(file))
    for (const [forkName, posts] of Object.entries(test.post)) {
      const fork = TEST_FORKS[forkName];
      if (fork === undefined) continue;
      for (const [i, post] of posts.entries()) {
        let failure: string | undefined;
        try {
          failure = await failureOf(run, test, post, fork);
        } catch (error) {
          failure = error instanceof Error ? (error.stack ?? error.message) : String(error);
        }
        cases.push({ name: `${name} ${forkName}[${i}]`, failure });
      }
    }
  return cases;
}

async function failureOf(run: RunTransaction, test: StateTest, post: Post, fork: Fork): Promise<string | undefined> {
  const world = worldOf(test.pre, (n) => keccak256(new TextEncoder().encode(String(n))));
  const { sender, secretKey } = test.transaction;
  const tx: TxInput = {
    raw: fromHex(post.txbytes),
    sender: sender === undefined ? addressOfPrivateKey(word(secretKey ?? "0x")) : fromHex(sender),
    l1FeeWei: 0n,
  };
  const result = await run(envOf(test.env, fork), tx, world, number(test.env["currentGasLimit"] ?? "0x0"));
  if (result === undefined) return "no result";
  if (!result.included && post.expectException === undefined) return `skipped as ${result.reason}`;
  if (result.included && post.expectException !== undefined) return `included, expected ${post.expectException}`;
  if (result.included) world.apply(result.writes);
  const logs = result.included ? result.logs : [];
  const logsHash = keccak256(encodeRlp(logs.map((log) => [log.address, [...log.topics], log.data])));
  const details = result.included ? ` (status ${result.status}, gas ${result.gasUsed})` : "";
  const wrong =
    differs("state root", `0x${toHexKey(rootOf(world))}`, post.hash) ??
    differs("logs hash", `0x${toHexKey(logsHash)}`, post.logs);
  return wrong === undefined ? undefined : wrong + details;
}
