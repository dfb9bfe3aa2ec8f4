import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  type ConsumedSegment,
  Derivation,
  type DerivedBlock,
  type DropReason,
  decodeOriginRecord,
  type EntryBytes,
  encodeOriginRecord,
  type InboxEntry,
  type L1Inputs,
} from "./derivation.ts";
import { encodeSegment } from "./segment.ts";
import {
  bytesKey,
  extendHistory,
  type History,
  modelHash,
  newHistory,
  Random,
  referenceDerivation,
} from "./testing/derivation-model.ts";

const seed = Number(process.env["SHEAF_SEED"] ?? Math.floor(Math.random() * 2 ** 31));

/** Runs a machine over L1 blocks; `between` may replace it between any two steps. */
class Runner {
  machine: Derivation;
  readonly history: History;
  readonly blocks: { block: DerivedBlock; hash: Uint8Array }[] = [];
  readonly consumed: ConsumedSegment[] = [];
  /** Origin records as a node would store them. */
  readonly records = new Map<number, Uint8Array>();
  /** State and number of blocks after each L1 block. */
  readonly snapshots = new Map<number, { state: Uint8Array; blocks: number; consumed: number }>();
  between: () => void = () => undefined;

  constructor(history: History) {
    this.history = history;
    const origin = history.l1[0] as L1Inputs;
    this.machine = Derivation.genesis(history.rules, history.genesis, origin);
    this.#store();
    this.drain();
  }

  #store(): void {
    const number = this.machine.l1Head.number;
    const record = this.machine.origin(number);
    if (record !== undefined) this.records.set(number, encodeOriginRecord(record));
  }

  restart(state: Uint8Array = this.machine.save()): void {
    this.machine = Derivation.restore(this.history.rules, state, (number) => {
      const record = this.records.get(number);
      return record === undefined ? undefined : decodeOriginRecord(record);
    });
  }

  drain(): void {
    for (;;) {
      this.between();
      const step = this.machine.step();
      if (step.kind === "idle") break;
      if (step.kind === "fetch")
        this.machine.supply(this.history.bytes.get(bytesKey(step.entry.transactionHash)) as EntryBytes);
      if (step.kind === "consumed") this.consumed.push(step.segment);
      if (step.kind === "block") {
        const hash = modelHash(step.block);
        this.blocks.push({ block: step.block, hash });
        this.machine.executed(hash);
      }
    }
    const { safe, l1Head } = this.machine;
    assert.ok(l1Head.number - safe.originNumber <= this.history.rules.sequencingWindow, "the window holds when idle");
    this.snapshots.set(l1Head.number, {
      state: this.machine.save(),
      blocks: this.blocks.length,
      consumed: this.consumed.length,
    });
  }

  push(inputs: L1Inputs): void {
    this.machine.push(inputs);
    this.#store();
    this.drain();
  }

  run(): this {
    while (this.machine.l1Head.number < (this.history.l1.at(-1) as L1Inputs).info.number)
      this.push(
        this.history.l1[this.machine.l1Head.number + 1 - (this.history.l1[0] as L1Inputs).info.number] as L1Inputs,
      );
    return this;
  }

  /** What a node does when L1 reorganises: back to the state after block `number`. */
  unwindTo(number: number): void {
    const snapshot = this.snapshots.get(number);
    assert.ok(snapshot !== undefined);
    this.restart(snapshot.state);
    this.blocks.length = snapshot.blocks;
    this.consumed.length = snapshot.consumed;
  }
}

function makeHistory(historySeed: number, length: number): History {
  const random = new Random(historySeed);
  const history = newHistory(random);
  extendHistory(history, length, random);
  return history;
}

function agrees(runner: Runner): void {
  const expected = referenceDerivation(runner.history);
  assert.deepEqual(runner.blocks, expected.blocks);
  assert.equal(runner.machine.nextIndex, expected.nextIndex);
  assert.deepEqual(
    runner.consumed.map((c) => c.reason),
    expected.reasons,
  );
}

const historySeed = fc.integer({ min: 0, max: 2 ** 31 });

test("the machine derives what the model says, whatever the sequencer did", () => {
  const reasons = new Map<DropReason | "TAKEN" | "FORCED" | "DEPOSITS", number>();
  const count = (key: DropReason | "TAKEN" | "FORCED" | "DEPOSITS"): unknown =>
    reasons.set(key, (reasons.get(key) ?? 0) + 1);
  fc.assert(
    fc.property(historySeed, (s) => {
      const runner = new Runner(makeHistory(s, 60)).run();
      agrees(runner);
      for (const c of runner.consumed) count(c.reason ?? "TAKEN");
      for (const b of runner.blocks) if (b.block.segmentIndex === undefined) count("FORCED");
      for (const b of runner.blocks) if (b.block.context.deposits.length > 0) count("DEPOSITS");
    }),
    { seed, numRuns: 150 },
  );
  // The property is only worth something if the histories visit every rule.
  for (const key of [
    "TAKEN",
    "FORCED",
    "DEPOSITS",
    "UNDECODABLE",
    "WRONG_BLOCK_NUMBER",
    "WRONG_PARENT",
    "WRONG_ORIGIN",
    "WRONG_TIMESTAMP",
    "WINDOW_EXPIRED",
  ] as const)
    assert.ok((reasons.get(key) ?? 0) > 0, `no history visits ${key} (seed ${seed})`);
});

test("saved and restored between any two steps, it derives the same", () => {
  fc.assert(
    fc.property(historySeed, fc.integer({ min: 1, max: 60 }), (s, percent) => {
      const random = new Random(s + 1);
      const runner = new Runner(makeHistory(s, 40));
      runner.between = () => {
        if (random.chance(percent)) runner.restart();
      };
      agrees(runner.run());
    }),
    { seed, numRuns: 60 },
  );
});

test("after a reorganisation of L1 it derives what the new chain says", () => {
  fc.assert(
    fc.property(historySeed, fc.integer({ min: 1, max: 30 }), fc.integer({ min: 0, max: 15 }), (s, depth, growth) => {
      const history = makeHistory(s, 40);
      const runner = new Runner(history).run();
      // Indexes of the dropped blocks are free again: the generator continues behind what is left.
      history.l1.length -= depth;
      extendHistory(history, depth + growth, new Random(s + 2));
      runner.unwindTo((history.l1[0] as L1Inputs).info.number + 40 - depth);
      agrees(runner.run());
    }),
    { seed, numRuns: 60 },
  );
});

test("with the sequencer silent, deposits alone advance the chain within the window", () => {
  fc.assert(
    fc.property(historySeed, fc.integer({ min: 20, max: 60 }), (s, length) => {
      const random = new Random(s);
      const history = newHistory(random);
      extendHistory(history, length, random);
      for (const [i, inputs] of history.l1.entries()) history.l1[i] = { ...inputs, entries: [] };
      const runner = new Runner(history).run();
      agrees(runner);
      const { safe, l1Head } = runner.machine;
      const behind = l1Head.number - safe.originNumber;
      assert.ok(behind <= history.rules.sequencingWindow);
      assert.ok(behind >= Math.floor(history.rules.sequencingWindow / 2));
      const executed = runner.blocks.flatMap((b) => b.block.context.deposits);
      const due = history.l1.slice(1).filter((b) => b.info.number <= safe.originNumber);
      assert.deepEqual(
        executed,
        due.flatMap((b) => b.deposits),
      );
    }),
    { seed, numRuns: 30 },
  );
});

test("a block that is not younger than its parent is dropped, and with it the rest of the segment", () => {
  const random = new Random(1);
  const history: History = { ...newHistory(random), rules: { sequencingWindow: 9, maxDriftSeconds: 600 } };
  const { info } = history.l1[0] as L1Inputs;
  const runner = new Runner(history);
  let parent = info;
  for (const number of [1, 2]) {
    const transactionHash = random.bytes(32);
    const block = {
      number,
      parentHash: runner.machine.safe.hash,
      timestamp: info.timestamp,
      origin: info,
      transactions: [],
    };
    history.bytes.set(bytesKey(transactionHash), { calldata: encodeSegment([block], { chainId: 901 }) });
    parent = { ...parent, number: parent.number + 1, parentHash: parent.hash, hash: random.bytes(32) };
    const entries = [{ index: number - 1, kind: "calldata" as const, hashes: [], transactionHash }];
    const inputs: L1Inputs = { info: parent, systemConfigLogs: [], deposits: [], entries };
    history.l1.push(inputs);
    runner.push(inputs);
  }
  assert.deepEqual(
    runner.consumed.map((c) => c.reason),
    [undefined, "WRONG_TIMESTAMP"],
  );
  agrees(runner);
});

/**
 * What a sequencer would make: five blocks an origin, a segment for every seven blocks. `arrivals`: how many L1 blocks
 * after the last origin the inbox takes each segment; in one L1 block the higher index comes first.
 */
function honestChain(random: Random, arrivals: readonly number[]): { history: History; hashes: Uint8Array[] } {
  const history = newHistory(random);
  const rules = { sequencingWindow: 50, maxDriftSeconds: 600 };
  const honest: History = { ...history, rules };
  for (let i = 0; i < 10; i++) {
    const parent = (honest.l1.at(-1) as L1Inputs).info;
    const info = {
      ...parent,
      number: parent.number + 1,
      hash: random.bytes(32),
      parentHash: parent.hash,
      timestamp: parent.timestamp + 12,
    };
    honest.l1.push({ info, systemConfigLogs: [], deposits: [random.bytes(9)], entries: [] });
  }
  const made: {
    number: number;
    parentHash: Uint8Array;
    timestamp: number;
    origin: { number: number; hash: Uint8Array };
    transactions: Uint8Array[];
  }[] = [];
  const hashes: Uint8Array[] = [];
  let parentHash = honest.genesis.hash;
  for (const inputs of honest.l1.slice(1))
    for (let sequenceNumber = 0; sequenceNumber < 5; sequenceNumber++) {
      const block = {
        number: made.length + 1,
        parentHash,
        timestamp: inputs.info.timestamp + sequenceNumber,
        origin: { number: inputs.info.number, hash: inputs.info.hash },
        transactions: [random.bytes(50), random.bytes(3)],
      };
      made.push(block);
      parentHash = modelHash({
        parentHash,
        context: {
          number: block.number,
          timestamp: block.timestamp,
          origin: inputs.info,
          sequenceNumber,
          systemConfig: honest.genesis.systemConfig,
          deposits: sequenceNumber === 0 ? inputs.deposits : [],
        },
        transactions: block.transactions,
        segmentIndex: undefined,
      });
      hashes.push(parentHash);
    }
  const late: InboxEntry[][] = Array.from({ length: Math.max(1, ...arrivals) + 1 }, () => []);
  for (let at = 0; at < made.length; at += 7) {
    const transactionHash = random.bytes(32);
    honest.bytes.set(bytesKey(transactionHash), { calldata: encodeSegment(made.slice(at, at + 7), { chainId: 901 }) });
    const arrival = late[arrivals[at / 7] ?? 0] as InboxEntry[];
    arrival.unshift({ index: at / 7, kind: "calldata" as const, hashes: [], transactionHash });
  }
  for (const entries of late) {
    const parent = (honest.l1.at(-1) as L1Inputs).info;
    const info = {
      ...parent,
      number: parent.number + 1,
      hash: random.bytes(32),
      parentHash: parent.hash,
      timestamp: parent.timestamp + 12,
    };
    honest.l1.push({ info, systemConfigLogs: [], deposits: [], entries });
  }
  return { history: honest, hashes };
}

test("honest blocks come back from their segments in whatever order several accounts posted them", () => {
  fc.assert(
    fc.property(historySeed, fc.array(fc.nat(20), { minLength: 8, maxLength: 8 }), (chainSeed, arrivals) => {
      const { history, hashes } = honestChain(new Random(chainSeed), arrivals);
      const runner = new Runner(history).run();
      assert.deepEqual(
        runner.blocks.map((b) => b.hash),
        hashes,
      );
      assert.ok(runner.consumed.every((c) => c.reason === undefined && c.blocksDropped === 0));
      assert.deepEqual(
        runner.consumed.map((c) => c.entry.index),
        [0, 1, 2, 3, 4, 5, 6, 7],
      );
    }),
    { numRuns: 40 },
  );
});
