import assert from "node:assert/strict";
import { test } from "node:test";
import { bigIntToBytes, fromHex, toHex, toHexKey } from "../../../base/bytes.ts";
import { Anvil } from "../../../l1/anvil.ts";
import { keccak256 } from "../../../protocol/keccak.ts";
import { addressOfPrivateKey } from "../../../protocol/secp256k1.ts";
import { signTransaction } from "../../../protocol/transaction-codec.ts";
import type { BlockEnv } from "../../execution.ts";
import { Random, randomProgram } from "../testing/random-program.ts";
import { EMPTY_CODE_HASH, World } from "../testing/world.ts";
import { WasmEngine } from "../wasm.ts";
import type { CallTrace } from "./call-tracer.ts";
import type { Prestate } from "./prestate.ts";
import type { StructLog } from "./struct-tracer.ts";
import { type StructTrace, type TraceContext, type TraceRequest, traceCall, traceTransaction } from "./trace.ts";
import { TraceLimits } from "./trace-limits.ts";

const SECRET = new Uint8Array(32).fill(5);
const SENDER = addressOfPrivateKey(SECRET);
/** The addresses random programs call. */
const CONTRACTS = Array.from({ length: 5 }, (_, i) => fromHex(`c0de${(i + 1).toString(16).padStart(36, "0")}`));
const GAS = 400_000n;

const freeLimits = (): TraceLimits => new TraceLimits({ timeoutMs: 60_000, sizeMaxBytes: 1 << 30 });

/** All fields of a call but those of the known differences, which are named here. */
function essence(trace: CallTrace, depth = 0, isUndone = false): unknown {
  const isFailed = isUndone || trace.error !== undefined;
  // anvil does not say whose, when an account destroys itself in favour of itself.
  if (trace.type === "SELFDESTRUCT") return { type: trace.type };
  return {
    type: trace.type,
    from: trace.from,
    to: trace.to,
    value: trace.value,
    // geth and this engine give the transaction's gas limit, anvil what is left after the intrinsic gas.
    gas: depth === 0 ? undefined : trace.gas,
    gasUsed: trace.gasUsed,
    input: trace.input,
    // Both say "execution reverted"; for other halts anvil has words of its own.
    error: trace.error === undefined || trace.error === "execution reverted" ? trace.error : "halted",
    output: trace.output ?? "0x",
    revertReason: trace.revertReason,
    // geth leaves out logs that were undone, anvil shows them.
    logs: (isFailed ? [] : (trace.logs ?? [])).map(({ address, topics, data, position }) => ({
      address,
      topics,
      data,
      position,
    })),
    calls: (trace.calls ?? []).map((call) => essence(call, depth + 1, isFailed)),
  };
}

/** All fields of a step but the words of its error. anvil prints what is empty, and storage without 0x. */
function stepFields(step: StructLog): unknown {
  const prefixed = (word: string): string => (word.startsWith("0x") ? word : `0x${word}`);
  return {
    ...step,
    error: undefined,
    refund: step.refund ?? 0,
    returnData: step.returnData ?? "0x",
    memory: step.memory ?? [],
    storage: Object.fromEntries(Object.entries(step.storage ?? {}).map(([k, v]) => [prefixed(k), prefixed(v)])),
  };
}

/** Without the code hashes that geth adds beside the code and anvil does not. */
function plain(state: unknown): Record<string, unknown> {
  const text = JSON.stringify(state, (key, value: unknown) => (key === "codeHash" ? undefined : value));
  return JSON.parse(text) as Record<string, unknown>;
}

/** As geth, what was not there before has no state before, and no balance is no change of it. */
function likeGeth({ pre, post }: { pre: Prestate; post: Prestate }): void {
  for (const [address, account] of Object.entries(pre))
    if (JSON.stringify(account) === '{"balance":"0x0"}') delete pre[address];
  for (const [address, account] of Object.entries(post))
    if (!(address in pre) && account.balance === "0x0") delete account.balance;
}

test("call and struct traces of random programs equal those of anvil", async (t) => {
  const anvil = await Anvil.start({ hardfork: "prague", manualMining: true });
  t.after(() => anvil.stop());
  const ask = async <T>(method: string, params: unknown[]): Promise<T> => (await anvil.rpc.call(method, params)) as T;
  const engine = await WasmEngine.create();
  let compared = 0;
  for (let seed = 1; seed <= 25; seed++) {
    const random = new Random(seed, 7);
    const world = new World();
    for (const address of CONTRACTS) {
      const code = withoutEnvironment(randomProgram(random, 5 + random.below(25)));
      const codeHash = keccak256(code);
      world.codes.set(toHexKey(codeHash), code);
      world.accounts.set(toHexKey(address), { nonce: 1n, balanceWei: 1000n, codeHash, storage: new Map() });
      await ask("anvil_setCode", [toHex(address), toHex(code)]);
      await ask("anvil_setNonce", [toHex(address), "0x1"]);
      await ask("anvil_setBalance", [toHex(address), "0x3e8"]);
      for (let slot = 0; slot < 6; slot++)
        await ask("anvil_setStorageAt", [
          toHex(address),
          toHex(bigIntToBytes(BigInt(slot), 32)),
          toHex(new Uint8Array(32)),
        ]);
    }
    const nonce = BigInt(await ask<string>("eth_getTransactionCount", [toHex(SENDER), "latest"]));
    const balanceWei = 10n ** 20n;
    await ask("anvil_setBalance", [toHex(SENDER), `0x${balanceWei.toString(16)}`]);
    world.accounts.set(toHexKey(SENDER), { nonce, balanceWei, codeHash: EMPTY_CODE_HASH, storage: new Map() });
    const to = CONTRACTS[0] as Uint8Array;
    const tx = signTransaction(
      {
        type: 2,
        chainId: 31337,
        nonce,
        to,
        gasLimit: GAS,
        maxFeePerGasWei: 10n ** 11n,
        valueWei: 3n,
        data: random.bytes(40),
      },
      SECRET,
    );
    // Without --steps-tracing anvil keeps no steps of mined transactions, but it takes them of a call.
    const call = { from: SENDER, to, data: tx.data, valueWei: 3n, gasLimit: Number(GAS), gasPriceWei: 0n };
    const params = {
      from: toHex(SENDER),
      to: toHex(to),
      data: toHex(tx.data),
      value: "0x3",
      gas: `0x${GAS.toString(16)}`,
    };
    const theirSteps = await ask<StructTrace>("debug_traceCall", [
      params,
      "latest",
      { enableMemory: true, enableReturnData: true },
    ]);
    const hash = await ask<string>("eth_sendRawTransaction", [toHex(tx.raw)]);
    await ask("anvil_mine", []);
    const block = await ask<Record<string, string>>("eth_getBlockByNumber", ["latest", false]);
    const env: BlockEnv = {
      chainId: 31337,
      number: Number(block["number"]),
      timestamp: Number(block["timestamp"]),
      gasLimit: Number(block["gasLimit"]),
      baseFeePerGasWei: BigInt(block["baseFeePerGas"] ?? 0),
      blobBaseFeeWei: 1n,
      coinbase: fromHex(block["miner"] ?? ""),
      prevRandao: fromHex(block["mixHash"] ?? ""),
      fork: "prague",
      feePolicy: "ethereum",
    };
    const input = { raw: tx.raw, sender: SENDER, l1FeeWei: 0n };
    const place = { gasAvailable: env.gasLimit, firstLogIndex: 0 };
    const contextOf = (request: TraceRequest): TraceContext => ({ engine, env, request, limits: freeLimits() });
    const traceOf = (request: TraceRequest): unknown => traceTransaction(contextOf(request), input, world, place).trace;
    const callRequest = { tracer: "callTracer", tracerConfig: { withLog: true } } as const;
    const own = traceOf(callRequest) as CallTrace;
    const theirs = await ask<CallTrace>("debug_traceTransaction", [hash, callRequest]);
    assert.deepEqual(essence(own), essence(theirs), `call trace of seed ${seed}`);
    for (const diffMode of [false, true]) {
      const request = { tracer: "prestateTracer" as const, tracerConfig: { diffMode, includeEmpty: !diffMode } };
      const mine = plain(traceOf(request));
      const anvils = plain(await ask<unknown>("debug_traceTransaction", [hash, request]));
      if (diffMode) likeGeth(anvils as { pre: Prestate; post: Prestate });
      // anvil also lists what an instruction named that ran out of gas before it looked.
      if (!diffMode) for (const address of Object.keys(anvils)) if (!(address in mine)) delete anvils[address];
      assert.deepEqual(mine, anvils, `prestate of seed ${seed}, diffMode ${diffMode}`);
    }
    const steps = traceCall(
      contextOf({ enableMemory: true, enableReturnData: true }),
      { ...call, intrinsicGas: true },
      world,
    ) as StructTrace;
    assert.equal(steps.gas, theirSteps.gas);
    assert.equal(steps.structLogs.length, theirSteps.structLogs.length, `steps of seed ${seed}`);
    for (const [i, step] of steps.structLogs.entries()) {
      const their = theirSteps.structLogs[i];
      assert.ok(their !== undefined);
      // What a failing instruction would have cost geth says and anvil does not; anvil adds the gas a creation gives away.
      const isKnown = step.error === undefined && their.error === undefined && !step.op.startsWith("CREATE");
      if (!isKnown) their.gasCost = step.gasCost;
      // geth notes storage before it knows that the access fails, anvil after it succeeded.
      const isFailed = (steps.structLogs[i + 1]?.depth ?? 0) < step.depth;
      if (isFailed && (step.op === "SSTORE" || step.op === "SLOAD")) {
        delete step.storage;
        delete their.storage;
      }
      assert.deepEqual(stepFields(step), stepFields(their), `step ${i} of seed ${seed}`);
      compared++;
    }
  }
  t.diagnostic(`${compared} steps`);
  assert.ok(compared > 500);
});

/** What a call and a mined transaction, or the two sides, see differently; replaced by one of the same stack effect. */
const ENVIRONMENT = new Set([0x3a, 0x41, 0x42, 0x43, 0x44, 0x45, 0x48, 0x4a]);
function withoutEnvironment(code: Uint8Array): Uint8Array {
  const out = code.slice();
  for (let pc = 0; pc < out.length; pc++) {
    const op = out[pc] as number;
    if (op === 0x40) out[pc] = 0x19;
    if (ENVIRONMENT.has(op)) out[pc] = 0x30;
    if (op >= 0x60 && op <= 0x7f) pc += op - 0x5f;
  }
  return out;
}
