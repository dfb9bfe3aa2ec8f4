import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { test } from "node:test";
import { DEPOSIT_TYPE } from "../../../protocol/transaction-codec.ts";
import type { BlockEnv } from "../../execution.ts";
import { randomCase } from "../testing/random-program.ts";
import { type PeerCall, type PeerStep, StepPeer } from "../testing/step-peer.ts";
import { WasmEngine } from "../wasm.ts";
import type { CallTrace } from "./call-tracer.ts";
import { opcodeOf } from "./opcodes.ts";
import type { StructLog } from "./struct-tracer.ts";
import { type StructTrace, type TraceRequest, traceTransaction } from "./trace.ts";
import { TraceLimits } from "./trace-limits.ts";

const CASES = 25;
/** The peer takes some tenth of a millisecond for each. */
const STEPS_MAX = 3_000;
const CALLS = new Set(["CALL", "CALLCODE", "DELEGATECALL", "STATICCALL"]);
/** geth and this engine show calls that are refused at once; the peer says nothing of them. */
const REFUSALS = new Set(["insufficient balance for transfer", "max call depth exceeded", "nonce uint64 overflow"]);

function checkSteps(steps: readonly StructLog[], peer: readonly PeerStep[], at: string): void {
  let next = 0;
  // What authorizations give back (EIP-7702) counts from the first step on here, as in geth, and not at all there.
  const refundBefore = steps[0]?.refund ?? 0;
  for (const [i, step] of steps.entries()) {
    const theirs = peer[next];
    const isPeers = theirs !== undefined && theirs.pc === step.pc && theirs.depth === step.depth;
    // The end of the code is a STOP here and nothing there; a REVERT without operands is not reported there.
    if (!isPeers && (step.op === "STOP" || (step.op === "REVERT" && step.error !== undefined))) continue;
    assert.ok(theirs !== undefined, `${at}: step ${i} is not the peer's`);
    next++;
    assert.deepEqual(
      {
        pc: step.pc,
        op: step.op,
        gas: step.gas,
        depth: step.depth,
        stack: step.stack,
        memory: `0x${(step.memory ?? []).map((word) => word.slice(2)).join("")}`,
        refund: (step.refund ?? 0) - refundBefore,
      },
      {
        pc: theirs.pc,
        // Opcodes of later forks have a name here, as in geth.
        op: theirs.op === 0xfe ? step.op : opcodeOf(theirs.op).name,
        gas: theirs.gas,
        depth: theirs.depth,
        stack: theirs.stack,
        memory: theirs.memory,
        // The peer has counted the refund of an SSTORE already when it reports the step.
        refund: step.op === "SSTORE" ? (step.refund ?? 0) - refundBefore : theirs.refund,
      },
      `${at}: step ${i}`,
    );
    // The peer's cost of a call is without the gas given away. What hangs on state and could not be paid is not known here.
    // And where the fixed part is too much already, geth does not ask for the rest.
    const isFixed = step.gasCost === opcodeOf(theirs.op).fixedGas;
    const isUnknown = step.error !== undefined && (step.gasCost === step.gas || isFixed || step.error !== "out of gas");
    const isFailed = (steps[i + 1]?.depth ?? 0) < step.depth;
    if (CALLS.has(step.op) || isUnknown || (isFailed && step.error === undefined)) continue;
    // The peer stops adding where the gas ends.
    const cost = step.error === undefined ? step.gasCost : Math.min(step.gasCost, theirs.gasCost);
    assert.equal(cost, theirs.gasCost, `${at}: cost of step ${i}, ${step.op}`);
  }
  assert.equal(next, peer.length, `${at}: the peer has more steps`);
}

function checkCalls(call: CallTrace, peer: PeerCall, at: string, isTop = true): void {
  assert.equal(call.type.startsWith("CREATE"), peer.isCreation, `${at}: kind`);
  // With borrowed code the peer names the caller's caller.
  if (call.type !== "DELEGATECALL") assert.equal(call.from, peer.from, `${at}: from`);
  if (call.type !== "STATICCALL") assert.equal(BigInt(call.value ?? "0x0"), peer.value, `${at}: value`);
  assert.equal(call.error !== undefined, peer.isFailed, `${at}: failed`);
  assert.equal(call.input, peer.input, `${at}: input`);
  // The top call counts the whole transaction.
  if (!isTop) assert.deepEqual([Number(call.gas), Number(call.gasUsed)], [peer.gas, peer.gasUsed], `${at}: gas`);
  if (call.error === undefined || call.error === "execution reverted")
    assert.equal(call.output ?? "0x", peer.output, `${at}: output`);
  const calls = (call.calls ?? []).filter((c) => c.type !== "SELFDESTRUCT" && !REFUSALS.has(c.error ?? ""));
  assert.equal(calls.length, peer.calls.length, `${at}: calls`);
  for (const [i, inner] of calls.entries()) checkCalls(inner, peer.calls[i] as PeerCall, `${at}.${i}`, false);
}

/** One of its programs calls the point evaluation. */
const KEPT_SEED = 1_324_636_941;

for (const seed of [KEPT_SEED, randomInt(2 ** 31)])
  test(`steps and calls of random transactions are those that @ethereumjs/vm reports, seed ${seed}`, async (t) => {
    const engine = await WasmEngine.create();
    let steps = 0;
    for (let i = 0; i < CASES; i++) {
      const { env: randomEnv, world, txs } = randomCase(seed, i);
      const env: BlockEnv = { ...randomEnv, feePolicy: "ethereum", blobBaseFeeWei: 1n };
      for (const [n, { raw, sender }] of txs.entries()) {
        if (raw[0] === DEPOSIT_TYPE) continue;
        const tx = { raw, sender, l1FeeWei: 0n };
        const [result] = engine.execute(env, [tx], world, env.gasLimit);
        if (result?.included !== true) continue;
        const traceOf = (request: TraceRequest): unknown => {
          const limits = new TraceLimits({ timeoutMs: 60_000, sizeMaxBytes: 1 << 30 });
          const place = { gasAvailable: env.gasLimit, firstLogIndex: 0 };
          return traceTransaction({ engine, env, request, limits }, tx, world, place).trace;
        };
        const struct = traceOf({ enableMemory: true, limit: STEPS_MAX }) as StructTrace;
        if (struct.structLogs.length < STEPS_MAX) {
          const at = `case ${i} of seed ${seed}, transaction ${n}`;
          const peer = await StepPeer.create(env, world);
          const theirs = await peer.run(raw);
          assert.ok(theirs !== undefined, `${at}: the peer includes it too`);
          checkSteps(struct.structLogs, theirs.steps, at);
          checkCalls(traceOf({ tracer: "callTracer" }) as CallTrace, theirs.top, at);
        }
        steps += struct.structLogs.length;
        world.apply(result.writes);
      }
    }
    t.diagnostic(`${steps} steps`);
    assert.ok(steps > CASES);
  });
