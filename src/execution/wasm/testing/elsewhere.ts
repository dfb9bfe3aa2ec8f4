/**
 * Owns what a result claims about other versions of the state (DESIGN D3, I8): `elsewhere` makes a version that differs
 * from the one it ran on in everything the result says it does not depend on, and `applyEffects` says what the account
 * deltas and slots of the result make of a version. Running the transaction there must come to the same.
 */
import { bigIntToBytes, fromHex, toHexKey } from "../../../base/bytes.ts";
import { keccak256 } from "../../../protocol/keccak.ts";
import type { DeltaRecord, IncludedResult, ReadFields, TxResult } from "../../execution.ts";
import type { Random } from "./random-program.ts";
import { EMPTY_CODE_HASH, World } from "./world.ts";

const NOTHING_READ: ReadFields = { balance: false, nonce: false, code: false, emptiness: false };
/** Code no program of a test contains: it reverts. */
const OTHER_CODE = fromHex("5f5ffd");
const OTHER_CODE_HASH = keccak256(OTHER_CODE);

/** A version on which the reads and predicates of `result` hold, and all else may differ. */
export function elsewhere(result: TxResult, before: World, random: Random): World {
  const world = before.copy();
  world.codes.set(toHexKey(OTHER_CODE_HASH), OTHER_CODE);
  const fields = new Map<string, ReadFields>();
  const slotsRead = new Set<string>();
  for (const read of result.reads ?? [])
    if (read.slot === undefined) fields.set(toHexKey(read.address), read.fields);
    else slotsRead.add(toHexKey(read.address) + toHexKey(read.slot));
  const deltas = new Map<string, DeltaRecord>();
  if (result.included) for (const delta of result.deltas ?? []) deltas.set(toHexKey(delta.address), delta);
  for (const key of new Set([...world.accounts.keys(), ...fields.keys(), ...deltas.keys()])) {
    const read = fields.get(key) ?? NOTHING_READ;
    const was = world.accounts.get(key);
    const delta = deltas.get(key);
    const now = {
      nonce: was?.nonce ?? 0n,
      balanceWei: was?.balanceWei ?? 0n,
      codeHash: was?.codeHash ?? EMPTY_CODE_HASH,
      storage: was?.storage ?? new Map<string, Uint8Array>(),
    };
    const isEmpty = (): boolean =>
      now.nonce === 0n && now.balanceWei === 0n && toHexKey(now.codeHash) === toHexKey(EMPTY_CODE_HASH);
    if (read.emptiness && isEmpty()) continue;
    if (!read.balance) now.balanceWei = (delta?.balanceAtLeastWei ?? 0n) + random.pick([0n, 0n, 1n, 10n ** 20n]);
    if (!read.nonce && delta?.nonceBefore === undefined) now.nonce = BigInt(random.below(4));
    if (!read.code) now.codeHash = random.chance(50) ? EMPTY_CODE_HASH : OTHER_CODE_HASH;
    if (read.emptiness && isEmpty()) now.balanceWei = 1n;
    // Storage without nonce or code cannot come to be; creation may ask for it there.
    const isBare = now.nonce === 0n && toHexKey(now.codeHash) === toHexKey(EMPTY_CODE_HASH);
    if (isBare) now.storage.clear();
    else
      for (let slot = 0n; slot < 6n; slot++) {
        const slotKey = toHexKey(bigIntToBytes(slot, 32));
        if (slotsRead.has(key + slotKey)) continue;
        const value = random.below(3);
        if (value === 0) now.storage.delete(slotKey);
        else now.storage.set(slotKey, bigIntToBytes(BigInt(value), 32));
      }
    if (isEmpty()) world.accounts.delete(key);
    else world.accounts.set(key, now);
  }
  return world;
}

/** What a result makes of a version on which its reads and predicates hold; undefined when a predicate does not. */
export function applyEffects(result: IncludedResult, before: World): World | undefined {
  const world = before.copy();
  const { accounts, codes } = result.writes;
  for (const [hash, code] of codes) world.codes.set(hash, code);
  for (const delta of result.deltas ?? []) {
    const key = toHexKey(delta.address);
    const was = world.accounts.get(key);
    const balanceWei = was?.balanceWei ?? 0n;
    if (balanceWei < delta.balanceAtLeastWei) return undefined;
    if (delta.nonceBefore !== undefined && delta.nonceBefore !== (was?.nonce ?? 0n)) return undefined;
    world.accounts.set(key, {
      nonce: delta.nonceAfter ?? was?.nonce ?? 0n,
      balanceWei: balanceWei + delta.balanceDeltaWei,
      codeHash: delta.codeHashAfter ?? was?.codeHash ?? EMPTY_CODE_HASH,
      storage: was?.storage ?? new Map<string, Uint8Array>(),
    });
  }
  for (const [key, write] of accounts) {
    if (write.cleared) {
      world.accounts.delete(key);
      continue;
    }
    const account = world.accounts.get(key);
    if (account === undefined) continue;
    for (const [slot, value] of write.storage)
      if (value.every((byte) => byte === 0)) account.storage.delete(slot);
      else account.storage.set(slot, value);
  }
  for (const [key, { nonce, balanceWei, codeHash }] of world.accounts)
    if (nonce === 0n && balanceWei === 0n && toHexKey(codeHash) === toHexKey(EMPTY_CODE_HASH))
      world.accounts.delete(key);
  return world;
}
