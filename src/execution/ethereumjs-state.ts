/**
 * Owns the bridge between `JournaledState` and `@ethereumjs/evm`: its state manager and its journal in one undo log.
 * Every method settles at once; the promises are what the library's interface asks for.
 * Invariant: accounts handed out are copies, because the EVM changes what it gets before it decides to store it.
 */
import type { AccountFields, StateManagerInterface } from "@ethereumjs/common";
import { Account, type Address, KECCAK256_RLP } from "@ethereumjs/util";
import { AssertionError } from "../base/assert.ts";
import { bytesEqual, fromHex, toHexKey } from "../base/bytes.ts";
import { keccak256 } from "../protocol/keccak.ts";
import { EMPTY_CODE_HASH } from "../protocol/ordered-trie.ts";
import { type Cell, type JournaledState, stripZeros } from "./journaled-state.ts";

const DONE: Promise<void> = Promise.resolve();
const ABSENT: Promise<undefined> = Promise.resolve(undefined);

function unsupported(what: string): never {
  throw new AssertionError(`invariant broken: the EVM does not call ${what} of the state`);
}

export class EthereumjsState implements StateManagerInterface {
  readonly state: JournaledState;
  readonly originalStorageCache: StateManagerInterface["originalStorageCache"];
  readonly #marks: number[] = [];

  constructor(state: JournaledState) {
    this.state = state;
    this.originalStorageCache = {
      get: (address, key) => Promise.resolve(state.originalStorage(state.cell(address.bytes), key)),
      clear: () => undefined,
    };
  }

  getAccount(address: Address): Promise<Account | undefined> {
    const cell = this.state.cell(address.bytes);
    if (!cell.exists) return ABSENT;
    return Promise.resolve(new Account(cell.nonce, cell.balanceWei, KECCAK256_RLP, cell.codeHash));
  }

  putAccount(address: Address, account?: Account): Promise<void> {
    const cell = this.state.cell(address.bytes);
    if (account === undefined) this.state.remove(cell);
    else if (!sameFields(cell, account)) this.state.setFields(cell, account.nonce, account.balance, account.codeHash);
    return DONE;
  }

  deleteAccount(address: Address): Promise<void> {
    this.state.remove(this.state.cell(address.bytes));
    return DONE;
  }

  modifyAccountFields(address: Address, fields: AccountFields): Promise<void> {
    const cell = this.state.cell(address.bytes);
    this.state.setFields(cell, fields.nonce ?? cell.nonce, fields.balance ?? cell.balanceWei, cell.codeHash);
    return DONE;
  }

  putCode(address: Address, code: Uint8Array): Promise<void> {
    this.state.setCode(this.state.cell(address.bytes), code.length === 0 ? EMPTY_CODE_HASH : keccak256(code), code);
    return DONE;
  }

  getCode(address: Address): Promise<Uint8Array> {
    return Promise.resolve(this.state.code(this.state.cell(address.bytes)));
  }

  getCodeSize(address: Address): Promise<number> {
    return Promise.resolve(this.state.code(this.state.cell(address.bytes)).length);
  }

  getStorage(address: Address, key: Uint8Array): Promise<Uint8Array> {
    return Promise.resolve(this.state.storage(this.state.cell(address.bytes), key));
  }

  putStorage(address: Address, key: Uint8Array, value: Uint8Array): Promise<void> {
    this.state.setStorage(this.state.cell(address.bytes), key, stripZeros(value));
    return DONE;
  }

  clearStorage(address: Address): Promise<void> {
    this.state.wipeStorage(this.state.cell(address.bytes));
    return DONE;
  }

  checkpoint(): Promise<void> {
    this.#marks.push(this.state.mark());
    return DONE;
  }

  commit(): Promise<void> {
    this.#marks.pop();
    return DONE;
  }

  revert(): Promise<void> {
    const mark = this.#marks.pop();
    if (mark === undefined) unsupported("revert without checkpoint");
    this.state.revertTo(mark);
    return DONE;
  }

  getStateRoot(): Promise<Uint8Array> {
    return unsupported("getStateRoot");
  }

  setStateRoot(): Promise<void> {
    return unsupported("setStateRoot");
  }

  hasStateRoot(): Promise<boolean> {
    return unsupported("hasStateRoot");
  }

  clearCaches(): void {
    unsupported("clearCaches");
  }

  shallowCopy(): StateManagerInterface {
    return unsupported("shallowCopy");
  }
}

/** True when storing `account` would change nothing; an empty account counts as touched (EIP-161) and is stored. */
function sameFields(cell: Cell, account: Account): boolean {
  return (
    cell.exists &&
    cell.nonce === account.nonce &&
    cell.balanceWei === account.balance &&
    (cell.nonce !== 0n || cell.balanceWei !== 0n || account.isContract()) &&
    (cell.codeHash === account.codeHash || bytesEqual(cell.codeHash, account.codeHash))
  );
}

/** The journal the EVM expects: account writes, checkpoints and the warm sets of EIP-2929. */
export class EthereumjsJournal {
  readonly #manager: EthereumjsState;
  readonly #state: JournaledState;
  readonly #precompiles: ReadonlySet<string>;
  /** Addresses (hex key) and slots that were cold when touched, reverted or not; undefined when nobody asks. */
  readonly accessed: Map<string, Set<string>> | undefined;

  constructor(manager: EthereumjsState, precompiles: ReadonlySet<string>, recordAccess: boolean) {
    this.#manager = manager;
    this.#state = manager.state;
    this.#precompiles = precompiles;
    this.accessed = recordAccess ? new Map() : undefined;
  }

  putAccount(address: Address, account: Account | undefined): Promise<void> {
    return this.#manager.putAccount(address, account);
  }

  deleteAccount(address: Address): Promise<void> {
    return this.#manager.deleteAccount(address);
  }

  checkpoint(): Promise<void> {
    return this.#manager.checkpoint();
  }

  commit(): Promise<void> {
    return this.#manager.commit();
  }

  revert(): Promise<void> {
    return this.#manager.revert();
  }

  addAlwaysWarmAddress(address: string): void {
    this.#state.warm(this.#state.cell(fromHex(address)));
  }

  isWarmedAddress(address: Uint8Array): boolean {
    return this.#state.isWarm(this.#state.cell(address)) || this.#isPrecompile(address);
  }

  addWarmedAddress(address: Uint8Array): void {
    const cell = this.#state.cell(address);
    this.#state.warm(cell);
    if (this.accessed !== undefined && !this.accessed.has(cell.key)) this.accessed.set(cell.key, new Set());
  }

  isWarmedStorage(address: Uint8Array, slot: Uint8Array): boolean {
    return this.#state.isWarmSlot(this.#state.cell(address), slot);
  }

  addWarmedStorage(address: Uint8Array, slot: Uint8Array): void {
    const cell = this.#state.cell(address);
    this.#state.warm(cell);
    this.#state.warmSlot(cell, slot);
    if (this.accessed === undefined) return;
    const slotKey = toHexKey(slot);
    const slots = this.accessed.get(cell.key);
    if (slots === undefined) this.accessed.set(cell.key, new Set([slotKey]));
    else slots.add(slotKey);
  }

  /** Precompiles sit below 0x01ff: most addresses are ruled out by their first bytes. */
  #isPrecompile(address: Uint8Array): boolean {
    return address[0] === 0 && address[17] === 0 && this.#precompiles.has(toHexKey(address));
  }
}
