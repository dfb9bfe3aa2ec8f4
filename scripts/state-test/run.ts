/**
 * Owns the meaning of a state test: pre-state, environment and one signed transaction per post entry; the engine's
 * writes on the pre-state must give the expected root, and its logs the expected hash.
 */
import { assert } from "../../src/base/assert.ts";
import { fromHex, padLeft, toHexKey } from "../../src/base/bytes.ts";
import type { BlockEnv, Fork, TxInput, TxResult } from "../../src/execution/execution.ts";
import { EMPTY_CODE_HASH, World } from "../../src/execution/wasm/testing/world.ts";
import type { WasmEngine } from "../../src/execution/wasm/wasm.ts";
import { keccak256 } from "../../src/protocol/keccak.ts";
import type { Log } from "../../src/protocol/receipt.ts";
import { encodeRlp } from "../../src/protocol/rlp.ts";
import { addressOfPrivateKey } from "../../src/protocol/secp256k1.ts";
import { PlainTrie } from "../../src/state/plain-trie.ts";
import { accountLeafValue, EMPTY_ROOT, slotLeafValue } from "../../src/state/trie-node.ts";
import { blobBaseFee } from "../vm/blob-fee.ts";

type Hex = string;
export type PreAccount = { balance: Hex; code: Hex; nonce: Hex; storage: Record<Hex, Hex> };
type StateTest = {
  env: Record<string, Hex>;
  pre: Record<Hex, PreAccount>;
  transaction: { secretKey?: Hex; sender?: Hex };
  post: Record<string, { hash: Hex; logs: Hex; txbytes?: Hex; expectException?: string; indexes: object }[]>;
};

export type StateTestFailure = { file: string; name: string; fork: string; index: number; what: string };

const FORKS: Record<string, Fork> = {
  London: "london",
  Merge: "paris",
  Paris: "paris",
  Shanghai: "shanghai",
  Cancun: "cancun",
  Prague: "prague",
  Osaka: "osaka",
};

const number = (hex: Hex): bigint => (hex === "0x" ? 0n : BigInt(hex));
const word = (hex: Hex): Uint8Array => padLeft(fromHex(evenHex(hex)), 32);
const evenHex = (hex: Hex): string => {
  const body = hex.slice(2);
  return body.length % 2 === 0 ? body : `0${body}`;
};

/** A world small enough to hash from scratch. */
export class TestWorld extends World {
  constructor(pre: Record<Hex, PreAccount>, blockHash: (number: number) => Uint8Array) {
    super(blockHash);
    for (const [address, account] of Object.entries(pre)) {
      const code = fromHex(account.code);
      const codeHash = code.length === 0 ? EMPTY_CODE_HASH : keccak256(code);
      if (code.length > 0) this.codes.set(toHexKey(codeHash), code);
      const storage = new Map<string, Uint8Array>();
      for (const [slot, value] of Object.entries(account.storage))
        if (number(value) !== 0n) storage.set(toHexKey(word(slot)), word(value));
      this.accounts.set(address.slice(2).toLowerCase().padStart(40, "0"), {
        nonce: number(account.nonce),
        balanceWei: number(account.balance),
        codeHash,
        storage,
      });
    }
  }

  root(): Uint8Array {
    return new PlainTrie(
      [...this.accounts].map(([address, entry]) => {
        const storageRoot =
          entry.storage.size === 0
            ? EMPTY_ROOT
            : new PlainTrie(
                [...entry.storage].map(([slot, value]) => ({
                  key: keccak256(fromHex(slot)),
                  value: slotLeafValue(value),
                })),
              ).root;
        return {
          key: keccak256(fromHex(address)),
          value: accountLeafValue(entry.nonce, entry.balanceWei, storageRoot, entry.codeHash),
        };
      }),
    ).root;
  }
}

function logsHash(logs: readonly Log[]): string {
  return toHexKey(keccak256(encodeRlp(logs.map((log) => [log.address, [...log.topics], log.data]))));
}

function environment(env: Record<string, Hex>, fork: Fork): BlockEnv {
  const gasLimit = number(env["currentGasLimit"] ?? "0x0");
  return {
    chainId: 1,
    number: Number(number(env["currentNumber"] ?? "0x0")),
    timestamp: Number(number(env["currentTimestamp"] ?? "0x0")),
    gasLimit: Number(gasLimit),
    baseFeePerGasWei: number(env["currentBaseFee"] ?? "0x0a"),
    blobBaseFeeWei: blobBaseFee(
      number(env["currentExcessBlobGas"] ?? "0x0"),
      fork === "prague" || fork === "osaka" ? 5_007_716n : 3_338_477n,
    ),
    coinbase: fromHex(evenHex(env["currentCoinbase"] ?? "0x")),
    prevRandao: word((fork === "london" ? env["currentDifficulty"] : env["currentRandom"]) ?? "0x0"),
    fork,
    feePolicy: "ethereum",
  };
}

/** Every post entry of every test in a file. */
export function runStateTestFile(
  engine: WasmEngine,
  file: string,
  json: string,
): { passed: number; failures: StateTestFailure[] } {
  const failures: StateTestFailure[] = [];
  let passed = 0;
  const tests = JSON.parse(json) as Record<string, StateTest>;
  for (const [name, test] of Object.entries(tests))
    for (const [forkName, posts] of Object.entries(test.post)) {
      const fork = FORKS[forkName];
      if (fork === undefined) continue;
      posts.forEach((post, index) => {
        const what = runOne(engine, test, post, fork);
        if (what === undefined) passed++;
        else failures.push({ file, name, fork: forkName, index, what });
      });
    }
  return { passed, failures };
}

function runOne(
  engine: WasmEngine,
  test: StateTest,
  post: StateTest["post"][string][number],
  fork: Fork,
): string | undefined {
  const world = new TestWorld(test.pre, (n) => keccak256(new TextEncoder().encode(String(n))));
  const env = environment(test.env, fork);
  const sender =
    test.transaction.sender !== undefined
      ? fromHex(test.transaction.sender)
      : addressOfPrivateKey(word(test.transaction.secretKey ?? "0x"));
  assert(post.txbytes !== undefined, "the test carries the signed bytes of its transaction");
  const tx: TxInput = { raw: fromHex(post.txbytes), sender, l1FeeWei: 0n };
  let result: TxResult | undefined;
  try {
    [result] = engine.execute(env, [tx], world, env.gasLimit, {
      gasLimit: number(test.env["currentGasLimit"] ?? "0x0"),
    });
  } catch (error) {
    return `engine threw ${error instanceof Error ? error.stack : String(error)}`;
  }
  assert(result !== undefined, "one transaction gives one result");
  if (result.included) world.apply(result.writes);
  if (post.expectException !== undefined && result.included) return `included, expected ${post.expectException}`;
  if (post.expectException === undefined && !result.included) return `skipped as ${result.reason}`;
  const root = `0x${toHexKey(world.root())}`;
  const logs = `0x${result.included ? logsHash(result.logs) : logsHash([])}`;
  if (root !== post.hash)
    return `state root ${root}, expected ${post.hash}${result.included ? ` (status ${result.status}, gas ${result.gasUsed})` : ""}`;
  if (logs !== post.logs) return `logs hash ${logs}, expected ${post.logs}`;
  return undefined;
}
