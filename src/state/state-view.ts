/**
 * Owns reads of the state's database from another thread or process: it maps the environment beside the one that writes
 * it, and serves the newest stored version or an older one down to the horizon.
 * Invariant: between two calls of `refresh` all reads are of one moment. What the writer holds in memory only is not
 * seen, and an unwind may take back what was read, so values are for those who validate; code is by its hash.
 * A database that is not there yet has no version; looking again finds it when it is.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { bytesEqual, toHexKey } from "../base/bytes.ts";
import { type Account, MissingRead, type StateReader } from "../execution/execution.ts";
import { keccak256 } from "../protocol/keccak.ts";
import { EMPTY_CODE_HASH } from "../protocol/ordered-trie.ts";
import { Database, type Table } from "../store/database.ts";
import { type AccountRecord, decodeAccount } from "./account-record.ts";
import { requireVersion } from "./error.ts";
import { slotValue } from "./slot-record.ts";
import { ACCOUNT_TRIE, entryKey } from "./state-key.ts";
import { decodeMeta, META_KEY, META_TABLE } from "./state-meta.ts";
import { applyNodeDiff } from "./trie-store.ts";
import { UndoLog } from "./undo-log.ts";
import { STAMP_BYTES, VersionedTable } from "./versioned-table.ts";

const ZERO_32 = new Uint8Array(32);
const NO_CODE = new Uint8Array(0);
/** Accounts kept of the moment that is read: a slot is found through its account. */
const ACCOUNTS_MAX = 4_096;
/** How often a database that is not there is looked for. */
const LOOK_MS = 500;

type Tables = {
  readonly database: Database;
  readonly meta: Table;
  readonly codes: Table;
  readonly records: VersionedTable;
};

export class StateView implements StateReader {
  readonly #folder: string;
  readonly #accounts = new Map<string, AccountRecord | undefined>();
  #tables: Tables | undefined;
  #head = -1;
  #oldest = 0;
  #lookedMs = Number.NEGATIVE_INFINITY;

  /** `folder`: of the database, which may not be there yet. */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Newest stored version; -1 when there is none. */
  get head(): number {
    return this.#head;
  }

  get oldest(): number {
    return this.#oldest;
  }

  /** Moves on to what is stored now; the newest version of it. */
  refresh(): number {
    const tables = this.#open();
    if (tables === undefined) return -1;
    tables.database.refresh();
    this.#accounts.clear();
    const meta = tables.meta.get(META_KEY);
    if (meta === undefined) {
      this.#head = -1;
      return -1;
    }
    const { head, oldest } = decodeMeta(meta);
    this.#head = head;
    this.#oldest = oldest;
    return this.#head;
  }

  #open(): Tables | undefined {
    if (this.#tables !== undefined) return this.#tables;
    const nowMs = performance.now();
    if (nowMs - this.#lookedMs < LOOK_MS) return undefined;
    this.#lookedMs = nowMs;
    if (!existsSync(join(this.#folder, "data.mdb"))) return undefined;
    const database = Database.open(this.#folder, { readOnly: true });
    // Its writer may be about to make the tables.
    if (!database.tableNames().includes(META_TABLE) || !database.tableNames().includes("state")) {
      void database.close();
      return undefined;
    }
    const table = (name: string): Table => database.table(name);
    const records = new VersionedTable(
      table("state"),
      table("tombstones"),
      table("checkpoints"),
      new UndoLog(table("undo")),
      applyNodeDiff,
    );
    this.#tables = { database, meta: table(META_TABLE), codes: table("codes"), records };
    return this.#tables;
  }

  // --- the newest version ---

  /** @throws {MissingRead} while nothing is stored. */
  account(address: Uint8Array): Account | undefined {
    return this.#record(address);
  }

  storage(address: Uint8Array, slot: Uint8Array): Uint8Array {
    const storageId = this.#record(address)?.storageId ?? 0;
    if (storageId === 0) return ZERO_32;
    const { records } = this.#stored();
    const length = records.read(entryKey(storageId, keccak256(slot)));
    return length < 0 ? ZERO_32 : slotValue(records.buffer, STAMP_BYTES, length);
  }

  /** @throws {MissingRead} when no stored version made it. */
  code(codeHash: Uint8Array): Uint8Array {
    const code = this.#stored().codes.get(codeHash);
    if (code !== undefined) return code;
    if (bytesEqual(codeHash, EMPTY_CODE_HASH)) return NO_CODE;
    throw new MissingRead();
  }

  /** Hashes of blocks are not part of the state. @throws {MissingRead} always. */
  blockHash(): Uint8Array {
    throw new MissingRead();
  }

  #stored(): Tables {
    if (this.#tables === undefined || this.#head < 0) throw new MissingRead();
    return this.#tables;
  }

  #record(address: Uint8Array): AccountRecord | undefined {
    const { records } = this.#stored();
    const name = toHexKey(address);
    const known = this.#accounts.get(name);
    if (known !== undefined || this.#accounts.has(name)) return known;
    const found = records.read(entryKey(ACCOUNT_TRIE, keccak256(address))) >= 0;
    const record = found ? decodeAccount(records.buffer, STAMP_BYTES) : undefined;
    if (this.#accounts.size >= ACCOUNTS_MAX) this.#accounts.clear();
    this.#accounts.set(name, record);
    return record;
  }

  // --- older versions ---

  /**
   * Reads of one version until the next `refresh`. @throws {StateError} STATE_UNKNOWN, STATE_PRUNED
   */
  at(version: number): StateReader {
    requireVersion(this, version);
    if (version === this.#head) return this;
    const { records } = this.#stored();
    const record = (address: Uint8Array): AccountRecord | undefined => {
      const payload = records.at(entryKey(ACCOUNT_TRIE, keccak256(address)), version);
      return payload === undefined ? undefined : decodeAccount(payload, 0);
    };
    return {
      account: record,
      storage: (address, slot) => {
        const storageId = record(address)?.storageId ?? 0;
        if (storageId === 0) return ZERO_32;
        const payload = records.at(entryKey(storageId, keccak256(slot)), version);
        return payload === undefined ? ZERO_32 : slotValue(payload, 0, payload.length);
      },
      code: (codeHash) => this.code(codeHash),
      blockHash: () => this.blockHash(),
    };
  }

  async close(): Promise<void> {
    const tables = this.#tables;
    this.#tables = undefined;
    this.#head = -1;
    await tables?.database.close();
  }
}
