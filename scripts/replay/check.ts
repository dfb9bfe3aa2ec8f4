/**
 * Owns what a replayed mainnet block must come to: where its header was recorded, gas used, logs bloom and receipts root
 * (so every status); where it was not, each receipt of @ethereumjs/vm.
 */
import { bytesEqual, toHex } from "../../src/base/bytes.ts";
import type { IncludedResult, TxResult } from "../../src/execution/execution.ts";
import { WasmEngine } from "../../src/execution/wasm/wasm.ts";
import { logsBloom, mergeBloom } from "../../src/protocol/bloom.ts";
import { orderedTrieRoot } from "../../src/protocol/ordered-trie.ts";
import type { Log, Receipt } from "../../src/protocol/receipt.ts";
import { encodeReceipt } from "../../src/protocol/receipt-codec.ts";
import { replayOnEthereumjs } from "./ethereumjs.ts";
import { loadBlock, type RecordedBlock } from "./load.ts";

const BEACON_ROOTS = "000f3df6d732807ef1319fb7b8bb8522d0beac02";
const SYSTEM_ADDRESS = new Uint8Array(20).fill(0xff);
SYSTEM_ADDRESS[19] = 0xfe;

function run(engine: WasmEngine, recorded: RecordedBlock): { results: readonly TxResult[]; elapsedMs: number } {
  const world = recorded.world();
  const { env } = recorded;
  if (recorded.parentBeaconBlockRoot !== undefined && world.accounts.has(BEACON_ROOTS)) {
    const to = Uint8Array.from(Buffer.from(BEACON_ROOTS, "hex"));
    const data = recorded.parentBeaconBlockRoot;
    const call = {
      from: SYSTEM_ADDRESS,
      to,
      data,
      valueWei: 0n,
      gasLimit: 30_000_000,
      gasPriceWei: 0n,
      intrinsicGas: false,
    };
    world.apply(engine.callNow(env, call, world).writes);
  }
  const start = performance.now();
  const results = engine.execute(env, recorded.txs, world, env.gasLimit);
  return { results, elapsedMs: performance.now() - start };
}

/** What differs from the recorded header. */
function compareWithHeader(recorded: RecordedBlock, results: readonly TxResult[]): string[] {
  const faults: string[] = [];
  const receipts: Receipt[] = [];
  const bloom = new Uint8Array(256);
  let cumulativeGasUsed = 0;
  results.forEach((result, i) => {
    if (!result.included) {
      faults.push(`transaction ${i} skipped as ${result.reason}`);
      return;
    }
    cumulativeGasUsed += result.gasUsed;
    receipts.push(receiptOf(result, recorded.types[i] as number, cumulativeGasUsed));
    mergeBloom(bloom, logsBloom(result.logs));
  });
  const { expected } = recorded;
  if (expected === undefined) return faults;
  if (cumulativeGasUsed !== expected.gasUsed) faults.push(`gas used ${cumulativeGasUsed}, header ${expected.gasUsed}`);
  if (!bytesEqual(bloom, expected.logsBloom)) faults.push("logs bloom differs from the header");
  const root = orderedTrieRoot(receipts.map((receipt) => encodeReceipt(receipt)));
  if (!bytesEqual(root, expected.receiptsRoot))
    faults.push(`receipts root ${toHex(root)}, header ${toHex(expected.receiptsRoot)}`);
  return faults;
}

function receiptOf(result: IncludedResult, type: number, cumulativeGasUsed: number): Receipt {
  return {
    type,
    status: result.status,
    cumulativeGasUsed,
    gasUsed: result.gasUsed,
    logs: result.logs,
    effectiveGasPriceWei: result.effectiveGasPriceWei,
    contractAddress: result.contractAddress,
    l1FeeWei: 0n,
    depositNonce: undefined,
  };
}

async function compareWithPeer(recorded: RecordedBlock, results: readonly TxResult[]): Promise<string[]> {
  const faults: string[] = [];
  const { receipts } = await replayOnEthereumjs(recorded);
  receipts.forEach((peer, i) => {
    const own = results[i] as TxResult;
    if (!own.included || !peer.included) {
      if (own.included !== peer.included)
        faults.push(
          `transaction ${i}: ${own.included ? "included" : own.reason}, @ethereumjs/vm: ${peer.included ? "included" : peer.error}`,
        );
      return;
    }
    if (own.status !== peer.status || own.gasUsed !== peer.gasUsed)
      faults.push(
        `transaction ${i}: status ${own.status} gas ${own.gasUsed}, @ethereumjs/vm: status ${peer.status} gas ${peer.gasUsed}`,
      );
    if (!sameLogs(own.logs, peer.logs)) faults.push(`transaction ${i}: logs differ from @ethereumjs/vm`);
  });
  return faults;
}

function sameLogs(a: readonly Log[], b: readonly Log[]): boolean {
  const text = (logs: readonly Log[]): string =>
    JSON.stringify(logs.map((log) => [toHex(log.address), log.topics.map(toHex), toHex(log.data)]));
  return text(a) === text(b);
}

/** Runs the block at `path`; what it took in words, and what differs. */
export async function checkBlock(
  engine: WasmEngine,
  path: string,
): Promise<{ readonly summary: string; readonly faults: readonly string[] }> {
  const recorded = loadBlock(path);
  const { results, elapsedMs } = run(engine, recorded);
  const gas = results.reduce((sum, result) => sum + (result.included ? result.gasUsed : 0), 0);
  const against = recorded.expected === undefined ? "@ethereumjs/vm" : "header";
  const faults =
    recorded.expected === undefined ? await compareWithPeer(recorded, results) : compareWithHeader(recorded, results);
  return {
    summary: `${recorded.name} ${recorded.env.fork}: ${results.length} transactions, ${gas} gas, ${elapsedMs.toFixed(1)} ms, against ${against}`,
    faults,
  };
}
