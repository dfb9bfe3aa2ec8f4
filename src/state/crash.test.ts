/** Kills a committing process again and again: what it leaves must be a whole state, its root that of its entries. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { emptyWrites } from "../protocol/state-writes.ts";
import { Database } from "../store/database.ts";
import { type AccountRecord, accountLeaf, decodeAccount } from "./account-record.ts";
import { LmdbState } from "./lmdb-state.ts";
import { PlainTrie, type TrieEntry } from "./plain-trie.ts";
import { ACCOUNT_TRIE, hashOfEntryKey, readTrieId } from "./state-key.ts";
import { slotLeafValue } from "./trie-node.ts";
import { STAMP_BYTES } from "./versioned-table.ts";

const ROUNDS = 8;
const CHILD = fileURLToPath(new URL("./testing/committing-child.ts", import.meta.url));

/** Root of the account trie out of nothing but the stored entries; asserts that of each account's storage. */
function rootOfEntries(database: Database): Uint8Array {
  const records: AccountRecord[] = [];
  const tries = new Map<number, TrieEntry[]>();
  for (const { key, value } of database.table("state").iterate({ start: Uint8Array.of(0) })) {
    const hash = hashOfEntryKey(key);
    if (hash === undefined) continue;
    const id = readTrieId(key, 0);
    if (id === ACCOUNT_TRIE) records.push(decodeAccount(value, STAMP_BYTES));
    const leaf = id === ACCOUNT_TRIE ? accountLeaf(value, STAMP_BYTES) : slotLeafValue(value.subarray(STAMP_BYTES));
    const entries = tries.get(id);
    if (entries === undefined) tries.set(id, [{ key: hash, value: leaf }]);
    else entries.push({ key: hash, value: leaf });
  }
  for (const { storageId, storageRoot } of records)
    if (storageId !== 0) assert.deepEqual(storageRoot, new PlainTrie(tries.get(storageId) ?? []).root);
  return new PlainTrie(tries.get(ACCOUNT_TRIE) ?? []).root;
}

test(`a process killed while it commits leaves a whole state, ${ROUNDS} times over`, async () => {
  const folder = mkdtempSync(join(tmpdir(), "sheaf-crash-"));
  try {
    for (let round = 0; round < ROUNDS; round++) {
      const child = spawn(process.execPath, ["--import", "tsx", CHILD, folder], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      const lines: string[] = [];
      const reader = createInterface({ input: child.stdout });
      const opened = once(reader, "line");
      reader.on("line", (line) => lines.push(line));
      await opened;
      await sleep(30 + Math.random() * 400);
      child.kill("SIGKILL");
      await once(child, "exit");
      const flushed = lines.filter((line) => line.startsWith("flushed")).map((line) => Number(line.split(" ")[1]));

      const database = Database.open(folder);
      const state = new LmdbState(database);
      // Unwinding between two flushes takes at most a few versions back from the last flushed one.
      assert.ok(state.head >= (flushed.at(-1) ?? -1) - 40, "what was flushed is there");
      assert.deepEqual(state.prepare(emptyWrites()).stateRoot, rootOfEntries(database));
      for (let version = state.oldest; version <= state.head; version++) {
        const address = new Uint8Array(20);
        address[19] = 1 + (version % 250);
        const { storageRoot } = state.proof(version, address, []);
        assert.deepEqual(storageRoot, state.storageRoot(version, address));
      }
      await database.close();
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});
