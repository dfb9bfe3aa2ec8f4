import assert from "node:assert/strict";
import { test } from "node:test";
import { fromHex, toHexKey } from "../../../base/bytes.ts";
import { hasCode } from "../../../base/error.ts";
import { silentLog } from "../../../base/log.ts";
import { keccak256 } from "../../../protocol/keccak.ts";
import type { BlockEnv, CallInput } from "../../execution.ts";
import { RecordingReader } from "../../state-recording.ts";
import { World } from "../testing/world.ts";
import { WasmEngine } from "../wasm.ts";
import type { StructTrace } from "./trace.ts";
import { runTraceJob, type TraceJob } from "./trace-job.ts";
import { TraceThread } from "./trace-thread.ts";

const CALLER = fromHex("ca".repeat(20));
const ADDER = fromHex("ad".repeat(20));
const LOOPER = fromHex("1f".repeat(20));
const ENV: BlockEnv = {
  chainId: 1,
  number: 1,
  timestamp: 1,
  gasLimit: 30_000_000,
  baseFeePerGasWei: 0n,
  blobBaseFeeWei: 1n,
  coinbase: new Uint8Array(20),
  prevRandao: new Uint8Array(32),
  fork: "prague",
  feePolicy: "ethereum",
};

function world(): World {
  const made = new World();
  // PUSH1 2 PUSH1 3 ADD PUSH0 MSTORE PUSH1 32 PUSH0 RETURN, and JUMPDEST PUSH0 JUMP.
  for (const [address, hex] of [
    [ADDER, "60026003015f5260205ff3"],
    [LOOPER, "5b5f56"],
  ] as const) {
    const code = fromHex(hex);
    const codeHash = keccak256(code);
    made.codes.set(toHexKey(codeHash), code);
    made.accounts.set(toHexKey(address), { nonce: 1n, balanceWei: 0n, codeHash, storage: new Map() });
  }
  return made;
}

function jobFor(to: Uint8Array, engine: WasmEngine | undefined, p: Partial<TraceJob> = {}): TraceJob {
  const call: CallInput = {
    from: CALLER,
    to,
    data: new Uint8Array(0),
    valueWei: 0n,
    gasLimit: 20_000_000,
    gasPriceWei: 0n,
    intrinsicGas: true,
  };
  const recorder = new RecordingReader(world(), 1 << 20);
  engine?.callNow(ENV, call, recorder);
  const state = recorder.recorded();
  return {
    request: {},
    env: ENV,
    state,
    timeoutMs: 60_000,
    sizeMaxBytes: 1 << 20,
    subject: { kind: "call", call },
    ...p,
  };
}

test("the thread gives what a run in place gives, and goes on after jobs that fail", async () => {
  const engine = await WasmEngine.create();
  const thread = new TraceThread(silentLog);
  try {
    const job = jobFor(ADDER, engine);
    const expected = runTraceJob(engine, job);
    assert.deepEqual(
      (JSON.parse(expected) as StructTrace).structLogs.map(({ op }) => op),
      ["PUSH1", "PUSH1", "ADD", "PUSH0", "MSTORE", "PUSH1", "PUSH0", "RETURN"],
    );
    const answers = await Promise.allSettled([
      thread.run(job),
      thread.run(jobFor(LOOPER, engine)),
      thread.run(jobFor(LOOPER, engine, { timeoutMs: 1, request: { tracer: "callTracer" } })),
      // Nothing of what it reads was recorded.
      thread.run(jobFor(ADDER, undefined)),
      thread.run(job),
    ]);
    const [first, large, late, lost, last] = answers;
    for (const answer of [first, last]) assert.deepEqual(answer, { status: "fulfilled", value: expected });
    assert.ok(large?.status === "rejected" && hasCode(large.reason, "TRACE_TOO_LARGE"));
    assert.ok(late?.status === "rejected" && hasCode(late.reason, "TRACE_TIMED_OUT"));
    assert.ok(lost?.status === "rejected" && /recorded/.test(String(lost.reason)));
    // A run that was stopped in the middle leaves nothing behind on this engine either.
    assert.throws(() => runTraceJob(engine, jobFor(LOOPER, engine)), /TRACE_TOO_LARGE/);
    assert.equal(runTraceJob(engine, job), expected);
  } finally {
    await thread.close();
  }
});

test("closing ends what runs and what waits", async () => {
  const engine = await WasmEngine.create();
  const thread = new TraceThread(silentLog);
  const endless = { request: { tracer: "callTracer" }, timeoutMs: 600_000 } as const;
  const jobs = [0, 1].map(() => thread.run(jobFor(LOOPER, engine, endless)));
  const settled = Promise.allSettled(jobs);
  await thread.close();
  for (const answer of await settled)
    assert.ok(answer.status === "rejected" && hasCode(answer.reason, "TRACE_THREAD_FAILED"));
});
