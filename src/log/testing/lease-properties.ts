/**
 * Owns the properties of leadership that every log adapter must give: several candidates live on one log while their
 * clocks run apart and jump, their calls are held up before and after they reach the log, and leaders resign.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Clock } from "../../base/clock.ts";
import { CodedError } from "../../base/error.ts";
import { aborted } from "../../base/signal.ts";
import { decodeLeaseRecord, isLeaseRecord, type Leadership, takeLead } from "../lease.ts";
import type { AppendLog } from "../log.ts";
import { type Append, ZERO_HASH } from "../record.ts";
import { recordsBehind } from "../record-reader.ts";
import { PassingLog } from "./passing-log.ts";

/** A clock that moves when it is told to. */
export class ManualClock implements Clock {
  #nowMs = 0;
  readonly #sleepers = new Map<() => void, number>();

  nowMs(): number {
    return this.#nowMs;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted === true) return resolve();
      const done = (): void => {
        this.#sleepers.delete(done);
        signal?.removeEventListener("abort", done);
        resolve();
      };
      this.#sleepers.set(done, this.#nowMs + ms);
      signal?.addEventListener("abort", done, { once: true });
    });
  }

  advance(ms: number): void {
    this.#nowMs += ms;
    for (const [wake, atMs] of this.#sleepers) if (atMs <= this.#nowMs) wake();
  }
}

/** Holds calls up, before they reach the log and after it answered, as long as its process is stalled. */
class StallingLog extends PassingLog {
  #stall: { promise: Promise<void>; end: () => void } | undefined;

  stall(): void {
    if (this.#stall !== undefined) return;
    let end = (): void => undefined;
    const promise = new Promise<void>((resolve) => {
      end = resolve;
    });
    this.#stall = { promise, end };
  }

  wake(): void {
    this.#stall?.end();
    this.#stall = undefined;
  }

  async #through<T>(call: () => Promise<T>): Promise<T> {
    await this.#stall?.promise;
    const answer = await call().then(
      (value) => ({ value }),
      (error: unknown) => ({ error }),
    );
    await this.#stall?.promise;
    if ("error" in answer) throw answer.error;
    return answer.value;
  }

  override append(append: Append): ReturnType<AppendLog["append"]> {
    return this.#through(() => super.append(append));
  }
  override read(fromSeq: number, countMax: number, sizeMaxBytes?: number): ReturnType<AppendLog["read"]> {
    return this.#through(() => super.read(fromSeq, countMax, sizeMaxBytes));
  }
  override refresh(): ReturnType<AppendLog["refresh"]> {
    return this.#through(() => super.refresh());
  }
  override waitBeyond(seq: number, signal: AbortSignal): ReturnType<AppendLog["waitBeyond"]> {
    return this.#through(() => super.waitBeyond(seq, signal));
  }
}

const LEASE_MS = 100;
const CANDIDATES = 3;

/** One process: stands, leads and writes when it is told to, loses, stands again. */
class Candidate {
  readonly name: string;
  readonly log: StallingLog;
  readonly clock = new ManualClock();
  readonly acknowledged: { seq: number; term: number; text: string }[] = [];
  leading: Leadership | undefined;
  readonly #stop = new AbortController();
  readonly #life: Promise<void>;
  #over = new AbortController();
  #count = 0;

  constructor(name: string, log: AppendLog) {
    this.name = name;
    this.log = new StallingLog(log);
    this.#life = this.#live();
  }

  async #live(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const options = { holder: this.name, leaseMs: LEASE_MS, clock: this.clock };
      const led = await takeLead(this.log, options, signal);
      if (led === undefined) return;
      const over = new AbortController();
      this.#over = over;
      this.leading = led;
      const renewing = led.run(AbortSignal.any([signal, over.signal])).catch((error: unknown) => {
        this.#refused(error, over);
      });
      await Promise.race([aborted(signal), aborted(over.signal)]);
      this.leading = undefined;
      await renewing;
    }
  }

  /** A leader that is refused has lost; anything else is a bug of the log. */
  #refused(error: unknown, over: AbortController): void {
    assert.ok(error instanceof CodedError && ["LOG_STALE_TERM", "LOG_CONFLICT"].includes(error.code), String(error));
    over.abort();
  }

  /** Appends records as leader; several are on their way at once. */
  write(count: number): void {
    const { leading: led } = this;
    const over = this.#over;
    if (led === undefined) return;
    for (let i = 0; i < count; i++) {
      const text = `${this.name} ${led.term} ${++this.#count}`;
      void led.writer.append(new TextEncoder().encode(text)).then(
        (seq) => this.acknowledged.push({ seq, term: led.term, text }),
        (error: unknown) => this.#refused(error, over),
      );
    }
  }

  resign(): void {
    const led = this.leading;
    const over = this.#over;
    if (led === undefined) return;
    this.leading = undefined;
    void led.resign().then(
      () => over.abort(),
      (error: unknown) => this.#refused(error, over),
    );
  }

  async end(): Promise<void> {
    this.#stop.abort();
    this.log.wake();
    await this.#life;
  }
}

const step = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant("advance" as const), ms: fc.integer({ min: 1, max: 150 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("advance" as const), ms: fc.constant(10_000) }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant("write" as const), ms: fc.integer({ min: 1, max: 5 }) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom("stall" as const, "wake" as const, "resign" as const) }) },
);
const schedule = fc.array(fc.tuple(fc.integer({ min: 0, max: CANDIDATES - 1 }), step), {
  minLength: 10,
  maxLength: 60,
});

export type LeaseWorld = { readonly handle: () => Promise<AppendLog>; readonly dispose: () => Promise<void> };

export function testLeaseProperties(
  name: string,
  fresh: () => Promise<LeaseWorld>,
  p: { runs: number; settle: () => Promise<void> },
): void {
  test(`${name}: whatever the clocks, stalls and orders, a term has one writer and acknowledged records stay`, async () => {
    const seed = Number(process.env["SHEAF_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
    await fc.assert(
      fc.asyncProperty(schedule, async (steps) => {
        const world = await fresh();
        const handles = await Promise.all(Array.from({ length: CANDIDATES }, () => world.handle()));
        const candidates = handles.map((log, i) => new Candidate(`c${i}`, log));
        try {
          for (const [who, action] of steps) {
            const candidate = candidates[who] as Candidate;
            if (action.kind === "advance") candidate.clock.advance(action.ms);
            else if (action.kind === "write") candidate.write(action.ms);
            else if (action.kind === "stall") candidate.log.stall();
            else if (action.kind === "wake") candidate.log.wake();
            else candidate.resign();
            await p.settle();
          }
          // Once the faults are over somebody leads, and writes.
          for (const candidate of candidates) candidate.log.wake();
          const before = candidates.reduce((sum, c) => sum + c.acknowledged.length, 0);
          const progress = (): number => candidates.reduce((sum, c) => sum + c.acknowledged.length, 0) - before;
          for (let i = 0; progress() === 0; i++) {
            assert.ok(i < 2_000, "somebody leads once the faults are over");
            for (const candidate of candidates) {
              candidate.clock.advance(LEASE_MS / 4);
              candidate.write(1);
            }
            await p.settle();
          }
        } finally {
          for (const candidate of candidates) await candidate.end();
        }
        await assertOneWriterPerTerm(await world.handle(), candidates);
        await world.dispose();
      }),
      { seed, numRuns: p.runs, endOnFailure: p.runs < 50, includeErrorInReport: true },
    );
  });
}

async function assertOneWriterPerTerm(log: AppendLog, candidates: readonly Candidate[]): Promise<void> {
  await log.refresh();
  const writers = new Map<number, string>();
  const texts = new Map<number, string>();
  let term = 0;
  for await (const record of recordsBehind(log, { seq: 0, hash: ZERO_HASH })) {
    const lease = isLeaseRecord(record.payload) ? decodeLeaseRecord(record.payload) : undefined;
    const text = new TextDecoder().decode(record.payload);
    if (record.term > term) assert.equal(lease?.kind, "claim", `term ${record.term} starts with its claim`);
    else assert.notEqual(lease?.kind, "claim", `term ${record.term} is claimed once`);
    term = record.term;
    const writer = lease?.holder ?? text.split(" ")[0] ?? "";
    assert.equal(writers.get(term) ?? writer, writer, `term ${term} has one writer`);
    writers.set(term, writer);
    if (lease !== undefined) continue;
    assert.equal(text.split(" ")[1], String(term), "a record carries the term it was written in");
    texts.set(record.seq, text);
  }
  assert.equal(new Set(texts.values()).size, texts.size, "no record is there twice");
  for (const { acknowledged } of candidates)
    for (const { seq, text } of acknowledged) assert.equal(texts.get(seq), text, "acknowledged records stay");
}
