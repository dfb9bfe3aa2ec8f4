/**
 * Owns the tests that every log adapter must pass. An adapter's own test file calls `testLogConformance` with a way to
 * open fresh logs, and to open the same log again where it survives its process.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { hasCode } from "../../base/error.ts";
import type { AppendLog, LogRecord } from "../log.ts";
import { APPEND_SIZE_MAX_BYTES, PAYLOAD_SIZE_MAX_BYTES, recordHash, ZERO_HASH } from "../record.ts";

export type LogUnderTest = {
  readonly log: AppendLog;
  /** Closes the log and opens it again; undefined when it does not outlive its process. */
  readonly reopen: (() => Promise<AppendLog>) | undefined;
  /** Opens the log once more beside the first, as another process would; undefined when it has one owner at a time. */
  readonly another?: () => Promise<AppendLog>;
  readonly dispose: () => Promise<void>;
};

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (record: LogRecord | undefined): string => new TextDecoder().decode(record?.payload);
const code =
  (expected: string) =>
  (error: unknown): boolean =>
    hasCode(error, expected);

/** Hash links from the first record to the last, and that there is no gap. */
function assertLinked(records: readonly LogRecord[], before: { seq: number; hash: Uint8Array }): void {
  let { seq, hash } = before;
  for (const record of records) {
    assert.equal(record.seq, seq + 1);
    assert.deepEqual(record.prevHash, hash);
    assert.deepEqual(record.hash, recordHash(record.prevHash, record.seq, record.term, record.payload));
    seq = record.seq;
    hash = record.hash;
  }
}

export function testLogConformance(name: string, openFresh: () => Promise<LogUnderTest>): void {
  const withLog = async (body: (under: LogUnderTest) => Promise<void>): Promise<void> => {
    const under = await openFresh();
    try {
      await body(under);
    } finally {
      await under.dispose();
    }
  };

  describe(`${name} as a log`, () => {
    test("an empty log ends at zero and reads nothing", () =>
      withLog(async ({ log }) => {
        assert.deepEqual(log.tip, { seq: 0, term: 0, hash: ZERO_HASH });
        assert.equal(log.oldestSeq, 1);
        assert.deepEqual(await log.read(1, 10), []);
      }));

    test("appended payloads are read back in order with their links", () =>
      withLog(async ({ log }) => {
        const first = await log.append({ expectedSeq: 0, term: 1, payloads: [bytes("a"), bytes(""), bytes("c")] });
        const second = await log.append({ expectedSeq: 3, term: 2, payloads: [bytes("d")] });
        assert.equal(first.seq, 3);
        assert.deepEqual(log.tip, second);
        const records = await log.read(1, 100);
        assert.deepEqual(records.map(text), ["a", "", "c", "d"]);
        assert.deepEqual(
          records.map((record) => record.term),
          [1, 1, 1, 2],
        );
        assertLinked(records, { seq: 0, hash: ZERO_HASH });
        assert.deepEqual(records.at(-1)?.hash, second.hash);
        assertLinked(await log.read(3, 100), { seq: 2, hash: records[1]?.hash as Uint8Array });
      }));

    test("reads stop at the count, at the size and at the end, and give at least one record", () =>
      withLog(async ({ log }) => {
        const payloads = Array.from({ length: 50 }, (_, i) => new Uint8Array(100).fill(i));
        await log.append({ expectedSeq: 0, term: 1, payloads });
        assert.equal((await log.read(1, 7)).length, 7);
        assert.equal((await log.read(1, 100, 450)).length, 4);
        assert.equal((await log.read(1, 100, 1)).length, 1);
        assert.equal((await log.read(48, 100)).length, 3);
        assert.deepEqual(await log.read(51, 100), []);
        assert.deepEqual(await log.read(60, 100), []);
        assert.deepEqual(await log.read(1, 0), []);
      }));

    test("an append that expects another end is refused and changes nothing", () =>
      withLog(async ({ log }) => {
        await log.append({ expectedSeq: 0, term: 1, payloads: [bytes("a")] });
        await assert.rejects(log.append({ expectedSeq: 0, term: 1, payloads: [bytes("x")] }), code("LOG_CONFLICT"));
        await assert.rejects(log.append({ expectedSeq: 2, term: 1, payloads: [bytes("x")] }), code("LOG_CONFLICT"));
        assert.deepEqual((await log.read(1, 10)).map(text), ["a"]);
      }));

    test("a term below the newest is refused, the same and higher ones are taken", () =>
      withLog(async ({ log }) => {
        await log.append({ expectedSeq: 0, term: 5, payloads: [bytes("a")] });
        await assert.rejects(log.append({ expectedSeq: 1, term: 4, payloads: [bytes("x")] }), code("LOG_STALE_TERM"));
        await log.append({ expectedSeq: 1, term: 5, payloads: [bytes("b")] });
        await log.append({ expectedSeq: 2, term: 9, payloads: [bytes("c")] });
        await assert.rejects(log.append({ expectedSeq: 3, term: 5, payloads: [bytes("x")] }), code("LOG_STALE_TERM"));
        assert.equal(log.tip.seq, 3);
      }));

    test("payloads above the limits are refused whole", () =>
      withLog(async ({ log }) => {
        const large = new Uint8Array(PAYLOAD_SIZE_MAX_BYTES + 1);
        await assert.rejects(
          log.append({ expectedSeq: 0, term: 1, payloads: [bytes("a"), large] }),
          code("LOG_RECORD_TOO_LARGE"),
        );
        const count = Math.floor(APPEND_SIZE_MAX_BYTES / PAYLOAD_SIZE_MAX_BYTES) + 1;
        const payload = large.subarray(1);
        const payloads = Array.from({ length: count }, () => payload);
        await assert.rejects(log.append({ expectedSeq: 0, term: 1, payloads }), code("LOG_RECORD_TOO_LARGE"));
        assert.equal(log.tip.seq, 0);
        await log.append({ expectedSeq: 0, term: 1, payloads: [bytes("a")] });
      }));

    test("of two appends at the same place one wins", () =>
      withLog(async ({ log }) => {
        const results = await Promise.allSettled([
          log.append({ expectedSeq: 0, term: 1, payloads: [bytes("a")] }),
          log.append({ expectedSeq: 0, term: 1, payloads: [bytes("b")] }),
        ]);
        assert.deepEqual(results.map((result) => result.status).sort(), ["fulfilled", "rejected"]);
        assert.equal((await log.read(1, 10)).length, 1);
      }));

    test("appends may follow each other without waiting, and end in their order", () =>
      withLog(async ({ log }) => {
        const tips = await Promise.all(
          Array.from({ length: 200 }, (_, i) =>
            log.append({ expectedSeq: i, term: 1, payloads: [bytes(`record ${i + 1}`)] }),
          ),
        );
        assert.deepEqual(
          tips.map((tip) => tip.seq),
          Array.from({ length: 200 }, (_, i) => i + 1),
        );
        const records = await log.read(1, 1000);
        assert.equal(text(records[141]), "record 142");
        assertLinked(records, { seq: 0, hash: ZERO_HASH });
      }));

    test("what is not acknowledged is not read", () =>
      withLog(async ({ log }) => {
        const pending = log.append({ expectedSeq: 0, term: 1, payloads: [bytes("a")] });
        assert.equal(log.tip.seq, 0);
        assert.deepEqual(await Promise.race([log.read(1, 10), pending.then(() => [])]), []);
        await pending;
        assert.equal((await log.read(1, 10)).length, 1);
      }));

    test("the log keeps its own copy of a payload", () =>
      withLog(async ({ log }) => {
        const payload = bytes("before");
        await log.append({ expectedSeq: 0, term: 1, payloads: [payload] });
        payload.fill(0);
        assert.equal(text((await log.read(1, 1))[0]), "before");
      }));

    test("trimming drops nothing at or above its mark, and what is dropped is named as such", () =>
      withLog(async ({ log }) => {
        for (let i = 0; i < 40; i++)
          await log.append({ expectedSeq: i, term: 1, payloads: [new Uint8Array(1000).fill(i)] });
        await log.trim(25);
        assert.ok(log.oldestSeq <= 25);
        const records = await log.read(25, 100);
        assert.equal(records.length, 16);
        assertLinked(records, { seq: 24, hash: records[0]?.prevHash as Uint8Array });
        if (log.oldestSeq > 1) await assert.rejects(log.read(log.oldestSeq - 1, 1), code("LOG_TRIMMED"));
        await log.append({ expectedSeq: 40, term: 1, payloads: [bytes("next")] });
        await log.trim(1000);
        assert.equal(log.tip.seq, 41);
        await log.append({ expectedSeq: 41, term: 1, payloads: [bytes("after")] });
        assert.equal(text((await log.read(42, 1))[0]), "after");
      }));

    test("a closed log takes nothing", () =>
      withLog(async ({ log }) => {
        await log.close();
        await assert.rejects(log.append({ expectedSeq: 0, term: 1, payloads: [bytes("a")] }), code("LOG_CLOSED"));
        await log.close();
      }));

    test("opened again it holds the same records, end and term", (t) =>
      withLog(async ({ log, reopen }) => {
        if (reopen === undefined) return t.skip("the adapter does not outlive its process");
        for (let i = 0; i < 30; i++)
          await log.append({ expectedSeq: i, term: 1 + (i >> 3), payloads: [new Uint8Array(700).fill(i)] });
        await log.trim(10);
        const { tip, oldestSeq } = log;
        const records = await log.read(oldestSeq, 100);
        const again = await reopen();
        assert.deepEqual(again.tip, tip);
        assert.equal(again.oldestSeq, oldestSeq);
        assert.deepEqual(await again.read(oldestSeq, 100), records);
        await assert.rejects(
          again.append({ expectedSeq: 30, term: 1, payloads: [bytes("x")] }),
          code("LOG_STALE_TERM"),
        );
        await again.append({ expectedSeq: 30, term: 4, payloads: [bytes("on")] });
        assert.equal(text((await again.read(31, 1))[0]), "on");
      }));

    test("who waits for the end to move is told, and may give up", () =>
      withLog(async ({ log }) => {
        const never = new AbortController().signal;
        const waiting = log.waitBeyond(0, never);
        const further = log.waitBeyond(1, never);
        await log.append({ expectedSeq: 0, term: 1, payloads: [bytes("a")] });
        assert.equal((await waiting).seq, 1);
        assert.equal((await log.waitBeyond(0, never)).seq, 1);
        const stop = new AbortController();
        const givenUp = log.waitBeyond(9, stop.signal);
        stop.abort();
        assert.equal((await givenUp).seq, 1);
        await log.append({ expectedSeq: 1, term: 1, payloads: [bytes("b")] });
        assert.equal((await further).seq, 2);
        assert.deepEqual(await log.refresh(), log.tip);
        assert.equal(log.notReady(), undefined);
      }));

    test("another process sees what is appended, and of two writers the one with the old end is refused", (t) =>
      withLog(async ({ log, another }) => {
        if (another === undefined) return t.skip("one owner at a time");
        const other = await another();
        try {
          const told = other.waitBeyond(0, new AbortController().signal);
          const tip = await log.append({ expectedSeq: 0, term: 1, payloads: [bytes("a"), bytes("b")] });
          assert.deepEqual(await told, tip);
          assert.deepEqual((await other.read(1, 10)).map(text), ["a", "b"]);
          // The first writer does not know of this one's record, nor of its term.
          await other.append({ expectedSeq: 2, term: 4, payloads: [bytes("c")] });
          await assert.rejects(log.append({ expectedSeq: 2, term: 4, payloads: [bytes("x")] }), code("LOG_CONFLICT"));
          assert.equal(log.tip.seq, 3, "a refusal tells where the end is");
          await other.append({ expectedSeq: 3, term: 5, payloads: [bytes("d")] });
          const late = [3, 4, 5].map((expectedSeq) => log.append({ expectedSeq, term: 4, payloads: [bytes("x")] }));
          for (const append of late) await assert.rejects(append, code("LOG_STALE_TERM"));
          assert.deepEqual(await log.refresh(), other.tip);
          await log.append({ expectedSeq: 4, term: 5, payloads: [bytes("e")] });
          assert.equal((await other.refresh()).seq, 5);
          const records = await other.read(1, 10);
          assert.deepEqual(records.map(text), ["a", "b", "c", "d", "e"]);
          assertLinked(records, { seq: 0, hash: ZERO_HASH });
        } finally {
          await other.close();
        }
      }));
  });
}
