/** Entry of a replay thread: told a block, it runs parts of it on the state its access list claims, one message each. */
import { parentPort, workerData } from "node:worker_threads";
import { decodeBlockAccessList } from "../../protocol/block-access-list.ts";
import { Machine, type VmModule } from "../wasm/machine.ts";
import { WasmEngine } from "../wasm/wasm.ts";
import { AccessListState } from "./access-list-state.ts";
import type { ReplayAnswer, ReplayBlock, ReplayRequest } from "./replay-threads.ts";
import { WitnessReader } from "./witness.ts";

const engine = new WasmEngine(new Machine(workerData as VmModule));
const codes = new Map<string, Uint8Array>();
let block: ReplayBlock | undefined;
/** The claimed states of the block, without and with hashes of its ancestors; made when first needed. */
let claimed: AccessListState | undefined;
let hasHashes = false;

function answer(request: ReplayRequest): void {
  if (request.kind === "forget") return codes.clear();
  if (request.kind === "block") {
    block = request.block;
    claimed = undefined;
    for (const [hash, code] of request.codes) codes.set(hash, code);
    return;
  }
  if (block === undefined) throw new Error("a part without its block");
  const { part, blockHashes } = request;
  if (claimed === undefined || hasHashes !== (blockHashes !== undefined)) {
    const list = decodeBlockAccessList(block.list);
    const reader = new WitnessReader({ list, bytes: block.witness, codes, number: block.env.number, blockHashes });
    claimed = new AccessListState(list, reader, block.first);
    hasHashes = blockHashes !== undefined;
  }
  const { env, gasAvailable } = block;
  const result: ReplayAnswer = engine.executeRaw(env, part.txs, claimed.before(part.index), gasAvailable, {
    bloom: true,
  });
  if (result?.kind === "batch") parentPort?.postMessage(result, [result.bytes.buffer as ArrayBuffer]);
  else parentPort?.postMessage(result);
}

parentPort?.on("message", answer);
