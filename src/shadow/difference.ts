/**
 * Owns telling where two executions of a block part: first the transaction, then the field. Write sets are compared by
 * what they make of the state below them, so that an engine may write what was there already, or not.
 * @see docs/decisions/0008-shadow-engine.md
 */
import { bytesEqual, fromHex, toHex, toHexKey } from "../base/bytes.ts";
import type { StateReader } from "../execution/execution.ts";
import { OverlayReader } from "../execution/overlay.ts";
import type { Header } from "../protocol/block.ts";
import type { Log } from "../protocol/receipt.ts";
import { type AccountWrite, emptyWrites, mergeWrites, type StateWrites } from "../protocol/state-writes.ts";
import type { DifferingField } from "./api.ts";
import type { Outcome } from "./shadow-codec.ts";

/** One field that differs: of the sequencer's engine, and of the shadow's. */
export type Difference = {
  readonly field: DifferingField;
  readonly address?: string;
  readonly slot?: string;
  readonly value: string;
  readonly shadowValue: string;
};

const UNTOUCHED: AccountWrite = { cleared: false, account: undefined, storage: new Map() };
const ABSENT = "absent";

/** The first difference between what two write sets make of `state`; undefined when there is none. */
export function writesDifference(own: StateWrites, shadow: StateWrites, state: StateReader): Difference | undefined {
  const mine = new OverlayReader(state, [own]);
  const theirs = new OverlayReader(state, [shadow]);
  const addresses = new Set(own.accounts.keys());
  for (const address of shadow.accounts.keys()) addresses.add(address);
  for (const key of addresses) {
    const a = own.accounts.get(key) ?? UNTOUCHED;
    const b = shadow.accounts.get(key) ?? UNTOUCHED;
    const bytes = fromHex(key);
    const address = toHex(bytes);
    const difference =
      accountDifference(mine.account(bytes), theirs.account(bytes)) ??
      // Wiping matters only where there was something.
      (a.cleared !== b.cleared && state.account(bytes)?.hasStorage === true
        ? { field: "storage" as const, value: wiped(a), shadowValue: wiped(b) }
        : undefined);
    if (difference !== undefined) return { ...difference, address };
    const slots = new Set(a.storage.keys());
    for (const slot of b.storage.keys()) slots.add(slot);
    for (const slotKey of slots) {
      const slot = fromHex(slotKey);
      const value = mine.storage(bytes, slot);
      const shadowValue = theirs.storage(bytes, slot);
      if (!bytesEqual(value, shadowValue))
        return {
          field: "storage",
          address,
          slot: toHex(slot),
          value: toHex(value),
          shadowValue: toHex(shadowValue),
        };
    }
  }
  // The hash of a code says what it is: it must be there, and be the same, on the side that set an account to it.
  for (const [hash, code] of own.codes) {
    const other = shadow.codes.get(hash);
    if (other !== undefined && !bytesEqual(code, other))
      return { field: "code", value: toHex(code), shadowValue: toHex(other) };
  }
  return undefined;
}

const wiped = (write: AccountWrite): string => (write.cleared ? "wiped" : "kept");

type Fields = { readonly nonce: bigint; readonly balanceWei: bigint; readonly codeHash: Uint8Array } | undefined;

function accountDifference(a: Fields, b: Fields): Difference | undefined {
  if (a === undefined && b === undefined) return undefined;
  const text = (field: bigint | undefined): string => (field === undefined ? ABSENT : String(field));
  if (a?.balanceWei !== b?.balanceWei)
    return { field: "balanceWei", value: text(a?.balanceWei), shadowValue: text(b?.balanceWei) };
  if (a?.nonce !== b?.nonce) return { field: "accountNonce", value: text(a?.nonce), shadowValue: text(b?.nonce) };
  if (a === undefined || b === undefined || !bytesEqual(a.codeHash, b.codeHash))
    return { field: "codeHash", value: bytesText(a?.codeHash), shadowValue: bytesText(b?.codeHash) };
  return undefined;
}

const bytesText = (bytes: Uint8Array | undefined): string => (bytes === undefined ? ABSENT : toHex(bytes));

/** The first transaction whose outcome differs. `state` is that below the block. */
export function outcomesDifference(
  own: readonly Outcome[],
  shadow: readonly Outcome[],
  state: StateReader,
): { readonly index: number; readonly difference: Difference } | undefined {
  const written = emptyWrites();
  const before = new OverlayReader(state, [written]);
  for (const [index, a] of own.entries()) {
    const difference = outcomeDifference(a, shadow[index], before);
    if (difference !== undefined) return { index, difference };
    if (a.included) mergeWrites(written, a.writes);
  }
  return undefined;
}

function outcomeDifference(a: Outcome, b: Outcome | undefined, before: StateReader): Difference | undefined {
  if (b === undefined || !a.included || !b.included) {
    if (b !== undefined && a.included === b.included) return undefined; // both leave it out; the reason may differ
    const text = (o: Outcome | undefined): string =>
      o === undefined ? "not run" : o.included ? "included" : `skipped: ${o.reason}`;
    return { field: "inclusion", value: text(a), shadowValue: text(b) };
  }
  const fields = ["status", "gasUsed", "effectiveGasPriceWei", "depositNonce"] as const;
  for (const field of fields)
    if (a[field] !== b[field]) return { field, value: String(a[field]), shadowValue: String(b[field]) };
  const logs = [logsText(a.logs), logsText(b.logs)] as const;
  if (logs[0] !== logs[1]) return { field: "logs", value: logs[0], shadowValue: logs[1] };
  const created = [bytesText(a.contractAddress), bytesText(b.contractAddress)] as const;
  if (created[0] !== created[1]) return { field: "contractAddress", value: created[0], shadowValue: created[1] };
  return writesDifference(a.writes, b.writes, before);
}

function logsText(logs: readonly Log[]): string {
  return JSON.stringify(
    logs.map((log) => ({ address: toHexKey(log.address), topics: log.topics.map(toHexKey), data: toHexKey(log.data) })),
  );
}

/** The first header field that differs, the state root apart (the shadow hashes no state). */
export function headerDifference(own: Header, shadow: Header): Difference | undefined {
  for (const field of Object.keys(own) as (keyof Header)[]) {
    const [a, b] = [own[field], shadow[field]].map((v) => (v instanceof Uint8Array ? toHex(v) : String(v)));
    if (field !== "stateRoot" && a !== b) return { field, value: String(a), shadowValue: String(b) };
  }
  return undefined;
}
