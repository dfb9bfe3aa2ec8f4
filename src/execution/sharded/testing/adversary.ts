/**
 * Owns the adversary of sharded execution: executors that plan at random, run on stale, partial or false state, answer
 * late, twice, in any order or never, and die; and the comparison of what comes out with the serial run, field by field.
 */
import { toHexKey } from "../../../base/bytes.ts";
import { AccessListBuilder, encodeBlockAccessList } from "../../../protocol/block-access-list.ts";
import type { StateWrites } from "../../../protocol/state-writes.ts";
import type { Account, BlockEnv, StateReader, TxInput, TxResult } from "../../execution.ts";
import type { TxRecord } from "../../wasm/result.ts";
import { Random } from "../../wasm/testing/random-program.ts";
import { World } from "../../wasm/testing/world.ts";
import type { WasmEngine } from "../../wasm/wasm.ts";
import { Epoch, type EpochStats } from "../epoch.ts";
import { hintOf } from "../hints.ts";
import { type ShardChaos, ShardsElsewhere } from "./shards-elsewhere.ts";

export type EpochCase = {
  readonly env: BlockEnv;
  readonly world: World;
  readonly txs: readonly TxInput[];
  readonly gasAvailable: number;
};

export type Adversity = {
  readonly executors: number;
  readonly shards: number;
  /** Percent of runs on the state before the epoch instead of the newest known. */
  readonly staleness: number;
  /** Percent of keys an executor believes something false about. */
  readonly lies: number;
  /** Percent of answers that are lost, and that come twice. */
  readonly losses: number;
  readonly repeats: number;
  /** Percent of steps at which an executor dies with all it had. */
  readonly deaths: number;
  /** What happens to key shards; undefined: they are with the coordinator. */
  readonly shardChaos?: ShardChaos | undefined;
};

/** Anything from calm to hopeless, at 1 to 16 executors. */
export function randomAdversity(random: Random): Adversity {
  return {
    executors: 1 + random.below(16),
    shards: random.pick([1, 2, 4, 16]),
    staleness: random.pick([0, 20, 100]),
    lies: random.pick([0, 0, 5, 40]),
    losses: random.pick([0, 5, 50]),
    repeats: random.pick([0, 30]),
    deaths: random.pick([0, 5]),
    shardChaos: randomShardChaos(random),
  };
}

/** Shards here or elsewhere, some of them or all, over links from perfect to hopeless. */
export function randomShardChaos(random: Random): ShardChaos | undefined {
  const elsewhere = random.pick([0, 50, 100]);
  if (elsewhere === 0) return undefined;
  const isCalm = random.chance(40);
  return {
    elsewhere,
    losses: isCalm ? 0 : random.pick([0, 3]),
    repeats: isCalm ? 0 : random.pick([0, 20]),
    deaths: isCalm ? 0 : random.pick([0, 2]),
  };
}

type Answer = { readonly index: number; readonly attempt: number; readonly record: TxRecord };

export type Outcome = {
  readonly results: readonly TxResult[];
  readonly writes: StateWrites;
  readonly stats: EpochStats;
};

/** Runs the case under adversity; every decision comes from `random`. */
export function runAdversely(engine: WasmEngine, c: EpochCase, adversity: Adversity, random: Random): Outcome {
  const { env, txs, world } = c;
  const hints = txs.map(hintOf);
  const { shardChaos } = adversity;
  const elsewhere = shardChaos && new ShardsElsewhere(adversity.shards, shardChaos, random);
  const epoch = new Epoch({
    ...(elsewhere && { elsewhere: { epoch: 1, sends: elsewhere.sends } }),
    count: txs.length,
    gasLimits: hints.map((hint) => hint.gasLimit),
    state: world,
    gasAvailable: c.gasAvailable,
    shards: adversity.shards,
  });
  // Any plan: transactions are dealt out at random, each executor runs what it has in random pieces and order.
  const queues: number[][] = Array.from({ length: adversity.executors }, () => []);
  for (const [index, hint] of hints.entries())
    if (hint.gasLimit !== undefined && hint.gasLimit <= c.gasAvailable) random.pick(queues).push(index);
  if (random.chance(30)) for (const queue of queues) shuffle(queue, random);
  const answers: Answer[] = [];
  const reads = new CheckedReads();
  let attempt = 0;
  for (let steps = 0; !epoch.isOver && steps < 100_000; steps++) {
    if (elsewhere !== undefined) {
      if (random.chance(10)) reads.ask(epoch, random.pick(txs).sender);
      if (random.chance(30)) epoch.flush();
      if (random.chance(60)) elsewhere.step(epoch);
    }
    const queue = random.pick(queues);
    const action = random.below(10);
    if (action < 4 && queue.length > 0) {
      if (random.chance(adversity.deaths)) {
        queue.length = 0;
        continue;
      }
      const piece = queue.splice(0, 1 + random.below(6));
      const base = random.chance(adversity.staleness) ? world : epoch.reader(piece[0] as number);
      const reader = adversity.lies > 0 ? new LyingReader(base, adversity.lies, random) : base;
      attempt++;
      const { records } = engine.executePartial(
        env,
        piece.map((index) => txs[index] as TxInput),
        reader,
        Number.MAX_SAFE_INTEGER,
        { bloom: true, assumeNonce: random.chance(80) },
      );
      for (const [i, index] of piece.entries()) {
        const record = records[i];
        if (record === undefined || random.chance(adversity.losses)) continue;
        answers.push({ index, attempt, record });
        if (random.chance(adversity.repeats)) answers.push({ index, attempt, record });
      }
    } else if (action < 8 && answers.length > 0) {
      const [answer] = answers.splice(random.below(answers.length), 1);
      if (answer === undefined) continue;
      epoch.deliver(answer.index, answer.attempt, answer.record);
      for (const { index } of epoch.takeStale()) if (random.chance(70)) random.pick(queues).unshift(index);
      if (random.chance(60)) checkedAdvance(epoch);
    } else if (action === 8 || (answers.length === 0 && queues.every((q) => q.length === 0))) {
      checkedAdvance(epoch);
      if (epoch.isOver) break;
      if (elsewhere !== undefined && (epoch.isDone || epoch.isInstalled(epoch.watermark))) {
        // It waits for what shards say. Two rounds may be on their way, and what is to be told then comes after them.
        epoch.flush();
        if (action !== 8) elsewhere.settle(epoch);
        continue;
      }
      const { from, to } = epoch.exactRange(1 + random.below(4));
      if (from === to) throw new Error(`nothing stops the watermark at ${from}`);
      const { records } = engine.executePartial(env, txs.slice(from, to), epoch.reader(from), epoch.gasLeft, {
        bloom: true,
      });
      epoch.deliverExact(records);
    }
  }
  if (!epoch.isOver) throw new Error("the epoch did not end in a bounded number of steps");
  // The end does not wait for reads that nobody needs any more; here they are to come all the same.
  for (let rounds = 0; rounds < 4; rounds++) {
    epoch.flush();
    elsewhere?.settle(epoch);
  }
  reads.check();
  const outcome = { results: epoch.results(), writes: epoch.net(), stats: epoch.stats };
  epoch.close();
  return outcome;
}

/** Reads at the watermark, which must be answered, and with what is final there. */
class CheckedReads {
  #asked = 0;
  #answered = 0;
  #wrong: string | undefined;

  ask(epoch: Epoch, address: Uint8Array): void {
    const index = epoch.watermark;
    const expected = epoch.account(address, index);
    this.#asked++;
    epoch.read({
      index,
      key: { kind: "account", address },
      done: (entry) => {
        this.#answered++;
        const account = entry.kind === "account" ? entry.account : undefined;
        if (account?.nonce !== expected?.nonce || account?.balanceWei !== expected?.balanceWei)
          this.#wrong = `at ${index} ${toHexKey(address)} has ${account?.nonce} ${account?.balanceWei}`;
      },
    });
  }

  check(): void {
    if (this.#wrong !== undefined) throw new Error(`a read came out wrong: ${this.#wrong}`);
    if (this.#answered !== this.#asked) throw new Error(`${this.#asked - this.#answered} reads were not answered`);
  }
}

/** I5: the watermark never goes back. */
function checkedAdvance(epoch: Epoch): void {
  const before = epoch.watermark;
  if (epoch.advance() < before) throw new Error(`the watermark went back from ${before} to ${epoch.watermark}`);
}

function shuffle(items: number[], random: Random): void {
  for (let i = items.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    [items[i], items[j]] = [items[j] as number, items[i] as number];
  }
}

/** Answers something false about some keys, always the same. */
export class LyingReader implements StateReader {
  readonly #base: StateReader;
  readonly #percent: number;
  readonly #random: Random;
  readonly #accounts = new Map<string, Account | undefined>();
  readonly #slots = new Map<string, Uint8Array>();

  constructor(base: StateReader, percent: number, random: Random) {
    this.#base = base;
    this.#percent = percent;
    this.#random = random;
  }

  account(address: Uint8Array): Account | undefined {
    const key = toHexKey(address);
    if (this.#accounts.has(key)) return this.#accounts.get(key);
    const truth = this.#base.account(address);
    let answer = truth;
    if (this.#random.chance(this.#percent)) {
      const kind = this.#random.below(4);
      if (kind === 0) answer = undefined;
      else if (truth !== undefined)
        answer = {
          ...truth,
          nonce: kind === 1 ? truth.nonce + 1n : truth.nonce,
          balanceWei: kind === 2 ? BigInt(this.#random.below(1000)) : truth.balanceWei + 10n ** 18n,
        };
    }
    this.#accounts.set(key, answer);
    return answer;
  }
  storage(address: Uint8Array, slot: Uint8Array): Uint8Array {
    const key = `${toHexKey(address)}${toHexKey(slot)}`;
    const known = this.#slots.get(key);
    if (known !== undefined) return known;
    const answer = this.#random.chance(this.#percent)
      ? new Uint8Array(32).fill(this.#random.below(3), 31)
      : this.#base.storage(address, slot);
    this.#slots.set(key, answer);
    return answer;
  }
  code(codeHash: Uint8Array): Uint8Array {
    return this.#base.code(codeHash);
  }
  blockHash(number: number): Uint8Array {
    return this.#base.blockHash(number);
  }
}

/** What differs from the serial run, or undefined: every field of every result, and the state behind it. */
export function differenceFromSerial(engine: WasmEngine, c: EpochCase, outcome: Outcome): string | undefined {
  const expected = engine.execute(c.env, c.txs, c.world, c.gasAvailable, { bloom: true });
  return differenceOf(c.world, expected, expected.writes, outcome.results, outcome.writes);
}

export function differenceOf(
  world: World,
  expected: readonly TxResult[],
  expectedWrites: StateWrites | undefined,
  actual: readonly TxResult[],
  actualWrites: StateWrites | undefined,
): string | undefined {
  if (expected.length !== actual.length) return `${actual.length} results, serially ${expected.length}`;
  for (const [i, theirs] of expected.entries()) {
    const a = describe(actual[i] as TxResult);
    const b = describe(theirs);
    for (const [n, line] of b.entries()) if (a[n] !== line) return `transaction ${i}: ${a[n]}, serially ${line}`;
    if (a.length !== b.length) return `transaction ${i}: more effects than serially`;
  }
  const after = (writes: StateWrites | undefined): string[] => {
    const copy = world.copy();
    if (writes !== undefined) copy.apply(writes);
    return copy.lines();
  };
  const own = after(actualWrites);
  const serial = after(expectedWrites);
  const wrong = own.find((line, i) => line !== serial[i]) ?? serial.find((line, i) => line !== own[i]);
  if (wrong !== undefined) return `state: ${wrong}`;
  if (accessList(actual) !== accessList(expected)) return "the block access list differs";
  const codes = (writes: StateWrites | undefined): string => [...(writes?.codes.keys() ?? [])].sort().join();
  return codes(actualWrites) === codes(expectedWrites) ? undefined : "the codes made differ";
}

/** EIP-7928's list of the results, as hex. */
function accessList(results: readonly TxResult[]): string {
  const list = new AccessListBuilder();
  for (const [i, result] of results.entries())
    if (result.included) result.recordAccess?.(list, i + 1, () => new Uint8Array(0));
  return toHexKey(encodeBlockAccessList(list.finish()));
}

function describe(result: TxResult): string[] {
  if (!result.included) return [`skipped ${result.reason}`];
  const account = (a: Account | undefined): string =>
    a === undefined ? "none" : `${a.nonce} ${a.balanceWei} ${toHexKey(a.codeHash)}`;
  return [
    `status ${result.status} gas ${result.gasUsed} price ${result.effectiveGasPriceWei}`,
    `output ${toHexKey(result.output)}`,
    `created ${result.contractAddress === undefined ? "none" : toHexKey(result.contractAddress)}`,
    `deposit nonce ${result.depositNonce}`,
    `bloom ${toHexKey(result.bloom ?? new Uint8Array(0))}`,
    ...result.logs.map((l) => `log ${[l.address, ...l.topics, l.data].map(toHexKey).join(" ")}`),
    ...[...result.writes.accounts]
      .map(
        ([key, w]) =>
          `${key} ${w.cleared} ${account(w.account)} ${[...w.storage]
            .map(([s, v]) => `${s}=${toHexKey(v)}`)
            .sort()
            .join()}`,
      )
      .sort(),
    ...[...result.writes.codes].map(([hash, code]) => `code ${hash} ${code.length}`),
    // Which fields of an account were looked at may differ (not empty: because of its code, or of its nonce): each is
    // a sufficient reason. What was read of storage may not.
    ...(result.reads ?? [])
      .filter((r) => r.slot !== undefined)
      .map((r) => `read ${toHexKey(r.address)} ${toHexKey(r.slot ?? r.address)} ${toHexKey(r.value as Uint8Array)}`)
      .sort(),
    ...(result.deltas ?? [])
      .map((d) => `delta ${toHexKey(d.address)} ${d.balanceDeltaWei} ${d.balanceAtLeastWei} ${d.nonceBefore}`)
      .sort(),
  ];
}
