import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { fromHex } from "../base/bytes.ts";
import { systemClock } from "../base/clock.ts";
import { silentLog } from "../base/log.ts";
import { decodeSignedTransaction, signTransaction } from "../protocol/transaction-codec.ts";
import type { PooledTransaction, PoolView, SubmitOutcome } from "../rpc/chain-view.ts";
import { type ForwardedOutcome, LeaderPool, type LeaderSource } from "./leader-pool.ts";

const transfer = (nonce: number): PooledTransaction => ({
  tx: signTransaction(
    {
      ...{ type: 2, chainId: 901, nonce: BigInt(nonce), to: new Uint8Array(20), valueWei: 1n, data: new Uint8Array(0) },
      ...{ gasLimit: 21_000n, maxFeePerGasWei: 10n ** 9n, maxPriorityFeePerGasWei: 1n },
    },
    new Uint8Array(32).fill(7),
  ),
  sender: new Uint8Array(20).fill(1),
});

type Answer = readonly ForwardedOutcome[] | "not leading" | "silence" | "cut";

/** A leader's gateway that answers as it is told. */
async function gateway(t: TestContext, answer: (nonces: number[]) => Answer): Promise<string> {
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk: Buffer) => (body += chunk.toString()));
    request.on("end", () => {
      const [raws] = (JSON.parse(body) as { params: [`0x${string}`[]] }).params;
      const answered = answer(raws.map((raw) => Number(decodeSignedTransaction(fromHex(raw)).nonce)));
      if (answered === "silence") return;
      if (answered === "cut") {
        request.socket.destroy();
        return;
      }
      const error = { code: -32005, message: "no", data: { reason: "NO_LEADER" } };
      const result = answered === "not leading" ? { error } : { result: answered };
      response.end(JSON.stringify({ jsonrpc: "2.0", id: 1, ...result }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function pool(source: Partial<LeaderSource>, more: { waitMs?: number; txsMax?: number } = {}) {
  const full = { pool: undefined, leader: undefined, isCutOff: false, isIncluded: () => false, ...source };
  // The source is looked at anew each time: tests change it.
  const leaderPool = new LeaderPool({
    source: Object.assign(source, full) as LeaderSource,
    address: "",
    waitMs: more.waitMs ?? 20_000,
    txsMax: more.txsMax ?? 100,
    clock: systemClock,
    log: silentLog,
  });
  return { leaderPool, source: source as { -readonly [K in keyof LeaderSource]: LeaderSource[K] } };
}

const lane = (outcome: SubmitOutcome): PoolView =>
  ({ submit: async (txs: readonly unknown[]) => txs.map(() => outcome) }) as unknown as PoolView;

test("a leader takes its own transactions; else they go to the leader, and its outcomes come back in order", async (t) => {
  const { leaderPool, source } = pool({ pool: lane({ accepted: true }) });
  assert.deepEqual(await leaderPool.submit([transfer(0)]), [{ accepted: true }]);
  source.pool = undefined;
  source.leader = { address: await gateway(t, (nonces) => nonces.map((n) => (n === 1 ? null : refused))), term: 3 };
  const refused = { reason: "UNDERPRICED", message: "too little" } as const;
  assert.deepEqual(await leaderPool.submit([transfer(0), transfer(1), transfer(2)]), [
    { accepted: false, code: "UNDERPRICED", message: "too little" },
    { accepted: true },
    { accepted: false, code: "UNDERPRICED", message: "too little" },
  ]);
  assert.equal(leaderPool.leads, false);
});

test("without a leader they wait a while and are refused; beyond the bound at once", async () => {
  const { leaderPool } = pool({}, { waitMs: 100, txsMax: 1 });
  const waiting = leaderPool.submit([transfer(0)]);
  assert.deepEqual(
    (await leaderPool.submit([transfer(1)])).map((o) => !o.accepted && o.code),
    ["NO_LEADER"],
  );
  assert.deepEqual(
    (await waiting).map((o) => !o.accepted && o.code),
    ["NO_LEADER"],
  );
});

test("one that does not lead any more is left for the next, and a silent one when somebody else leads", async (t) => {
  const calls: string[] = [];
  const former = await gateway(t, () => {
    calls.push("former");
    return calls.length === 1 ? "not leading" : "silence";
  });
  const next = await gateway(t, (nonces) => nonces.map(() => null));
  const { leaderPool, source } = pool({ leader: { address: former, term: 1 } });
  const submitted = leaderPool.submit([transfer(0)]);
  while (calls.length < 2) await systemClock.sleep(5);
  source.leader = { address: next, term: 2 };
  assert.deepEqual(await submitted, [{ accepted: true }]);
});

test("what a lost call may have brought to the leader counts as accepted, known or executed meanwhile", async (t) => {
  let calls = 0;
  const answers: Answer[] = [
    "cut",
    [
      { reason: "ALREADY_KNOWN", message: "" },
      { reason: "NONCE_TOO_LOW", message: "" },
    ],
  ];
  const address = await gateway(t, () => answers[calls++] as Answer);
  const { leaderPool } = pool({ leader: { address, term: 1 }, isIncluded: () => true });
  assert.deepEqual(await leaderPool.submit([transfer(0), transfer(1)]), [{ accepted: true }, { accepted: true }]);
  // Never heard before: the same words are a refusal.
  const known = await gateway(t, () => [{ reason: "NONCE_TOO_LOW", message: "" }]);
  const other = pool({ leader: { address: known, term: 1 }, isIncluded: () => true });
  assert.deepEqual(
    (await other.leaderPool.submit([transfer(0)])).map((o) => o.accepted),
    [false],
  );
});

test("a leader whose logs take nothing keeps nobody waiting: sent elsewhere it may be accepted", async () => {
  const { leaderPool, source } = pool({
    pool: { submit: () => new Promise(() => undefined) } as unknown as PoolView,
  });
  const waiting = leaderPool.submit([transfer(0)]);
  source.isCutOff = true;
  for (const outcomes of [await waiting, await leaderPool.submit([transfer(1)])])
    assert.deepEqual(
      outcomes.map((o) => !o.accepted && o.code),
      ["NO_LEADER"],
    );
  source.isCutOff = false;
  source.pool = lane({ accepted: true });
  assert.deepEqual(await leaderPool.submit([transfer(1)]), [{ accepted: true }]);
});
