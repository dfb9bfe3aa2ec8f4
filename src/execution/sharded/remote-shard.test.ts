import assert from "node:assert/strict";
import { test } from "node:test";
import { fromHex, toHexKey } from "../../base/bytes.ts";
import type { OpenLink } from "../../link/link.ts";
import { keccak256 } from "../../protocol/keccak.ts";
import { Random, randomCase } from "../wasm/testing/random-program.ts";
import { WasmEngine } from "../wasm/wasm.ts";
import { Epoch } from "./epoch.ts";
import { executorHere } from "./executor-links.ts";
import { hintOf } from "./hints.ts";
import { ShardEpochs } from "./shard-epochs.ts";
import { shardOverMessages } from "./shard-links.ts";
import { type Answer, decodeFromShard, decodeRound, encodeAnswer, encodeReady } from "./shard-messages.ts";
import { ShardedEngine } from "./sharded-engine.ts";
import { differenceFromSerial, differenceOf, type EpochCase } from "./testing/adversary.ts";

const engine = await WasmEngine.create();

/** An epoch with one key shard elsewhere whose messages wait to be carried. */
function epochElsewhere(c: EpochCase): { epoch: Epoch; toShard: Uint8Array[]; answers: Answer[]; host: ShardEpochs } {
  const toShard: Uint8Array[] = [];
  const answers: Answer[] = [];
  const host = new ShardEpochs((bytes) => answers.push(decodeFromShard(bytes) as Answer));
  const hints = c.txs.map(hintOf);
  const epoch = new Epoch({
    count: c.txs.length,
    gasLimits: hints.map((hint) => hint.gasLimit),
    state: c.world,
    gasAvailable: c.gasAvailable,
    shards: 1,
    elsewhere: { epoch: 5, sends: [(message) => toShard.push(message)] },
  });
  return { epoch, toShard, answers, host };
}

/** Transactions run one after the other: results that hold, except where they assumed too much gas. */
function recordsOf(c: EpochCase) {
  return engine.executePartial(c.env, c.txs, c.world, Number.MAX_SAFE_INTEGER, { bloom: true }).records;
}

const plainCase = (number: number): EpochCase => ({ ...randomCase(3, number, 12), gasAvailable: 1_000_000_000 });

test("the watermark moves with answers only, and twice the same answer is none", () => {
  const c = plainCase(1);
  const { epoch, toShard, answers, host } = epochElsewhere(c);
  for (const [i, record] of recordsOf(c).entries()) if (record !== undefined) epoch.deliver(i, 1, record);
  assert.equal(epoch.advance(), 0);
  epoch.flush();
  epoch.flush();
  assert.equal(toShard.length, 1, "one round for everything there is");
  host.receive(toShard[0] as Uint8Array);
  host.receive((toShard[0] as Uint8Array).slice());
  assert.equal(answers.length, 1, "a round that comes twice is answered once");
  const answer = answers[0] as Answer;
  assert.ok(epoch.received(0, answer));
  const watermark = epoch.advance();
  assert.ok(watermark > 0);
  assert.ok(epoch.received(0, { ...answer, frontier: 0 }), "the second one is not looked at");
  assert.equal(epoch.advance(), watermark);
});

test("a result on its way to the shard is not believed to hold, whatever the shard said of the one before", () => {
  const c = plainCase(2);
  const { epoch, toShard, answers, host } = epochElsewhere(c);
  const records = recordsOf(c);
  const first = records[0];
  assert.ok(first !== undefined);
  epoch.deliver(0, 1, first);
  epoch.flush();
  host.receive(toShard.shift() as Uint8Array);
  epoch.received(0, answers.shift() as Answer);
  assert.equal(epoch.advance(), 1);
  epoch.deliver(1, 1, records[1] as NonNullable<typeof first>);
  assert.equal(epoch.advance(), 1, "not sent");
  epoch.flush();
  assert.equal(epoch.advance(), 1, "not answered");
  assert.equal(epoch.conflict, undefined);
  host.receive(toShard.shift() as Uint8Array);
  epoch.received(0, answers.shift() as Answer);
  assert.ok(epoch.advance() >= 1);
});

test("a shard that answers for rounds it was not sent, or against what is final, is out of step", () => {
  const c = plainCase(3);
  const { epoch, toShard, answers, host } = epochElsewhere(c);
  for (const [i, record] of recordsOf(c).entries()) if (record !== undefined) epoch.deliver(i, 1, record);
  epoch.flush();
  host.receive(toShard.shift() as Uint8Array);
  const answer = answers.shift() as Answer;
  assert.equal(epoch.received(0, { ...answer, round: 1 }), false);
  assert.equal(epoch.received(0, { ...answer, frontier: c.txs.length + 1 }), false);
  const key = toHexKey(keccak256(fromHex("01")));
  const entry = { kind: "slot" as const, address: new Uint8Array(20), slot: fromHex(key), value: fromHex(key) };
  assert.equal(epoch.received(0, { ...answer, values: [entry] }), false, "an answer nobody asked for");
  const correction = { index: 0, at: 0x7ffffff8, fields: new Uint8Array(176) };
  assert.equal(epoch.received(0, { ...answer, settledTo: 1, corrections: [correction] }), false);
  epoch.takeOver(0);
  while (!epoch.isDone) {
    epoch.advance();
    const { from, to } = epoch.exactRange(8);
    if (from < to)
      epoch.deliverExact(
        engine.executePartial(c.env, c.txs.slice(from, to), epoch.reader(from), epoch.gasLeft, { bloom: true }).records,
      );
  }
  const outcome = { results: epoch.results(), writes: epoch.net(), stats: epoch.stats };
  assert.equal(differenceFromSerial(engine, c, outcome), undefined);
});

test("two rounds are under way at most", () => {
  const c = plainCase(4);
  const { epoch, toShard } = epochElsewhere(c);
  for (const [i, record] of recordsOf(c).entries()) {
    if (record === undefined) continue;
    epoch.deliver(i, 1, record);
    epoch.flush();
  }
  assert.equal(toShard.length, 2);
  assert.deepEqual(
    toShard.map((bytes) => decodeRound(bytes).round),
    [0, 1],
  );
});

/** A shard that says it is ready and then does as `answer` says. */
const pretender =
  (answer: (bytes: Uint8Array) => Uint8Array | undefined): OpenLink =>
  ({ received }) => {
    setImmediate(() => received(encodeReady()));
    return {
      send: (bytes) => {
        const answered = answer(bytes);
        if (answered !== undefined) setImmediate(() => received(answered));
      },
      close: () => Promise.resolve(),
    };
  };

const PRETENDERS: Readonly<Record<string, OpenLink>> = {
  "never says that it is ready": () => ({ send: () => undefined, close: () => Promise.resolve() }),
  "falls silent": pretender(() => undefined),
  "answers with rubbish": pretender(() => Uint8Array.of(9, 9, 9)),
  "answers for another round": pretender((bytes) => {
    const { epoch, round } = decodeRound(bytes);
    return encodeAnswer({
      epoch,
      round: round + 1,
      frontier: 0,
      conflict: undefined,
      stale: [],
      values: [],
      settledTo: 0,
      corrections: [],
      net: undefined,
      micros: 0,
      accesses: 0,
    });
  }),
  "is lost at once": ({ lost }) => {
    setImmediate(() => lost(new Error("it does not start")));
    return { send: () => undefined, close: () => Promise.resolve() };
  },
};

for (const [what, open] of Object.entries(PRETENDERS))
  test(`I1, I5: a key shard that ${what} costs time and no byte`, async () => {
    const sharded = new ShardedEngine(engine, {
      links: [executorHere(engine), executorHere(engine)],
      shards: [open, shardOverMessages],
      always: true,
      stallMs: 20,
    });
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
    const random = new Random(1, 1);
    for (let n = 0; n < 3; n++) {
      const c = randomCase(random.below(1_000), n, 20);
      const expected = engine.execute(c.env, c.txs, c.world, c.env.gasLimit, { bloom: true });
      const actual = await sharded.executeBatch(c.env, c.txs, c.world, c.env.gasLimit);
      assert.equal(differenceOf(c.world, expected, expected.writes, actual, actual.writes), undefined, `batch ${n}`);
    }
  });
