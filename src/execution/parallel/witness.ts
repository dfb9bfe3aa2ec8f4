/**
 * Owns what other threads get to know of the state before a block: the values of everything its access list names, in
 * the order of the list, and the code they lack. A thread reads these alone; what the list does not name is missing.
 */
import { bytesEqual } from "../../base/bytes.ts";
import { type BlockAccessList, bytesKey } from "../../protocol/block-access-list.ts";
import { EMPTY_CODE_HASH } from "../../protocol/ordered-trie.ts";
import { type Account, MissingRead, type StateReader } from "../execution.ts";

/** Flags, nonce, balance, code hash. */
const ACCOUNT_BYTES = 1 + 8 + 32 + 32;
const PRESENT = 1;
const HAS_STORAGE = 2;
/** BLOCKHASH reaches as far back. */
export const BLOCK_HASHES = 256;

const namedSlots = (list: BlockAccessList): number =>
  list.reduce((sum, { storageChanges, storageReads }) => sum + storageChanges.length + storageReads.length, 0);

/** Values of what `list` names, as `state` has them, in memory that threads share. `visitCode` hears of code hashes. */
export function packWitness(
  list: BlockAccessList,
  state: StateReader,
  visitCode: (codeHash: Uint8Array) => void,
): Uint8Array {
  const bytes = new Uint8Array(new SharedArrayBuffer(list.length * ACCOUNT_BYTES + namedSlots(list) * 32));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const { address, storageChanges, storageReads } of list) {
    const account = state.account(address);
    if (account !== undefined) {
      bytes[at] = PRESENT | (account.hasStorage === true ? HAS_STORAGE : 0);
      view.setBigUint64(at + 1, account.nonce);
      for (let word = 3, rest = account.balanceWei; word >= 0; word--, rest >>= 64n)
        view.setBigUint64(at + 9 + 8 * word, BigInt.asUintN(64, rest));
      bytes.set(account.codeHash, at + 41);
      if (!bytesEqual(account.codeHash, EMPTY_CODE_HASH)) visitCode(account.codeHash);
    }
    at += ACCOUNT_BYTES;
    for (const { slot } of storageChanges) {
      bytes.set(state.storage(address, slot), at);
      at += 32;
    }
    for (const slot of storageReads) {
      bytes.set(state.storage(address, slot), at);
      at += 32;
    }
  }
  return bytes;
}

/** The last {@link BLOCK_HASHES} hashes before block `number`, newest first. */
export function packBlockHashes(number: number, state: StateReader): Uint8Array {
  const bytes = new Uint8Array(BLOCK_HASHES * 32);
  for (let back = 1; back <= Math.min(BLOCK_HASHES, number); back++)
    bytes.set(state.blockHash(number - back), (back - 1) * 32);
  return bytes;
}

/** Reads a witness. Throws MissingRead for what is not in it. */
export class WitnessReader implements StateReader {
  /** Where an account, or a slot of it, lies. */
  readonly #accounts = new Map<string, number>();
  readonly #slots = new Map<string, number>();
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #codes: ReadonlyMap<string, Uint8Array>;
  readonly #number: number;
  readonly #blockHashes: Uint8Array | undefined;

  /** `codes` by key of the hash; `number` is that of the block. */
  constructor(p: {
    list: BlockAccessList;
    bytes: Uint8Array;
    codes: ReadonlyMap<string, Uint8Array>;
    number: number;
    blockHashes: Uint8Array | undefined;
  }) {
    this.#bytes = p.bytes;
    this.#view = new DataView(p.bytes.buffer, p.bytes.byteOffset, p.bytes.byteLength);
    this.#codes = p.codes;
    this.#number = p.number;
    this.#blockHashes = p.blockHashes;
    let at = 0;
    for (const { address, storageChanges, storageReads } of p.list) {
      const key = bytesKey(address);
      this.#accounts.set(key, at);
      at += ACCOUNT_BYTES;
      for (const { slot } of storageChanges) {
        this.#slots.set(key + bytesKey(slot), at);
        at += 32;
      }
      for (const slot of storageReads) {
        this.#slots.set(key + bytesKey(slot), at);
        at += 32;
      }
    }
  }

  account(address: Uint8Array): Account | undefined {
    const at = this.#accounts.get(bytesKey(address));
    if (at === undefined) throw new MissingRead();
    const flags = this.#bytes[at] as number;
    if ((flags & PRESENT) === 0) return undefined;
    let balanceWei = 0n;
    for (let word = 0; word < 4; word++) balanceWei = (balanceWei << 64n) | this.#view.getBigUint64(at + 9 + 8 * word);
    return {
      nonce: this.#view.getBigUint64(at + 1),
      balanceWei,
      codeHash: this.#bytes.slice(at + 41, at + 73),
      hasStorage: (flags & HAS_STORAGE) !== 0,
    };
  }

  storage(address: Uint8Array, slot: Uint8Array): Uint8Array {
    const at = this.#slots.get(bytesKey(address) + bytesKey(slot));
    if (at === undefined) throw new MissingRead();
    return this.#bytes.slice(at, at + 32);
  }

  code(codeHash: Uint8Array): Uint8Array {
    const code = this.#codes.get(bytesKey(codeHash));
    if (code === undefined) throw new MissingRead();
    return code;
  }

  blockHash(number: number): Uint8Array {
    const back = this.#number - number;
    if (this.#blockHashes === undefined || back < 1 || back > BLOCK_HASHES) throw new MissingRead();
    return this.#blockHashes.slice((back - 1) * 32, back * 32);
  }
}
