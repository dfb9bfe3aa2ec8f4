/**
 * Owns the state of a benchmark: a database as a sequencer has one, in a folder of its own that goes when it is closed.
 * Executors map it and read it themselves, as they do in a cluster.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { StateReader } from "../execution/execution.ts";
import type { World } from "../execution/wasm/testing/world.ts";
import { emptyWrites, type StateWrites } from "../protocol/state-writes.ts";
import { LmdbState } from "../state/lmdb-state.ts";
import { Database } from "../store/database.ts";
import { processMicros } from "./processor-time.ts";

export class StoredState {
  readonly folder = mkdtempSync(join(tmpdir(), "sheaf-bench-"));
  readonly #database = Database.open(this.folder);
  readonly #state: LmdbState;

  private constructor(blockHash: (number: number) => Uint8Array) {
    this.#state = new LmdbState(this.#database, { blockHash });
  }

  /** Stores all of `world` as the first version. */
  static async of(world: World): Promise<StoredState> {
    const stored = new StoredState((number) => world.blockHash(number));
    const writes = emptyWrites();
    for (const [key, { nonce, balanceWei, codeHash, storage }] of world.accounts)
      writes.accounts.set(key, { cleared: false, account: { nonce, balanceWei, codeHash }, storage });
    for (const [hash, code] of world.codes) writes.codes.set(hash, code);
    await stored.commit(writes);
    return stored;
  }

  /** Of the newest version. */
  reader(): StateReader {
    return this.#state.reader();
  }

  /** Hashes and stores the next version; microseconds of processor time it took before the disk has it. */
  async commit(writes: StateWrites): Promise<number> {
    const start = processMicros();
    const prepared = this.#state.prepare(writes);
    this.#database.transaction(() => this.#state.commit(this.#state.head + 1, prepared));
    const spent = processMicros() - start;
    await this.#database.flushed();
    return spent;
  }

  async close(): Promise<void> {
    await this.#database.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
