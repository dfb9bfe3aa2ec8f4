import assert from "node:assert/strict";
import { test } from "node:test";
import { bytesToBigInt, toHex, toHexKey } from "../base/bytes.ts";
import type { Block } from "../protocol/block.ts";
import { headerHash } from "../protocol/header-codec.ts";
import { EMPTY_TRIE_ROOT, orderedTrieRoot } from "../protocol/ordered-trie.ts";
import { BEACON_ROOTS, HISTORY_STORAGE, L1_ATTRIBUTES_DEPOSITOR, L1_BLOCK } from "../protocol/predeploys.ts";
import { encodeReceipt } from "../protocol/receipt-codec.ts";
import { encodeDeposit, signTransaction } from "../protocol/transaction-codec.ts";
import type { MemoryState } from "../state/memory-state.ts";
import {
  type AppliedTx,
  type BlockAttributes,
  BlockExecution,
  executeBlock,
  type SequencedTx,
} from "./block-execution.ts";
import { EthereumjsEngine } from "./ethereumjs-engine.ts";
import {
  account,
  assemble,
  CHAIN_ID,
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

const keys = testKeys(4);
const [alice, bob, carol, poor] = keys as [(typeof keys)[0], (typeof keys)[0], (typeof keys)[0], (typeof keys)[0]];
const engine = new EthereumjsEngine();

/** Counts its calls in slot 0 and logs the count. */
const counter = plainAddress(1);
const COUNTER_CODE = assemble(0, "SLOAD", 1, "ADD", "DUP1", 0, "SSTORE", 0, "MSTORE", 7, 32, 0, "LOG1");

function world(): { state: MemoryState; genesis: Block } {
  const state = stateOf([
    ...SYSTEM_CONTRACTS,
    ...[alice, bob, carol].map(({ address }) => [address, account({ balanceWei: 10n ** 20n })] as const),
    [counter, account({ nonce: 1n, code: COUNTER_CODE })],
  ]);
  return { state, genesis: testGenesisBlock(state.prepare({ accounts: new Map(), codes: new Map() }).stateRoot) };
}

function attributesOf(parent: Block, p: Partial<BlockAttributes> & { originNumber?: number } = {}): BlockAttributes {
  const { originNumber = parent.origin.number, ...rest } = p;
  return {
    timestamp: Math.max(parent.header.timestamp + 1, testOrigin(originNumber).timestamp),
    origin: testOrigin(originNumber),
    sequenceNumber: originNumber === parent.origin.number ? parent.sequenceNumber + 1 : 0,
    systemConfig: TEST_SYSTEM_CONFIG,
    deposits: [],
    ...rest,
  };
}

const deposit = (n: number, mintWei: bigint): Uint8Array =>
  encodeDeposit({
    sourceHash: new Uint8Array(32).fill(n),
    from: plainAddress(0xd0 + n),
    to: bob.address,
    mintWei,
    valueWei: 5n,
    gasLimit: 50_000n,
    isSystemTx: false,
    data: new Uint8Array(0),
  }).raw;

/** A mix of transfers, contract calls, creations and invalid transactions. */
function mixedTxs(): SequencedTx[] {
  const txs: SequencedTx[] = [];
  for (let i = 0n; i < 6n; i++) {
    txs.push(signed(alice, { nonce: i, to: counter, maxPriorityFeePerGasWei: i }));
    txs.push(signed(bob, { nonce: i, to: carol.address, valueWei: 1n, type: i % 2n === 0n ? 0 : 1 }));
    if (i === 2n) {
      txs.push(signed(alice, { nonce: 99n, to: bob.address }));
      txs.push(signed(poor, { nonce: 0n, to: bob.address }));
      txs.push({ raw: Uint8Array.of(0x02, 0xc0), sender: alice.address });
      txs.push(signed(carol, { nonce: 0n, gasLimit: 200_000n, data: assemble(0x6001, 0, "MSTORE", 2, 30, "RETURN") }));
    }
  }
  return txs;
}

const reasonsOf = (applied: readonly AppliedTx[]): string[] =>
  applied.flatMap((result) => (result.included ? [] : [result.reason]));

test("a block has the same hash whether it is built in one batch, in many, or again from its body", async () => {
  const { state, genesis } = world();
  const txs = mixedTxs();
  const base = {
    chain: TEST_CHAIN,
    parent: genesis,
    attributes: attributesOf(genesis, { originNumber: 1, deposits: [deposit(1, 77n), deposit(2, 0n)] }),
    state: state.reader(),
    engine,
  };
  const prepare = state.prepare.bind(state);

  const whole = await BlockExecution.begin(base);
  const applied = await whole.apply(txs);
  assert.deepEqual(reasonsOf(applied), ["NONCE_TOO_HIGH", "INSUFFICIENT_FUNDS", "UNDECODABLE"]);
  const one = whole.finish(prepare);

  for (const size of [1, 2, 5]) {
    const parts = await BlockExecution.begin(base);
    const results: AppliedTx[] = [];
    for (let at = 0; at < txs.length; at += size) results.push(...(await parts.apply(txs.slice(at, at + size))));
    const many = parts.finish(prepare);
    assert.equal(toHex(many.block.hash), toHex(one.block.hash), `batches of ${size}`);
    assert.deepEqual(many.receipts, one.receipts);
    assert.deepEqual(results, applied);
    assert.deepEqual(many.writes, one.writes);
  }

  const depositCount = 3;
  const again = await executeBlock({
    ...base,
    txs: one.block.transactions
      .slice(depositCount)
      .map((raw, i) => ({ raw, sender: one.block.senders[depositCount + i] as Uint8Array })),
    prepare,
  });
  assert.deepEqual(again.block, one.block);
  assert.equal(one.block.transactions.length, depositCount + 13);
});

test("the header says what the block holds", async () => {
  const { state, genesis } = world();
  const execution = await BlockExecution.begin({
    chain: TEST_CHAIN,
    parent: genesis,
    attributes: attributesOf(genesis, { originNumber: 1, deposits: [deposit(1, 5n)] }),
    state: state.reader(),
    engine,
  });
  await execution.apply(mixedTxs());
  const { block, receipts, writes, prepared } = execution.finish(state.prepare.bind(state));
  const { header } = block;
  assert.equal(toHex(block.hash), toHex(headerHash(header)));
  assert.deepEqual(header.parentHash, genesis.hash);
  assert.equal(header.number, 1);
  assert.deepEqual(header.stateRoot, prepared.stateRoot);
  assert.deepEqual(header.transactionsRoot, orderedTrieRoot(block.transactions));
  assert.deepEqual(header.receiptsRoot, orderedTrieRoot(receipts.map((receipt) => encodeReceipt(receipt))));
  assert.deepEqual(header.withdrawalsRoot, EMPTY_TRIE_ROOT);
  assert.equal(
    header.gasUsed,
    receipts.reduce((sum, receipt) => sum + receipt.gasUsed, 0),
  );
  assert.equal(receipts.at(-1)?.cumulativeGasUsed, header.gasUsed);
  assert.deepEqual(header.prevRandao, testOrigin(1).prevRandao);
  assert.deepEqual(header.parentBeaconBlockRoot, testOrigin(1).parentBeaconBlockRoot);
  // Genesis used no gas: its base fee falls by an eighth.
  assert.equal(header.baseFeePerGasWei, 875_000_000n);
  assert.deepEqual(
    receipts.slice(0, 2).map((receipt) => [receipt.type, receipt.status, receipt.depositNonce, receipt.l1FeeWei]),
    [
      [0x7e, 1, 0n, 0n],
      [0x7e, 1, 0n, 0n],
    ],
  );
  assert.equal(toHexKey(block.senders[0] as Uint8Array), toHexKey(L1_ATTRIBUTES_DEPOSITOR));
  assert.ok(receipts.slice(2).every((receipt) => receipt.l1FeeWei > 0n));

  // The count is logged under topic 7 and stays in storage.
  const logs = receipts.flatMap((receipt) => receipt.logs);
  assert.deepEqual(
    logs.map((log) => [toHexKey(log.address), bytesToBigInt(log.data)]),
    [1n, 2n, 3n, 4n, 5n, 6n].map((count) => [toHexKey(counter), count]),
  );
  assert.equal(bytesToBigInt(writes.accounts.get(toHexKey(counter))?.storage.get("00".repeat(32)) as Uint8Array), 6n);
});

test("system calls store the parent hash and the beacon root, and cost no gas", async () => {
  const { state, genesis } = world();
  const attributes = attributesOf(genesis, { originNumber: 1 });
  const { block, writes } = await executeBlock({
    chain: TEST_CHAIN,
    parent: genesis,
    attributes,
    state: state.reader(),
    engine,
    txs: [],
    prepare: state.prepare.bind(state),
  });
  const slot = (n: number): string => n.toString(16).padStart(64, "0");
  const history = writes.accounts.get(toHexKey(HISTORY_STORAGE))?.storage;
  assert.deepEqual(history?.get(slot(0)), genesis.hash);
  const roots = writes.accounts.get(toHexKey(BEACON_ROOTS))?.storage;
  assert.equal(
    bytesToBigInt(roots?.get(slot(attributes.timestamp % 8191)) as Uint8Array),
    BigInt(attributes.timestamp),
  );
  assert.deepEqual(roots?.get(slot((attributes.timestamp % 8191) + 8191)), testOrigin(1).parentBeaconBlockRoot);
  // 21,000 and the calldata of the L1-attributes deposit.
  assert.ok(block.header.gasUsed > 21_000 && block.header.gasUsed < 40_000);
  assert.ok(!writes.accounts.has("fffffffffffffffffffffffffffffffffffffffe"));
});

test("a chain of blocks replays to the same hashes and sees its own block hashes", async () => {
  const build = async (batch: number): Promise<Block[]> => {
    const { state, genesis } = world();
    const blocks = [genesis];
    for (let n = 1; n <= 4; n++) {
      const parent = blocks.at(-1) as Block;
      const execution = await BlockExecution.begin({
        chain: TEST_CHAIN,
        parent,
        attributes: attributesOf(parent, { originNumber: n >> 1 }),
        state: state.reader(),
        engine,
      });
      const txs = [0, 1, 2].map((i) => signed(alice, { nonce: BigInt(3 * (n - 1) + i), to: counter }));
      for (let at = 0; at < txs.length; at += batch) await execution.apply(txs.slice(at, at + batch));
      const { block, prepared } = execution.finish(state.prepare.bind(state));
      state.commit(n, prepared);
      blocks.push(block);
    }
    return blocks;
  };
  const [one, three] = [await build(1), await build(3)];
  assert.deepEqual(
    one.map((block) => toHex(block.hash)),
    three.map((block) => toHex(block.hash)),
  );
  assert.deepEqual(
    one.map((block) => block.sequenceNumber),
    [0, 1, 0, 1, 0],
  );
});

test("gas runs out for those that come later, and smaller ones still fit", async () => {
  const { state, genesis } = world();
  const execution = await BlockExecution.begin({
    chain: TEST_CHAIN,
    parent: genesis,
    attributes: attributesOf(genesis, { systemConfig: { ...TEST_SYSTEM_CONFIG, gasLimit: 1_200_000 } }),
    state: state.reader(),
    engine,
  });
  const left = execution.gasLeft;
  const applied = await execution.apply([
    signed(alice, { nonce: 0n, to: bob.address, gasLimit: BigInt(left) + 1n }),
    signed(alice, { nonce: 0n, to: bob.address, gasLimit: BigInt(left) }),
    signed(bob, { nonce: 0n, to: alice.address, gasLimit: BigInt(left) }),
    signed(bob, { nonce: 0n, to: alice.address, gasLimit: BigInt(left) - 21_000n }),
  ]);
  assert.deepEqual(
    applied.map((result) => (result.included ? result.receipt.gasUsed : result.reason)),
    ["GAS_LIMIT_EXCEEDED", 21_000, "GAS_LIMIT_EXCEEDED", 21_000],
  );
});

test("attributes that break the rules of time and origin are a bug of the caller", async () => {
  const { state, genesis } = world();
  const begin = (p: Partial<BlockAttributes> & { originNumber?: number }): Promise<BlockExecution> =>
    BlockExecution.begin({
      chain: TEST_CHAIN,
      parent: genesis,
      attributes: attributesOf(genesis, p),
      state: state.reader(),
      engine,
    });
  for (const wrong of [
    { timestamp: genesis.header.timestamp },
    { originNumber: 1, timestamp: testOrigin(1).timestamp - 1 },
    { originNumber: 2 },
    { sequenceNumber: 0 },
    { deposits: [deposit(1, 1n)] },
    { originNumber: 1, deposits: [signed(alice, { nonce: 0n }).raw] },
  ])
    await assert.rejects(begin(wrong), { name: "AssertionError" });
  const execution = await begin({});
  await assert.rejects(execution.apply([{ raw: deposit(1, 1n), sender: alice.address }]), { name: "AssertionError" });
  execution.finish(state.prepare.bind(state));
  assert.throws(() => execution.finish(state.prepare.bind(state)), { name: "AssertionError" });
});

test("a broken L1Block contract does not stop the chain", async () => {
  const state = stateOf([[L1_BLOCK, account({ nonce: 1n, code: assemble(0, 0, "REVERT") })]]);
  const genesis = testGenesisBlock(state.prepare({ accounts: new Map(), codes: new Map() }).stateRoot);
  const { receipts } = await executeBlock({
    chain: TEST_CHAIN,
    parent: genesis,
    attributes: attributesOf(genesis),
    state: state.reader(),
    engine,
    txs: [],
    prepare: state.prepare.bind(state),
  });
  assert.deepEqual(
    receipts.map((receipt) => receipt.status),
    [0],
  );
});

test("a transaction for another chain is skipped", async () => {
  const { state, genesis } = world();
  const execution = await BlockExecution.begin({
    chain: TEST_CHAIN,
    parent: genesis,
    attributes: attributesOf(genesis),
    state: state.reader(),
    engine,
  });
  const foreign = signTransaction(
    { type: 2, chainId: CHAIN_ID + 1, nonce: 0n, to: bob.address, gasLimit: 21_000n, maxFeePerGasWei: 10n ** 10n },
    alice.secret,
  );
  assert.deepEqual(await execution.apply([{ raw: foreign.raw, sender: alice.address }]), [
    { included: false, reason: "WRONG_CHAIN" },
  ]);
});
