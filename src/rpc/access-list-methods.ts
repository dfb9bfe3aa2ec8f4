/**
 * Owns the getters of block access lists (EIP-7928): as JSON in the form of execution-apis, as RLP, and the hash. The
 * chain's headers are those of Prague, so the hash is not in them: lists are advice for who replays or follows, and a
 * client that wants to be sure takes the hash from a node it trusts or replays.
 * Lists of old blocks are dropped (`SHEAF_ACCESS_LIST_BLOCKS`), as are those an engine could not tell: -> 4444.
 * @see https://ethereum.github.io/execution-apis/api/methods/eth_getBlockAccessList
 */
import { toHex } from "../base/bytes.ts";
import { type AccountChanges, type Change, decodeBlockAccessList } from "../protocol/block-access-list.ts";
import type { StoredAccessList } from "../store/chain-store.ts";
import { type Json, quantity } from "./encode.ts";
import { RpcError } from "./errors.ts";
import { type Method, method } from "./method.ts";
import { type BlockRef, blockNumberOrTag, blockRef, hash, required } from "./params.ts";
import { findBlock, headerNotFound } from "./resolve.ts";
import type { Services } from "./services.ts";

/** Undefined when the block is not known. @throws {RpcError} HISTORY_PRUNED */
function findList(s: Services, ref: BlockRef): StoredAccessList | undefined {
  const block = findBlock(s, ref)?.block;
  if (block === undefined) return undefined;
  const { number } = block.header;
  const list = s.chain.accessList(number);
  if (list === undefined)
    throw new RpcError("HISTORY_PRUNED", `pruned history unavailable: no access list of block ${number} is kept`);
  return list;
}

function requireList(s: Services, ref: BlockRef): StoredAccessList {
  const list = findList(s, ref);
  if (list === undefined) throw headerNotFound(ref);
  return list;
}

function encodeChanges<V>(changes: readonly Change<V>[], value: (value: V) => Json): Json[] {
  return changes.map((change) => ({ index: quantity(change.index), ...value(change.value) }));
}

function encodeAccount(account: AccountChanges): Json {
  return {
    address: toHex(account.address),
    storageChanges: account.storageChanges.map(({ slot, changes }) => ({
      key: toHex(slot),
      changes: encodeChanges(changes, (value) => ({ value: toHex(value) })),
    })),
    storageReads: account.storageReads.map((slot) => toHex(slot)),
    balanceChanges: encodeChanges(account.balanceChanges, (wei) => ({ value: quantity(wei) })),
    nonceChanges: encodeChanges(account.nonceChanges, (nonce) => ({ value: quantity(nonce) })),
    codeChanges: encodeChanges(account.codeChanges, (code) => ({ code: toHex(code) })),
  };
}

function answer(s: Services, ref: BlockRef): Json[] | null {
  const list = findList(s, ref);
  return list === undefined ? null : decodeBlockAccessList(list.encoded).map(encodeAccount);
}

const RESULT = "Array of account accesses, or null";

export const ACCESS_LIST_METHODS: readonly Method[] = [
  method({
    name: "eth_getBlockAccessList",
    summary: "Accounts and slots a block used, with the values it gave them (EIP-7928).",
    params: [required("block", blockRef)],
    result: RESULT,
    run: (s, [ref]) => answer(s, ref),
  }),
  method({
    name: "eth_getBlockAccessListByBlockNumber",
    summary: "As eth_getBlockAccessList, by number or tag.",
    params: [required("block", blockNumberOrTag)],
    result: RESULT,
    run: (s, [ref]) => answer(s, ref),
  }),
  method({
    name: "eth_getBlockAccessListByBlockHash",
    summary: "As eth_getBlockAccessList, by hash.",
    params: [required("blockHash", hash)],
    result: RESULT,
    run: (s, [blockHash]) => answer(s, { hash: blockHash, requireCanonical: false }),
  }),
  method({
    name: "debug_getRawBlockAccessList",
    summary: "Block access list as RLP.",
    params: [required("block", blockRef)],
    result: "DATA",
    run: (s, [ref]) => toHex(requireList(s, ref).encoded),
  }),
  method({
    name: "sheaf_getBlockAccessListHash",
    summary:
      "keccak256 of the block access list as RLP: what a header of the Amsterdam fork names blockAccessListHash.",
    params: [required("block", blockRef)],
    result: "DATA, 32 bytes",
    run: (s, [ref]) => toHex(requireList(s, ref).hash),
  }),
];
