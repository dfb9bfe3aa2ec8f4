/**
 * Owns running the GeneralStateTests of ethereum/tests through any engine: pre-state, one transaction, post-state root
 * and logs hash. Answers case by case and does not stop at a failure.
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { bigIntToBytes, bytesEqual, EMPTY_BYTES, fromHex, toHex, toHexKey } from "../../base/bytes.ts";
import { CodedError } from "../../base/error.ts";
import { keccak256 } from "../../protocol/keccak.ts";
import { EMPTY_CODE_HASH } from "../../protocol/ordered-trie.ts";
import { encodeRlp } from "../../protocol/rlp.ts";
import { recoverSender } from "../../protocol/sender.ts";
import { emptyWrites, mergeWrites, type StateWrites } from "../../protocol/state-writes.ts";
import { decodeSignedTransaction } from "../../protocol/transaction-codec.ts";
import { MemoryState } from "../../state/memory-state.ts";
import type { BlockEnv, Engine, Fork } from "../execution.ts";

const FORKS: Readonly<Record<string, Fork>> = {
  London: "london",
  Paris: "paris",
  Shanghai: "shanghai",
  Cancun: "cancun",
  Prague: "prague",
  Osaka: "osaka",
};

export type StateCase = {
  /** File, test, fork and position. */
  readonly name: string;
  readonly failure: string | undefined;
};

type Post = {
  readonly hash: string;
  readonly logs: string;
  readonly txbytes: string;
  readonly expectException?: string;
};
type PreAccount = {
  readonly balance: string;
  readonly nonce: string;
  readonly code: string;
  readonly storage: Readonly<Record<string, string>>;
};
type Filled = {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly pre: Readonly<Record<string, PreAccount>>;
  readonly post: Readonly<Record<string, readonly Post[]>>;
  readonly transaction: { readonly sender?: string };
};

/** All test files below `path`, or `path` itself. */
export function stateTestFiles(path: string): string[] {
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path)
    .sort()
    .flatMap((name) => stateTestFiles(join(path, name)))
    .filter((file) => file.endsWith(".json"));
}

/** Runs the cases of one file for the forks that engines know. */
export async function runStateTestFile(engine: Engine, path: string): Promise<StateCase[]> {
  const file = JSON.parse(readFileSync(path, "utf8")) as Readonly<Record<string, Filled>>;
  const cases: StateCase[] = [];
  for (const [test, filled] of Object.entries(file)) {
    const pre = preWrites(filled.pre);
    const state = new MemoryState();
    state.commit(0, state.prepare(pre));
    for (const [forkName, posts] of Object.entries(filled.post)) {
      const fork = FORKS[forkName];
      if (fork === undefined) continue;
      for (const [i, post] of posts.entries()) {
        const failure = await runCase(engine, state, envOf(filled.env, fork), filled, post);
        cases.push({ name: `${test} ${forkName} ${i}`, failure });
      }
    }
  }
  return cases;
}

async function runCase(
  engine: Engine,
  state: MemoryState,
  env: BlockEnv,
  { transaction }: Filled,
  post: Post,
): Promise<string | undefined> {
  const raw = fromHex(post.txbytes);
  let sender = fromHex(transaction.sender ?? "00".repeat(20));
  try {
    sender = recoverSender(decodeSignedTransaction(raw));
  } catch (error) {
    // The engine has to refuse it too.
    if (!(error instanceof CodedError)) throw error;
  }
  const [result] = await engine.executeBatch(env, [{ raw, sender, l1FeeWei: 0n }], state.reader(), env.gasLimit);
  if (result === undefined) return "no result";
  if (!result.included && post.expectException === undefined) return `skipped: ${result.reason}`;
  if (result.included && post.expectException !== undefined) return `included, but ${post.expectException}`;
  const writes = emptyWrites();
  if (result.included) mergeWrites(writes, result.writes);
  const logs = result.included ? result.logs : [];
  const logsHash = keccak256(encodeRlp(logs.map((log) => [log.address, log.topics, log.data])));
  if (!bytesEqual(logsHash, fromHex(post.logs))) return `logs hash ${toHex(logsHash)}, expected ${post.logs}`;
  const { stateRoot } = state.prepare(writes);
  if (!bytesEqual(stateRoot, fromHex(post.hash))) return `state root ${toHex(stateRoot)}, expected ${post.hash}`;
  return undefined;
}

function preWrites(pre: Filled["pre"]): StateWrites {
  const writes = emptyWrites();
  for (const [address, { balance, nonce, code, storage }] of Object.entries(pre)) {
    const bytes = code === "0x" ? EMPTY_BYTES : fromHex(code);
    const codeHash = bytes.length === 0 ? EMPTY_CODE_HASH : keccak256(bytes);
    if (bytes.length > 0) writes.codes.set(toHexKey(codeHash), bytes);
    writes.accounts.set(address.slice(2).toLowerCase(), {
      cleared: false,
      account: { nonce: BigInt(nonce), balanceWei: BigInt(balance), codeHash },
      storage: new Map(
        Object.entries(storage).map(([slot, value]) => [BigInt(slot).toString(16).padStart(64, "0"), word(value)]),
      ),
    });
  }
  return writes;
}

function envOf(env: Filled["env"], fork: Fork): BlockEnv {
  const number = (name: string): number => Number(env[name] ?? "0");
  return {
    chainId: 1,
    number: number("currentNumber"),
    timestamp: number("currentTimestamp"),
    gasLimit: number("currentGasLimit"),
    baseFeePerGasWei: BigInt(env["currentBaseFee"] ?? "0"),
    blobBaseFeeWei: blobBaseFeeWei(BigInt(env["currentExcessBlobGas"] ?? "0")),
    coinbase: fromHex(env["currentCoinbase"] ?? "00".repeat(20)),
    prevRandao: word((fork === "london" ? env["currentDifficulty"] : env["currentRandom"]) ?? "0x0"),
    fork,
    feePolicy: "ethereum",
  };
}

const word = (hex: string): Uint8Array => bigIntToBytes(BigInt(hex), 32);

/** EIP-4844's approximation of e^(excess / 3338477), the parameter before Prague. */
function blobBaseFeeWei(excessBlobGas: bigint): bigint {
  const denominator = 3_338_477n;
  let sum = 0n;
  let term = denominator;
  for (let i = 1n; term > 0n; i++) {
    sum += term;
    term = (term * excessBlobGas) / (denominator * i);
  }
  return sum / denominator;
}
