import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  appendFileSync,
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { hasCode } from "../base/error.ts";
import { FileLog, type FileLogOptions } from "./file-log.ts";
import { decodeHeader, encodeFrame, HEADER_SIZE_BYTES, type Header } from "./segment-file.ts";
import { testLogConformance } from "./testing/conformance.ts";
import { testLogFaults } from "./testing/fault-conformance.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const code =
  (expected: string) =>
  (error: unknown): boolean =>
    hasCode(error, expected);

function freshDirectory(): { directory: string; remove: () => void } {
  const directory = mkdtempSync(join(tmpdir(), "sheaf-log-"));
  return { directory, remove: () => rmSync(directory, { recursive: true, force: true }) };
}

async function withDirectory(body: (directory: string) => Promise<void>): Promise<void> {
  const { directory, remove } = freshDirectory();
  try {
    await body(directory);
  } finally {
    remove();
  }
}

const filesOf = (directory: string): string[] =>
  readdirSync(directory)
    .filter((name) => name.endsWith(".log"))
    .sort()
    .map((name) => join(directory, name));

/** Files of about 4 kB, so that a test has several. */
for (const [name, options] of [
  ["the file log", {}],
  ["the file log in many files", { segmentSizeBytes: 4_000 }],
] satisfies [string, FileLogOptions][]) {
  testLogConformance(name, async () => {
    const { directory, remove } = freshDirectory();
    let log = await FileLog.open(directory, options);
    return {
      log,
      reopen: async () => {
        await log.close();
        log = await FileLog.open(directory, options);
        return log;
      },
      dispose: async () => {
        await log.close();
        remove();
      },
    };
  });
}

testLogFaults("the file log", async () => {
  const { directory, remove } = freshDirectory();
  return {
    open: () => FileLog.open(directory),
    snapshot: async () => {
      const copy = freshDirectory();
      cpSync(directory, copy.directory, { recursive: true });
      return async () => {
        rmSync(directory, { recursive: true });
        cpSync(copy.directory, directory, { recursive: true });
        copy.remove();
      };
    },
    store: async (end, term, payloads) => {
      const path = filesOf(directory).at(-1) as string;
      const { seed } = decodeHeader(readFileSync(path)) as Header;
      appendFileSync(path, encodeFrame({ seed, groupSeq: end.seq + 1, before: end, term, payloads }));
    },
    dispose: async () => remove(),
  };
});

/** A log of `count` appends of two records each. */
async function filled(directory: string, count: number, options: FileLogOptions = {}): Promise<void> {
  const log = await FileLog.open(directory, options);
  for (let i = 0; i < count; i++)
    await log.append({ expectedSeq: 2 * i, term: 1, payloads: [bytes(`left ${i}`), bytes(`right ${i}`)] });
  await log.close();
}

test("a torn end is dropped wherever it is cut, and an append of several records never survives in part", () =>
  withDirectory(async (directory) => {
    await filled(directory, 6);
    const [path] = filesOf(directory) as [string];
    const whole = readFileSync(path);
    const frameSize = (whole.length - HEADER_SIZE_BYTES) / 6;
    assert.ok(Number.isInteger(frameSize));
    for (let cut = 0; cut < 2 * frameSize; cut++) {
      writeFileSync(path, whole.subarray(0, whole.length - cut));
      const log = await FileLog.open(directory);
      const kept = 6 - Math.ceil(cut / frameSize);
      assert.equal(log.tip.seq, 2 * kept, `cut by ${cut} bytes`);
      assert.equal((await log.read(1, 100)).length, 2 * kept);
      await log.append({ expectedSeq: 2 * kept, term: 1, payloads: [bytes("again")] });
      await log.close();
      const again = await FileLog.open(directory);
      assert.equal(again.tip.seq, 2 * kept + 1);
      await again.close();
    }
  }));

test("rubbish and zeros behind the end are dropped", () =>
  withDirectory(async (directory) => {
    await filled(directory, 3);
    const [path] = filesOf(directory) as [string];
    const whole = readFileSync(path);
    for (const rest of [Buffer.alloc(5_000), Buffer.alloc(300_000, 0xa7), whole.subarray(HEADER_SIZE_BYTES, -7)]) {
      // The last of the three is a copy of the file's own frames: intact, but older than what is durable.
      writeFileSync(path, Buffer.concat([whole, rest]));
      if (rest.length < 1000) {
        await assert.rejects(FileLog.open(directory), code("LOG_CORRUPT"));
        continue;
      }
      const log = await FileLog.open(directory);
      assert.equal(log.tip.seq, 6);
      await log.close();
      assert.equal(statSync(path).size, whole.length);
    }
  }));

test("a hole in what was written together is a torn end; the same hole is corruption once more was appended", () =>
  withDirectory(async (directory) => {
    const log = await FileLog.open(directory);
    await log.append({ expectedSeq: 0, term: 1, payloads: [bytes("before")] });
    await Promise.all(
      [1, 2, 3, 4].map((seq) => log.append({ expectedSeq: seq, term: 1, payloads: [bytes(`${seq}`)] })),
    );
    const [path] = filesOf(directory) as [string];
    const group = readFileSync(path);
    await log.append({ expectedSeq: 5, term: 1, payloads: [bytes("after")] });
    await log.close();
    const whole = readFileSync(path);
    // The third of the four frames written together, as a page that never reached the disk leaves it.
    const frameSize = whole.length - group.length - 4;
    const hole = (file: Buffer): Buffer =>
      Buffer.from(file).fill(0, group.length - 2 * frameSize, group.length - frameSize);

    writeFileSync(path, hole(whole));
    await assert.rejects(FileLog.open(directory), code("LOG_CORRUPT"));
    assert.equal(statSync(path).size, whole.length);

    writeFileSync(path, hole(group));
    const again = await FileLog.open(directory);
    assert.equal(again.tip.seq, 3);
    await again.close();
  }));

test("a flipped bit in front of acknowledged records is corruption, in the newest file and in older ones", () =>
  withDirectory(async (directory) => {
    await filled(directory, 60, { segmentSizeBytes: 1_500 });
    const files = filesOf(directory);
    assert.ok(files.length >= 4);
    const flip = (path: string, at: number): (() => void) => {
      const whole = readFileSync(path);
      const damaged = Buffer.from(whole);
      damaged[at] = (damaged[at] as number) ^ 0x10;
      writeFileSync(path, damaged);
      return () => writeFileSync(path, whole);
    };
    const newest = files.at(-1) as string;
    const older = files[1] as string;

    const undoNewest = flip(newest, HEADER_SIZE_BYTES + 30);
    await assert.rejects(FileLog.open(directory), code("LOG_CORRUPT"));
    undoNewest();

    const undoHeader = flip(newest, 20);
    await assert.rejects(FileLog.open(directory), code("LOG_CORRUPT"));
    undoHeader();

    const undoOlder = flip(older, HEADER_SIZE_BYTES + 200);
    const log = await FileLog.open(directory);
    await assert.rejects(log.read(1, 1000), code("LOG_CORRUPT"));
    await log.close();
    undoOlder();

    const again = await FileLog.open(directory);
    assert.equal((await again.read(1, 1000)).length, 120);
    await again.close();
  }));

test("records that are intact but do not link are corruption", () =>
  withDirectory(async (directory) => {
    const options = { segmentSizeBytes: 1_500 };
    await filled(directory, 60, options);
    const { directory: other, remove } = freshDirectory();
    const log = await FileLog.open(other, options);
    for (let i = 0; i < 60; i++)
      await log.append({ expectedSeq: 2 * i, term: 1, payloads: [bytes(`lefT ${i}`), bytes(`right ${i}`)] });
    await log.close();
    const name = (path: string): string => path.split("/").at(-1) as string;
    const middle = name(filesOf(directory)[1] as string);
    writeFileSync(join(directory, middle), readFileSync(join(other, middle)));
    remove();
    const mixed = await FileLog.open(directory, options);
    await assert.rejects(mixed.read(1, 1000), code("LOG_CORRUPT"));
    await mixed.close();
  }));

test("a file that was only being started is started again", () =>
  withDirectory(async (directory) => {
    await filled(directory, 10);
    writeFileSync(join(directory, "0000000000000021.log"), Buffer.alloc(17));
    const log = await FileLog.open(directory);
    assert.equal(log.tip.seq, 20);
    await log.append({ expectedSeq: 20, term: 1, payloads: [bytes("x")] });
    await log.close();
    assert.equal(filesOf(directory).length, 1);
  }));

test("the term of the records before a fresh file still fences", () =>
  withDirectory(async (directory) => {
    const options = { segmentSizeBytes: 200 };
    const log = await FileLog.open(directory, options);
    await log.append({ expectedSeq: 0, term: 7, payloads: [new Uint8Array(300)] });
    await log.append({ expectedSeq: 1, term: 7, payloads: [new Uint8Array(300)] });
    await log.close();
    // As if the process had died after starting the newest file, before its first frame.
    truncateSync(filesOf(directory).at(-1) as string, HEADER_SIZE_BYTES);
    const again = await FileLog.open(directory, options);
    assert.deepEqual([again.tip.seq, again.tip.term], [1, 7]);
    await assert.rejects(again.append({ expectedSeq: 1, term: 6, payloads: [bytes("x")] }), code("LOG_STALE_TERM"));
    await again.close();
  }));

test("concurrent appends share syncs", () =>
  withDirectory(async (directory) => {
    let syncs = 0;
    const log = await FileLog.open(directory, {
      sync: async (file) => {
        syncs++;
        await file.datasync();
      },
    });
    const before = syncs;
    await Promise.all(
      Array.from({ length: 500 }, (_, i) => log.append({ expectedSeq: i, term: 1, payloads: [bytes(`${i}`)] })),
    );
    assert.ok(syncs - before <= 5, `${syncs - before} syncs for 500 appends`);
    await log.close();
  }));

test("a failed sync poisons the log: nothing waiting is acknowledged and nothing is taken any more", () =>
  withDirectory(async (directory) => {
    let failing = false;
    const log = await FileLog.open(directory, {
      sync: async (file) => {
        if (failing) throw Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
        await file.datasync();
      },
    });
    await log.append({ expectedSeq: 0, term: 1, payloads: [bytes("kept")] });
    failing = true;
    const results = await Promise.allSettled([
      log.append({ expectedSeq: 1, term: 1, payloads: [bytes("a")] }),
      log.append({ expectedSeq: 2, term: 1, payloads: [bytes("b")] }),
    ]);
    for (const result of results) assert.ok(result.status === "rejected" && hasCode(result.reason, "LOG_DISK"));
    failing = false;
    await assert.rejects(log.append({ expectedSeq: 1, term: 1, payloads: [bytes("c")] }), code("LOG_DISK"));
    assert.equal(log.tip.seq, 1);
    assert.equal((await log.read(1, 10)).length, 1);
    await log.close();
  }));

test("a log has one owner at a time, and a dead owner's lock is taken over", () =>
  withDirectory(async (directory) => {
    const log = await FileLog.open(directory);
    await assert.rejects(FileLog.open(directory), code("LOG_LOCKED"));
    await log.close();
    writeFileSync(join(directory, "lock"), "4194304 1");
    const again = await FileLog.open(directory);
    await again.close();
  }));

test("kill -9 at random moments loses nothing that was acknowledged", { timeout: 120_000 }, () =>
  withDirectory(async (directory) => {
    const writer = new URL("./testing/append-forever.ts", import.meta.url).pathname;
    let acknowledged = 0;
    for (let round = 0; round < 6; round++) {
      const child: ChildProcess = spawn(process.execPath, ["--import", "tsx", writer, directory], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      assert.ok(child.stdout !== null);
      const target = 20 + Math.floor(Math.random() * 400);
      let lines = 0;
      for await (const line of createInterface({ input: child.stdout })) {
        acknowledged = Math.max(acknowledged, Number(line));
        if (++lines === target) child.kill("SIGKILL");
      }
      if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
      const log = await FileLog.open(directory, { segmentSizeBytes: 20_000 });
      assert.ok(log.tip.seq >= acknowledged, `round ${round}: ends at ${log.tip.seq}, ${acknowledged} acknowledged`);
      let seq = 0;
      while (seq < log.tip.seq) {
        for (const record of await log.read(seq + 1, 1000)) {
          assert.equal(record.seq, seq + 1);
          assert.equal(new TextDecoder().decode(record.payload.subarray(0, 16)), `${record.seq}`.padStart(16, "0"));
          seq = record.seq;
        }
      }
      await log.close();
    }
    assert.ok(acknowledged > 100);
  }),
);
