/** The access list of a whole block: system calls, deposits and transactions in their parts, however it was batched. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { toHex, toHexKey } from "../base/bytes.ts";
import type { Block } from "../protocol/block.ts";
import { decodeBlockAccessList } from "../protocol/block-access-list.ts";
import { BEACON_ROOTS, HISTORY_STORAGE, SYSTEM_ADDRESS } from "../protocol/predeploys.ts";
import { encodeDeposit } from "../protocol/transaction-codec.ts";
import type { MemoryState } from "../state/memory-state.ts";
import { BlockExecution, type SequencedTx } from "./block-execution.ts";
import { EthereumjsEngine } from "./ethereumjs-engine.ts";
import type { Engine } from "./execution.ts";
import {
  account,
  assemble,
  plainAddress,
  SYSTEM_CONTRACTS,
  signed,
  stateOf,
  TEST_CHAIN,
  TEST_SYSTEM_CONFIG,
  testGenesisBlock,
  testKeys,
  testOrigin,
} from "./testing/world.ts";
import { WasmEngine } from "./wasm/wasm.ts";

const [alice, bob] = testKeys(2) as [ReturnType<typeof testKeys>[0], ReturnType<typeof testKeys>[0]];
const counter = plainAddress(1);
const word = (n: number): string => toHex(Uint8Array.from({ length: 32 }, (_, i) => (i === 31 ? n : 0)));

function world(): { state: MemoryState; genesis: Block } {
  const state = stateOf([
    ...SYSTEM_CONTRACTS,
    [alice.address, account({ balanceWei: 10n ** 20n })],
    [bob.address, account({ balanceWei: 10n ** 20n })],
    // Counts its calls in slot 0 and looks at slot 1.
    [counter, account({ nonce: 1n, code: assemble(0, "SLOAD", 1, "ADD", 0, "SSTORE", 1, "SLOAD") })],
  ]);
  return { state, genesis: testGenesisBlock(state.prepare({ accounts: new Map(), codes: new Map() }).stateRoot) };
}

async function listOf(engine: Engine, batch: number, withAccessList = true): Promise<Uint8Array | undefined> {
  const { state, genesis } = world();
  const deposit = encodeDeposit({
    sourceHash: new Uint8Array(32).fill(1),
    from: plainAddress(0xd0),
    to: bob.address,
    mintWei: 77n,
    valueWei: 5n,
    gasLimit: 50_000n,
    isSystemTx: false,
    data: new Uint8Array(0),
  });
  const execution = await BlockExecution.begin({
    chain: TEST_CHAIN,
    parent: genesis,
    attributes: {
      timestamp: testOrigin(1).timestamp,
      origin: testOrigin(1),
      sequenceNumber: 0,
      systemConfig: TEST_SYSTEM_CONFIG,
      deposits: [deposit.raw],
    },
    state: state.reader(),
    engine,
    withAccessList,
  });
  const txs: SequencedTx[] = [
    signed(alice, { nonce: 0n, to: counter }),
    signed(alice, { nonce: 9n, to: counter }),
    signed(bob, { nonce: 0n, to: counter }),
    signed(alice, { nonce: 1n, gasLimit: 200_000n, data: assemble(0x6001, 0, "MSTORE", 2, 30, "RETURN") }),
  ];
  for (let at = 0; at < txs.length; at += batch) await execution.apply(txs.slice(at, at + batch));
  return execution.finish(state.prepare.bind(state)).accessList;
}

test("system calls are part 0, deposits and transactions follow, skipped ones take no part", async () => {
  const engine = await WasmEngine.create();
  const encoded = await listOf(engine, 10);
  assert.ok(encoded !== undefined);
  const list = new Map(decodeBlockAccessList(encoded).map((entry) => [toHexKey(entry.address), entry]));
  const of = (address: Uint8Array) => list.get(toHexKey(address));

  assert.deepEqual(
    of(HISTORY_STORAGE)?.storageChanges.map(({ slot, changes }) => [toHex(slot), changes.map(({ index }) => index)]),
    [[word(0), [0]]],
  );
  assert.equal(of(BEACON_ROOTS)?.storageChanges.length, 2);
  assert.ok(of(BEACON_ROOTS)?.storageChanges.every(({ changes }) => changes.length === 1 && changes[0]?.index === 0));
  assert.equal(of(SYSTEM_ADDRESS), undefined);

  // Part 1 is the L1-attributes deposit, 2 the user's deposit, then the transactions.
  assert.deepEqual(of(plainAddress(0xd0))?.balanceChanges, [{ index: 2, value: 72n }]);
  assert.deepEqual(
    of(counter)?.storageChanges.map(({ slot, changes }) => [
      toHex(slot),
      changes.map(({ index, value }) => [index, toHex(value)]),
    ]),
    [
      [
        word(0),
        [
          [3, word(1)],
          [4, word(2)],
        ],
      ],
    ],
  );
  assert.deepEqual(of(counter)?.storageReads.map(toHex), [word(1)]);
  assert.deepEqual(of(alice.address)?.nonceChanges, [
    { index: 3, value: 1n },
    { index: 5, value: 2n },
  ]);
  assert.deepEqual(
    of(bob.address)?.balanceChanges.map(({ index }) => index),
    [2, 4],
  );
  const made = [...list.values()].filter(({ codeChanges }) => codeChanges.length > 0);
  assert.deepEqual(
    made.map(({ codeChanges, nonceChanges }) => [codeChanges, nonceChanges]),
    [[[{ index: 5, value: Uint8Array.of(0x60, 0x01) }], [{ index: 5, value: 1n }]]],
  );

  for (const batch of [1, 2, 3]) assert.deepEqual(await listOf(engine, batch), encoded, `batches of ${batch}`);
});

test("no list where nobody asks for one, and none from an engine that cannot tell", async () => {
  assert.equal(await listOf(await WasmEngine.create(), 10, false), undefined);
  assert.equal(await listOf(new EthereumjsEngine(), 10), undefined);
});
