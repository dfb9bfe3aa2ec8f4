import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fromHex, toHexKey } from "../base/bytes.ts";
import type { StateReader } from "../execution/execution.ts";
import { Random } from "../execution/wasm/testing/random-program.ts";
import type { OpenLink } from "../link/link.ts";
import { processLink } from "../link/process-link.ts";
import { threadLink } from "../link/thread-link.ts";
import { keccak256 } from "../protocol/keccak.ts";
import { EMPTY_CODE_HASH } from "../protocol/ordered-trie.ts";
import { emptyWrites, type StateWrites } from "../protocol/state-writes.ts";
import { Database } from "../store/database.ts";
import { LmdbState } from "./lmdb-state.ts";
import type { Look, Seen } from "./testing/viewing-worker.ts";

const ENTRY = new URL("./testing/viewing-worker.ts", import.meta.url);
const ACCOUNTS = 24;
const SLOTS = 6;
const KEYS = Array.from(
  { length: ACCOUNTS * SLOTS },
  (_, i) => [toHexKey(address(i % ACCOUNTS)), toHexKey(slot(Math.floor(i / ACCOUNTS)))] as const,
);

function address(number: number): Uint8Array {
  return keccak256(Uint8Array.of(1, number)).slice(12);
}
function slot(number: number): Uint8Array {
  return keccak256(Uint8Array.of(2, number));
}

/** Some accounts made, changed, wiped and removed. */
function randomWrites(random: Random): StateWrites {
  const writes = emptyWrites();
  for (let n = 0; n < 8; n++) {
    const storage = new Map<string, Uint8Array>();
    for (let s = 0; s < 3; s++)
      storage.set(
        toHexKey(slot(random.below(SLOTS))),
        new Uint8Array(32).fill(random.chance(30) ? 0 : random.below(9)),
      );
    const isGone = random.chance(15);
    const code = Uint8Array.of(random.below(5), 7);
    const codeHash = random.chance(50) ? EMPTY_CODE_HASH : keccak256(code);
    if (codeHash !== EMPTY_CODE_HASH) writes.codes.set(toHexKey(codeHash), code);
    writes.accounts.set(toHexKey(address(random.below(ACCOUNTS))), {
      cleared: isGone || random.chance(15),
      account: isGone ? undefined : { nonce: BigInt(1 + random.below(9)), balanceWei: BigInt(random.u32()), codeHash },
      storage: isGone ? new Map() : storage,
    });
  }
  return writes;
}

function readAll(reader: StateReader): string[] {
  return KEYS.map(([account, place]) => {
    const found = reader.account(fromHex(account));
    const value = toHexKey(reader.storage(fromHex(account), fromHex(place)));
    if (found === undefined) return `absent ${value}`;
    const code = toHexKey(reader.code(found.codeHash));
    return `${found.nonce} ${found.balanceWei} ${toHexKey(found.codeHash)} ${code} ${value}`;
  });
}

const LINKS: readonly (readonly [string, (folder: string) => OpenLink])[] = [
  ["thread", (argument) => threadLink(ENTRY, { name: "viewing", argument })],
  ["process", (argument) => processLink(ENTRY, { name: "viewing", argument })],
];

for (const [where, linkTo] of LINKS)
  test(`another ${where} reads every version while this one writes on`, async () => {
    const folder = mkdtempSync(join(tmpdir(), "sheaf-view-"));
    // An idle worker holds no process open, not even that of its test.
    const alive = setInterval(() => undefined, 1_000);
    let answer: (seen: Seen) => void = () => undefined;
    let fail: (cause: Error) => void = () => undefined;
    const link = linkTo(folder)({
      received: (message) => answer(JSON.parse(Buffer.from(message).toString()) as Seen),
      lost: (cause) => fail(cause),
    });
    const look = (version?: number): Promise<Seen> =>
      new Promise((resolve, reject) => {
        answer = resolve;
        fail = reject;
        link.send(new Uint8Array(Buffer.from(JSON.stringify({ version, keys: KEYS } satisfies Look))));
      });
    try {
      assert.equal((await look()).head, -1, "a database that is not there has no version");
      const random = new Random(7, 7);
      const database = Database.open(folder);
      const state = new LmdbState(database);
      const expected: string[][] = [];
      const commit = (): void => {
        database.transaction(() => state.commit(state.head + 1, state.prepare(randomWrites(random))));
        expected[state.head] = readAll(state.reader());
      };
      for (let version = 0; version < 12; version++) {
        commit();
        await database.flushed();
        if (version === 0) {
          // It looks for the database twice a second.
          const deadlineMs = Date.now() + 30_000;
          while ((await look()).head !== 0) assert.ok(Date.now() < deadlineMs, "the database is found");
        }
        assert.deepEqual(await look(), { head: version, values: expected[version] });
      }
      for (const version of [0, 3, 7, 10]) assert.deepEqual((await look(version)).values, expected[version]);
      // An unwind is seen too.
      database.transaction(() => state.rollback(6));
      for (let n = 0; n < 3; n++) commit();
      await database.flushed();
      for (const version of [2, 6, 8, 9]) assert.deepEqual((await look(version)).values, expected[version]);
      assert.equal((await look()).head, 9);
      await link.close();
      await database.close();
    } finally {
      clearInterval(alive);
      await link.close();
      rmSync(folder, { recursive: true, force: true });
    }
  });
