/**
 * Owns what a transaction costs around its execution, on one thread and on this machine: recovering its sender and
 * decoding it (ingest), the record of its lane, and the state root and store of its block (sealing). From these follows
 * which of them needs a second thread first when executors are not what everything waits for.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { WasmEngine } from "../execution/wasm/wasm.ts";
import { encodeLaneRecord } from "../lane/lane-codec.ts";
import { FileLog } from "../log/file-log.ts";
import { recoverSender } from "../protocol/sender.ts";
import { decodeSignedTransaction } from "../protocol/transaction-codec.ts";
import type { EpochChain } from "./epochs.ts";
import { processMicros } from "./processor-time.ts";
import { spread } from "./statistics.ts";

const EPOCHS = 3;

/** Microseconds of processor time per transaction. */
export type StageCosts = { readonly ingest: number; readonly lane: number; readonly seal: number };

export async function measureStages(chain: EpochChain): Promise<StageCosts> {
  const engine = await WasmEngine.create();
  const folder = mkdtempSync(join(tmpdir(), "sheaf-bench-"));
  const log = await FileLog.open(folder);
  try {
    const costs: StageCosts[] = [];
    for (let n = 0; n <= EPOCHS; n++) {
      const c = await chain.next();
      if (c === undefined) break;
      const count = Math.max(1, c.txs.length);
      const start = processMicros();
      for (const { raw } of c.txs) recoverSender(decodeSignedTransaction(raw));
      const recovered = processMicros();
      const payload = encodeLaneRecord({ kind: "accepted", firstId: 1, acceptedMs: 0, txs: c.txs });
      const { seq, term } = log.tip;
      await log.append({ expectedSeq: seq, term: Math.max(1, term), payloads: [payload] });
      const logged = processMicros();
      const { writes } = engine.execute(c.env, c.txs, c.state, c.gasAvailable);
      if (writes === undefined) break;
      const seal = (await chain.applied(writes)) / count;
      // The first is cold.
      if (n > 0) costs.push({ ingest: (recovered - start) / count, lane: (logged - recovered) / count, seal });
    }
    const median = (of: (cost: StageCosts) => number): number => spread(costs.map(of))?.median ?? 0;
    return { ingest: median((c) => c.ingest), lane: median((c) => c.lane), seal: median((c) => c.seal) };
  } finally {
    await chain.close();
    await log.close();
    rmSync(folder, { recursive: true, force: true });
  }
}
