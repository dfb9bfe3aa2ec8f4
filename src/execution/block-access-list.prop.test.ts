/**
 * The list our engine reports is the one `@ethereumjs/vm` builds, on random programs; but our VM charges the gas of a
 * basic block at its head, so what a frame would still have looked at just before it runs out of gas in that block is
 * not in the list: there the peer's may name more accounts and slots as looked at, never more changes.
 */
import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { test } from "node:test";
import type { EVM } from "@ethereumjs/evm";
import { SimpleStateManager } from "@ethereumjs/statemanager";
import { createTxFromRLP } from "@ethereumjs/tx";
import { Account, Address, createBlockLevelAccessList } from "@ethereumjs/util";
import { createVM, runTx } from "@ethereumjs/vm";
import { fromHex, toHex, toHexKey } from "../base/bytes.ts";
import {
  AccessListBuilder,
  type BlockAccessList,
  decodeBlockAccessList,
  encodeBlockAccessList,
} from "../protocol/block-access-list.ts";
import { peerBlock, peerCommon } from "./testing/vm-peer.ts";
import { type RandomCase, randomCase } from "./wasm/testing/random-program.ts";
import { WasmEngine } from "./wasm/wasm.ts";

const common = peerCommon({ chainId: 1, fork: "prague" }, [7928]);

/** List of the peer as RLP, for the transactions at these positions. */
async function peerList({ env, world, txs }: RandomCase, included: readonly boolean[]): Promise<Uint8Array> {
  const stateManager = new SimpleStateManager({ common });
  for (const [hex, account] of world.accounts) {
    const address = new Address(fromHex(hex));
    await stateManager.putAccount(address, new Account(account.nonce, account.balanceWei, undefined, account.codeHash));
    await stateManager.putCode(address, world.code(account.codeHash));
    for (const [slot, value] of account.storage) await stateManager.putStorage(address, fromHex(slot), value);
  }
  const vm = await createVM({ common, stateManager });
  vm.evm.blockLevelAccessList = createBlockLevelAccessList();
  const evm = vm.evm as EVM;
  evm.blockchain = {
    getBlock: (number) => Promise.resolve({ hash: () => world.blockHash(number) }),
    putBlock: () => Promise.resolve(),
    shallowCopy: () => evm.blockchain,
  };
  const block = peerBlock(env, common);
  let index = 0;
  for (const [i, tx] of txs.entries()) {
    if (!included[i]) continue;
    vm.evm.blockLevelAccessList.blockAccessIndex = ++index;
    await runTx(vm, { tx: createTxFromRLP(tx.raw, { common }), block, skipHardForkValidation: true });
  }
  return vm.evm.blockLevelAccessList.serialize();
}

/** What was looked at, as lines; what was changed, as the list without it. */
function parts(list: BlockAccessList): { looked: string[]; changed: string } {
  const looked: string[] = [];
  const changed: BlockAccessList[number][] = [];
  for (const account of list) {
    const key = toHexKey(account.address);
    looked.push(key, ...account.storageReads.map((slot) => `${key} ${toHexKey(slot)}`));
    const { storageChanges, balanceChanges, nonceChanges, codeChanges } = account;
    if (storageChanges.length + balanceChanges.length + nonceChanges.length + codeChanges.length > 0)
      changed.push({ ...account, storageReads: [] });
  }
  return { looked, changed: toHex(encodeBlockAccessList(changed)) };
}

test("block access lists are those of @ethereumjs/vm", async (t) => {
  const seed = Number(process.env["SHEAF_SEED"] ?? randomInt(2 ** 31));
  t.diagnostic(`seed ${seed}`);
  const engine = await WasmEngine.create();
  const cases = 60;
  let compared = 0;
  let equal = 0;
  for (let i = 0; compared < cases; i++) {
    const one = randomCase(seed, i);
    const { env, world, txs } = one;
    // The peer computes the blob base fee from a header that has no excess.
    if (env.fork !== "prague" || env.feePolicy !== "ethereum" || env.blobBaseFeeWei !== 1n) continue;
    const results = engine.execute(env, txs, world, env.gasLimit);
    const builder = new AccessListBuilder();
    let index = 0;
    for (const result of results)
      if (result.included) result.recordAccess?.(builder, ++index, (hash) => world.code(hash));
    const own = encodeBlockAccessList(builder.finish());
    const peer = await peerList(
      one,
      results.map((r) => r.included),
    );
    compared++;
    if (toHex(own) === toHex(peer)) {
      equal++;
      continue;
    }
    const a = parts(decodeBlockAccessList(own));
    const b = parts(decodeBlockAccessList(peer));
    assert.equal(a.changed, b.changed, `case ${i}`);
    const seen = new Set(b.looked);
    assert.deepEqual(
      a.looked.filter((line) => !seen.has(line)),
      [],
      `case ${i}`,
    );
  }
  t.diagnostic(`${equal} of ${compared} byte for byte`);
  assert.ok(equal >= compared * 0.9, `${equal} of ${compared} are equal`);
});
