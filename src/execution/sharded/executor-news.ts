/** Owns what executors are told of the state: net effects after an epoch, and within one the slots of single results. */
import { fromHex } from "../../base/bytes.ts";
import type { StateWrites } from "../../protocol/state-writes.ts";
import { ACCOUNT, SLOT } from "../wasm/layout.ts";
import type { TxRecord } from "../wasm/result.ts";
import type { ExecutorSeat } from "./executor-seat.ts";
import { encodeToExecutor, type SlotVersion, type StateEntry } from "./messages.ts";

/** Slots of one result that others are told of. */
const TOLD_SLOTS_MAX = 16;

/** Adds the slots that the transaction at `writer` left behind. */
export function addVersions(versions: SlotVersion[], record: TxRecord, writer: number): void {
  const start = versions.length;
  record.forEachAccount((at, slotsAt, slotCount) => {
    for (let i = 0, slot = slotsAt; i < slotCount && versions.length - start < TOLD_SLOTS_MAX; i++, slot += SLOT.size)
      if (record.u32(slot + SLOT.written) !== 0)
        versions.push({
          address: record.slice(at + ACCOUNT.address, at + ACCOUNT.address + 20),
          slot: record.slice(slot + SLOT.key, slot + SLOT.key + 32),
          value: record.slice(slot + SLOT.value, slot + SLOT.value + 32),
          writer,
          reader: writer + 1,
        });
  });
}

/** Tells every executor what is known better now. */
export function tellAll(seats: readonly ExecutorSeat[], entries: readonly StateEntry[]): void {
  const live = seats.filter((seat) => seat.isLive);
  if (entries.length === 0 || live.length === 0) return;
  const bytes = encodeToExecutor({ kind: "update", entries });
  for (const [i, seat] of live.entries()) seat.sendEncoded(i === live.length - 1 ? bytes : bytes.slice());
}

/** A write set as entries for caches. */
export function entriesOf(writes: StateWrites): StateEntry[] {
  const entries: StateEntry[] = [];
  for (const [key, write] of writes.accounts) {
    const address = fromHex(key);
    entries.push({ kind: "account", address, account: write.account });
    for (const [slot, value] of write.storage) entries.push({ kind: "slot", address, slot: fromHex(slot), value });
  }
  for (const [hash, code] of writes.codes) entries.push({ kind: "code", codeHash: fromHex(hash), code });
  return entries;
}
