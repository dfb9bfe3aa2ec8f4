/**
 * Owns the tests of faults below a log's interface, for every adapter whose store can be reached from below: what an
 * adapter's own writing would never leave behind must be detected, by its opening, its reading or its next append.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { hasCode } from "../../base/error.ts";
import type { AppendLog, LogRecord, LogTip } from "../log.ts";
import { tipAfter, ZERO_HASH } from "../record.ts";
import { type ReadPosition, recordsBehind } from "../record-reader.ts";

export type FaultyLog = {
  readonly open: () => Promise<AppendLog>;
  /** Takes a copy of the store; what it returns puts the copy in the store's place. The log is closed meanwhile. */
  readonly snapshot: () => Promise<() => Promise<void>>;
  /** Stores records behind the end without asking the adapter, as if they followed `before`. */
  readonly store: (before: LogTip, term: number, payloads: readonly Uint8Array[]) => Promise<void>;
  readonly dispose: () => Promise<void>;
};

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const corrupt = (error: unknown): boolean => hasCode(error, "LOG_CORRUPT");

async function readAll(log: AppendLog, position: ReadPosition = { seq: 0 }): Promise<LogRecord[]> {
  const found: LogRecord[] = [];
  for await (const record of recordsBehind(log, position)) found.push(record);
  return found;
}

export function testLogFaults(name: string, fresh: () => Promise<FaultyLog>): void {
  /** Ten appends of two records, of term 3 from the sixth on, then closed. */
  const filled = async (faulty: FaultyLog): Promise<LogTip[]> => {
    const log = await faulty.open();
    const tips: LogTip[] = [{ seq: 0, term: 0, hash: ZERO_HASH }];
    for (let i = 0; i < 10; i++)
      tips.push(
        await log.append({
          expectedSeq: 2 * i,
          term: i < 5 ? 1 : 3,
          payloads: [bytes(`left ${i}`), bytes(`right ${i}`)],
        }),
      );
    await log.close();
    return tips;
  };
  const withFaulty = async (body: (faulty: FaultyLog) => Promise<void>): Promise<void> => {
    const faulty = await fresh();
    try {
      await body(faulty);
    } finally {
      await faulty.dispose();
    }
  };
  const open = async (faulty: FaultyLog, body: (log: AppendLog) => Promise<void>): Promise<void> => {
    const log = await faulty.open();
    try {
      await body(log);
    } finally {
      await log.close();
    }
  };
  /** Opening, reading from the start or appending must meet the fault; nothing of it is given out. */
  const assertDetected = async (faulty: FaultyLog): Promise<void> => {
    await assert.rejects(
      open(faulty, async (log) => {
        for (const { payload } of await readAll(log)) assert.ok(!new TextDecoder().decode(payload).includes("fault"));
        await log.append({ expectedSeq: log.tip.seq, term: log.tip.term, payloads: [bytes("behind")] });
      }),
      corrupt,
    );
  };

  describe(`${name}, faults below it`, () => {
    test("a tail that is cut off is seen by who has read it, and so is another one grown in its place", () =>
      withFaulty(async (faulty) => {
        let tip: LogTip | undefined;
        const log = await faulty.open();
        for (let i = 0; i < 6; i++) tip = await log.append({ expectedSeq: i, term: 1, payloads: [bytes(`${i}`)] });
        await log.close();
        const restore = await faulty.snapshot();
        await open(faulty, async (again) => {
          for (let i = 6; i < 9; i++) tip = await again.append({ expectedSeq: i, term: 2, payloads: [bytes(`${i}`)] });
          assert.equal((await readAll(again, { seq: 5 })).length, 4);
        });
        await restore();
        const seen = tip as LogTip;
        await open(faulty, async (again) => {
          assert.equal(again.tip.seq, 6, "the adapter cannot know");
          await assert.rejects(readAll(again, seen), corrupt);
          for (let i = 6; i < 9; i++) await again.append({ expectedSeq: i, term: 2, payloads: [bytes(`other ${i}`)] });
          await assert.rejects(readAll(again, seen), corrupt, "as long, and another one");
          await again.append({ expectedSeq: 9, term: 2, payloads: [bytes("10")] });
          await assert.rejects(readAll(again, seen), corrupt, "longer, and another one");
          assert.equal((await readAll(again)).length, 10);
        });
      }));

    test("what is stored twice is not given out twice", () =>
      withFaulty(async (faulty) => {
        const tips = await filled(faulty);
        await faulty.store(tips[9] as LogTip, 3, [bytes("left 9"), bytes("right 9")]);
        await assertDetected(faulty);
      }));

    test("the record of a writer that was replaced is not given out, although it links", () =>
      withFaulty(async (faulty) => {
        const tips = await filled(faulty);
        await faulty.store(tips[10] as LogTip, 2, [bytes("fault: stale")]);
        await assertDetected(faulty);
      }));

    test("records that link to something else are not given out, with or without more behind them", () =>
      withFaulty(async (faulty) => {
        const tips = await filled(faulty);
        const elsewhere = { seq: 20, term: 3, hash: new Uint8Array(32).fill(7) };
        await faulty.store(elsewhere, 3, [bytes("fault: elsewhere")]);
        await faulty.store(tipAfter(elsewhere, 3, [bytes("fault: elsewhere")]), 3, [bytes("fault: behind")]);
        await assert.rejects(
          open(faulty, async (log) => {
            await readAll(log, tips[10] as LogTip);
          }),
          corrupt,
        );
      }));

    test("a gap in the numbers is not read over", () =>
      withFaulty(async (faulty) => {
        const tips = await filled(faulty);
        await faulty.store({ ...(tips[10] as LogTip), seq: 25 }, 3, [bytes("fault: gap")]);
        await assertDetected(faulty);
      }));
  });
}
