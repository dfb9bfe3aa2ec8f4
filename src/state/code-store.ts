/** Owns contract code by its hash: a table that only grows, and a bounded cache of what is in use, least recent first. */
import { assert } from "../base/assert.ts";
import { bytesEqual, EMPTY_BYTES, fromHex, toHexKey } from "../base/bytes.ts";
import { EMPTY_CODE_HASH } from "../protocol/ordered-trie.ts";
import type { StateWrites } from "../protocol/state-writes.ts";
import type { Table } from "../store/database.ts";

const CACHED_BYTES = 16 * 1024 * 1024;

export class CodeStore {
  readonly #table: Table;
  readonly #cache = new Map<string, Uint8Array>();
  #cachedBytes = 0;

  constructor(table: Table) {
    this.#table = table;
  }

  /** Asserts that the code is stored: a dangling hash is a bug. The empty hash gives empty bytes. */
  get(codeHash: Uint8Array): Uint8Array {
    const name = toHexKey(codeHash);
    const known = this.#cache.get(name);
    if (known !== undefined) {
      this.#cache.delete(name);
      this.#cache.set(name, known);
      return known;
    }
    if (bytesEqual(codeHash, EMPTY_CODE_HASH)) return EMPTY_BYTES;
    const code = this.#table.get(codeHash);
    assert(code !== undefined, `code ${name} is stored`);
    this.#cache.set(name, code);
    this.#cachedBytes += code.length;
    for (const [oldest, bytes] of this.#cache) {
      if (this.#cachedBytes <= CACHED_BYTES) break;
      this.#cache.delete(oldest);
      this.#cachedBytes -= bytes.length;
    }
    return code;
  }

  /** Within a transaction of the table's database. */
  put(codes: StateWrites["codes"]): void {
    for (const [hash, code] of codes) this.#table.put(fromHex(hash), code);
  }
}
