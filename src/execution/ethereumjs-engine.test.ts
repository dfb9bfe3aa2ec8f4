import assert from "node:assert/strict";
import { test } from "node:test";
import { bigIntToBytes, bytesToBigInt, concatBytes, fromHex, toHexKey } from "../base/bytes.ts";
import { EMPTY_CODE_HASH } from "../protocol/ordered-trie.ts";
import { BASE_FEE_VAULT, L1_FEE_VAULT } from "../protocol/predeploys.ts";
import { addressOfPrivateKey, signDigest } from "../protocol/secp256k1.ts";
import { emptyWrites, mergeWrites, type StateWrites } from "../protocol/state-writes.ts";
import { type DepositFields, encodeDeposit, signAuthorization } from "../protocol/transaction-codec.ts";
import { EthereumjsEngine } from "./ethereumjs-engine.ts";
import type { BlockEnv, CallInput, CallResult, IncludedResult, StateReader, TxInput, TxResult } from "./execution.ts";
import { OverlayReader } from "./overlay.ts";
import {
  type Alloc,
  account,
  assemble,
  CHAIN_ID,
  plainAddress,
  signed,
  stateOf,
  testEnv,
  testKeys,
} from "./testing/world.ts";

const [alice, bob, poor] = testKeys(3) as [Key, Key, Key];
type Key = ReturnType<typeof testKeys>[number];
const engine = new EthereumjsEngine();
const GWEI = 1_000_000_000n;
const funded: Alloc = [alice, bob].map(({ address }) => [address, account({ balanceWei: 10n ** 18n })]);

async function run(
  txs: readonly (TxInput | { raw: Uint8Array; sender: Uint8Array })[],
  alloc: Alloc = funded,
  env: BlockEnv = testEnv(),
  gasAvailable: number = env.gasLimit,
): Promise<{ results: readonly TxResult[]; writes: StateWrites; after: StateReader; before: StateReader }> {
  const before = stateOf(alloc).reader();
  const inputs = txs.map((tx) => ({ l1FeeWei: 0n, ...tx }));
  const results = await engine.executeBatch(env, inputs, before, gasAvailable);
  const writes = emptyWrites();
  for (const result of results) if (result.included) mergeWrites(writes, result.writes);
  return { results, writes, before, after: new OverlayReader(before, [writes]) };
}

function only(results: readonly TxResult[]): IncludedResult {
  const [result] = results;
  assert.ok(results.length === 1 && result?.included === true);
  return result;
}

const reasons = (results: readonly TxResult[]): (string | undefined)[] =>
  results.map((result) => (result.included ? undefined : result.reason));
const balance = (state: StateReader, address: Uint8Array): bigint => state.account(address)?.balanceWei ?? 0n;
const nonce = (state: StateReader, address: Uint8Array): bigint => state.account(address)?.nonce ?? 0n;

const depositor = plainAddress(0xd0);
function deposit(p: Partial<DepositFields>): { raw: Uint8Array; sender: Uint8Array } {
  const fields: DepositFields = {
    sourceHash: new Uint8Array(32).fill(5),
    from: depositor,
    to: bob.address,
    mintWei: 0n,
    valueWei: 0n,
    gasLimit: 100_000n,
    isSystemTx: false,
    data: new Uint8Array(0),
    ...p,
  };
  return { raw: encodeDeposit(fields).raw, sender: fields.from };
}

const reverter = plainAddress(0x100);
const WITH_REVERTER: Alloc = [...funded, [reverter, account({ nonce: 1n, code: assemble(0, 0, "REVERT") })]];

// Deposits

test("a deposit mints, moves value, pays no fee and counts the nonce up", async () => {
  const { results, after } = await run([deposit({ mintWei: 100n, valueWei: 30n })]);
  const result = only(results);
  assert.equal(result.status, 1);
  assert.equal(result.gasUsed, 21_000);
  assert.equal(result.depositNonce, 0n);
  assert.equal(result.effectiveGasPriceWei, 0n);
  assert.deepEqual([balance(after, depositor), nonce(after, depositor)], [70n, 1n]);
  assert.equal(balance(after, bob.address), 10n ** 18n + 30n);
  for (const vault of [BASE_FEE_VAULT, L1_FEE_VAULT, testEnv().coinbase]) assert.equal(balance(after, vault), 0n);
});

test("a deposit that reverts keeps its mint and its nonce and gives the value back", async () => {
  const { results, after } = await run([deposit({ to: reverter, mintWei: 100n, valueWei: 30n })], WITH_REVERTER);
  const result = only(results);
  assert.equal(result.status, 0);
  assert.ok(result.gasUsed > 21_000 && result.gasUsed < 22_000);
  assert.deepEqual([balance(after, depositor), nonce(after, depositor)], [100n, 1n]);
  assert.equal(balance(after, reverter), 0n);
});

for (const [what, p] of [
  ["value above its balance", { mintWei: 100n, valueWei: 101n }],
  ["gas below its intrinsic cost", { mintWei: 100n, gasLimit: 20_999n }],
  ["gas below the calldata floor", { mintWei: 100n, gasLimit: 24_000n, data: new Uint8Array(100).fill(1) }],
  ["the system flag", { mintWei: 100n, isSystemTx: true }],
  ["init code above the limit", { mintWei: 100n, to: undefined, gasLimit: 5_000_000n, data: new Uint8Array(49_153) }],
] satisfies [string, Partial<DepositFields>][])
  test(`a deposit with ${what} is included as failed: mint and nonce stand, all its gas counts`, async () => {
    const { results, after, writes } = await run([deposit(p)]);
    const result = only(results);
    assert.equal(result.status, 0);
    assert.equal(result.gasUsed, Number(p.gasLimit ?? 100_000n));
    assert.equal(result.depositNonce, 0n);
    assert.deepEqual([...writes.accounts.keys()], [toHexKey(depositor)]);
    assert.deepEqual([balance(after, depositor), nonce(after, depositor)], [100n, 1n]);
  });

test("a deposit that does not fit into the block is included as failed and uses what is left", async () => {
  const { results, after } = await run(
    [
      deposit({ mintWei: 1n, gasLimit: 60_000n }),
      deposit({ mintWei: 1n, gasLimit: 60_000n }),
      deposit({ mintWei: 1n, gasLimit: 60_000n }),
    ],
    funded,
    testEnv(),
    70_000,
  );
  assert.deepEqual(
    results.map((result) => result.included && [result.status, result.gasUsed, result.depositNonce]),
    [
      [1, 21_000, 0n],
      [0, 49_000, 1n],
      [0, 0, 2n],
    ],
  );
  assert.deepEqual([balance(after, depositor), nonce(after, depositor)], [3n, 3n]);
});

test("a deposit may come from a contract, and may create one", async () => {
  const alloc: Alloc = [...funded, [depositor, account({ nonce: 4n, code: assemble("STOP") })]];
  const init = assemble(0x6001, 0, "MSTORE", 2, 30, "RETURN");
  const { results, after } = await run([deposit({ to: undefined, data: init, mintWei: 9n, valueWei: 9n })], alloc);
  const result = only(results);
  assert.equal(result.status, 1);
  assert.equal(result.depositNonce, 4n);
  const created = result.contractAddress as Uint8Array;
  assert.equal(balance(after, created), 9n);
  assert.deepEqual(after.code(after.account(created)?.codeHash as Uint8Array), fromHex("6001"));
  assert.equal(nonce(after, depositor), 5n);
});

test("deposits get refunds for cleared storage", async () => {
  const clearer = plainAddress(0x101);
  const slot = "00".repeat(32);
  const storage = new Map([[slot, new Uint8Array(32).fill(1)]]);
  const alloc: Alloc = [...funded, [clearer, account({ nonce: 1n, code: assemble(0, 0, "SSTORE"), storage })]];
  const { results, writes } = await run([deposit({ to: clearer })], alloc);
  // 21,000 and two pushes, a cold clearing (5,000) less a refund of 4,800.
  assert.equal(only(results).gasUsed, 21_000 + 6 + 5_000 - 4_800);
  assert.deepEqual(writes.accounts.get(toHexKey(clearer))?.storage.get(slot), new Uint8Array(32));
});

// Fees

test("fees go to their vaults to the wei, and nothing is made or lost", async () => {
  const l1FeeWei = 12_345n;
  const price = 1_500_000_000n;
  const { results, before, after } = await run([
    {
      ...signed(alice, { nonce: 0n, to: bob.address, valueWei: 7n, maxPriorityFeePerGasWei: price - GWEI }),
      l1FeeWei,
    },
  ]);
  const result = only(results);
  assert.equal(result.effectiveGasPriceWei, price);
  assert.equal(balance(after, BASE_FEE_VAULT), 21_000n * GWEI);
  assert.equal(balance(after, testEnv().coinbase), 21_000n * (price - GWEI));
  assert.equal(balance(after, L1_FEE_VAULT), l1FeeWei);
  assert.equal(balance(after, alice.address), balance(before, alice.address) - 7n - l1FeeWei - 21_000n * price);
});

test("ether is conserved over a mixed batch: the sum changes by the mints alone", async () => {
  const spender = plainAddress(0x102);
  const code = assemble(0, 0, 0, 0, 1, bob.address, 0, "CALL", 5, "SSTORE", 0, 0, "REVERT");
  const alloc: Alloc = [
    ...WITH_REVERTER,
    [spender, account({ nonce: 1n, balanceWei: 1_000n, code: code.slice(0, -3) })],
  ];
  const txs: TxInput[] = [];
  for (let i = 0n; i < 8n; i++) {
    const to = i % 3n === 0n ? reverter : i % 3n === 1n ? spender : bob.address;
    const tx = signed(alice, { nonce: i, to, valueWei: i, maxPriorityFeePerGasWei: i * 1_000n });
    txs.push({ ...tx, l1FeeWei: i * 99n });
    txs.push({ ...deposit({ to, mintWei: 10n * i, valueWei: i * 7n }), l1FeeWei: 0n });
  }
  const { results, before, after, writes } = await run(txs, alloc);
  assert.ok(results.every((result) => result.included));
  let change = 0n;
  for (const key of writes.accounts.keys()) change += balance(after, fromHex(key)) - balance(before, fromHex(key));
  assert.equal(change, 10n * 28n);
});

test("under the ethereum policy the base fee is burned and the L1 fee is not charged", async () => {
  const env = testEnv({ feePolicy: "ethereum" });
  const tx = { ...signed(alice, { nonce: 0n, to: bob.address, maxPriorityFeePerGasWei: 5n }), l1FeeWei: 999n };
  const { before, after } = await run([tx], funded, env);
  assert.equal(balance(after, BASE_FEE_VAULT), 0n);
  assert.equal(balance(after, L1_FEE_VAULT), 0n);
  assert.equal(balance(after, env.coinbase), 21_000n * 5n);
  assert.equal(balance(after, alice.address), balance(before, alice.address) - 21_000n * (GWEI + 5n));
});

test("the sender must afford gas at its cap, value and L1 fee together, exactly", async () => {
  const l1FeeWei = 1_000n;
  const need = 21_000n * 3n * GWEI + 50n + l1FeeWei;
  const tx = { ...signed(poor, { nonce: 0n, to: bob.address, valueWei: 50n, gasLimit: 21_000n }), l1FeeWei };
  const outcome = async (balanceWei: bigint): Promise<readonly TxResult[]> =>
    (await run([tx], [[poor.address, account({ balanceWei })]])).results;
  assert.deepEqual(reasons(await outcome(need - 1n)), ["INSUFFICIENT_FUNDS"]);
  assert.equal(only(await outcome(need)).status, 1);
});

// Skips

test("each invalid transaction is skipped by name, without effect on the next", async () => {
  const contract = plainAddress(0x103);
  const codeOwner = testKeys(4)[3] as Key;
  const alloc: Alloc = [
    ...funded,
    [contract, account({ nonce: 1n, code: assemble("STOP") })],
    [codeOwner.address, account({ balanceWei: 10n ** 18n, code: assemble("STOP") })],
  ];
  const ok = { nonce: 0n, to: bob.address };
  const { results } = await run(
    [
      { raw: fromHex("c0"), sender: alice.address },
      signed(alice, { ...ok, chainId: 1 }),
      signed(alice, { ...ok, nonce: 1n }),
      signed(alice, { ...ok, maxFeePerGasWei: GWEI - 1n }),
      signed(poor, ok),
      signed(alice, { ...ok, gasLimit: 20_999n }),
      signed(alice, { ...ok, data: new Uint8Array(1_000).fill(1), gasLimit: 40_000n }),
      signed(alice, { ...ok, gasLimit: 40_000_000n }),
      signed(codeOwner, ok),
      signed(alice, { nonce: 0n, data: new Uint8Array(49_153), gasLimit: 5_000_000n }),
      signed(alice, { ...ok, type: 3, maxFeePerBlobGasWei: 5n, blobHashes: [new Uint8Array(32).fill(1)] }),
      signed(alice, ok),
      signed(alice, ok),
    ],
    alloc,
  );
  assert.deepEqual(reasons(results), [
    "UNDECODABLE",
    "WRONG_CHAIN",
    "NONCE_TOO_HIGH",
    "FEE_BELOW_BASE",
    "INSUFFICIENT_FUNDS",
    "INTRINSIC_GAS",
    "INTRINSIC_GAS",
    "GAS_LIMIT_EXCEEDED",
    "SENDER_NOT_EOA",
    "INIT_CODE_TOO_LARGE",
    "UNSUPPORTED_TYPE",
    undefined,
    "NONCE_TOO_LOW",
  ]);
});

test("a transaction type is taken from the fork on that brought it", async () => {
  const authorizations = [signAuthorization({ chainId: 0n, address: bob.address, nonce: 0n }, bob.secret)];
  const set = signed(alice, { nonce: 0n, type: 4, to: bob.address, authorizations });
  assert.deepEqual(reasons((await run([set], funded, testEnv({ fork: "cancun" }))).results), ["UNSUPPORTED_TYPE"]);
  assert.deepEqual(reasons((await run([set])).results), [undefined]);
  const large = signed(alice, { nonce: 0n, to: bob.address, gasLimit: 16_777_217n });
  assert.deepEqual(reasons((await run([large], funded, testEnv({ fork: "osaka" }))).results), ["GAS_LIMIT_EXCEEDED"]);
  assert.deepEqual(reasons((await run([large])).results), [undefined]);
});

// Batches

test("each transaction sees the one before, and writes are absolute and only what changed", async () => {
  const counter = plainAddress(0x104);
  const alloc: Alloc = [
    ...funded,
    [counter, account({ nonce: 1n, code: assemble(0, "SLOAD", 1, "ADD", 0, "SSTORE", 1, "SLOAD", 1, "SSTORE") })],
  ];
  const { results } = await run(
    [0n, 1n, 2n].map((n) => signed(alice, { nonce: n, to: counter })),
    alloc,
  );
  for (const [i, result] of results.entries()) {
    assert.ok(result.included);
    const write = result.writes.accounts.get(toHexKey(counter));
    assert.deepEqual(
      [...(write?.storage.entries() ?? [])].map(([slot, value]) => [BigInt(`0x${slot}`), bytesToBigInt(value)]),
      [[0n, BigInt(i + 1)]],
    );
    assert.equal(result.writes.accounts.get(toHexKey(alice.address))?.account?.nonce, BigInt(i + 1));
  }
});

test("calls that run at the same time do not disturb each other or a batch", async () => {
  const adder = plainAddress(0x105);
  const code = assemble(0, "CALLDATALOAD", 0, "SLOAD", "ADD", 0, "MSTORE", 32, 0, "RETURN");
  const storage = new Map([["00".repeat(32), bigIntToBytes(1_000n, 32)]]);
  const alloc: Alloc = [...funded, [adder, account({ nonce: 1n, code, storage })]];
  const reader = stateOf(alloc).reader();
  const batch = engine.executeBatch(
    testEnv(),
    Array.from({ length: 100 }, (_, i) => ({ ...signed(alice, { nonce: BigInt(i), to: bob.address }), l1FeeWei: 0n })),
    reader,
    30_000_000,
  );
  const calls = await Promise.all(
    Array.from({ length: 20 }, (_, i) =>
      engine.call(testEnv({ number: i }), call({ to: adder, data: bigIntToBytes(BigInt(i), 32) }), reader),
    ),
  );
  assert.deepEqual(
    calls.map((result) => bytesToBigInt(result.output)),
    calls.map((_, i) => BigInt(1_000 + i)),
  );
  assert.ok((await batch).every((result) => result.included && result.gasUsed === 21_000));
});

test("transient storage that a creation leaves behind does not reach the next transaction", async () => {
  // Copies slot 3 of transient storage to storage and sets it.
  const keeper = plainAddress(0x10a);
  const code = assemble(3, "TLOAD", 0, "SSTORE", 9, 3, "TSTORE");
  const init = assemble(0, 0, 0, 0, 0, keeper, 50_000, "CALL");
  const { results, after } = await run(
    [signed(alice, { nonce: 0n, data: init, gasLimit: 200_000n }), signed(alice, { nonce: 1n, to: keeper })],
    [...funded, [keeper, account({ nonce: 1n, code })]],
  );
  assert.ok(results.every((result) => result.included && result.status === 1));
  assert.deepEqual(after.storage(keeper, new Uint8Array(32)), new Uint8Array(32));
});

// EIP-7702

test("an authorization delegates, counts the authority's nonce up and is undone by the zero address", async () => {
  const target = plainAddress(0x106);
  const code = assemble("CALLER", 0, "SSTORE");
  const alloc: Alloc = [...funded, [target, account({ nonce: 1n, code })]];
  const authorize = (address: Uint8Array, n: bigint): ReturnType<typeof signAuthorization> =>
    signAuthorization({ chainId: BigInt(CHAIN_ID), address, nonce: n }, poor.secret);
  const { results, after } = await run(
    [
      signed(alice, {
        nonce: 0n,
        type: 4,
        to: poor.address,
        gasLimit: 200_000n,
        authorizations: [authorize(target, 0n)],
      }),
      signed(alice, { nonce: 1n, to: poor.address }),
    ],
    alloc,
  );
  assert.ok(results.every((result) => result.included && result.status === 1));
  const delegated = after.account(poor.address);
  assert.deepEqual(after.code(delegated?.codeHash as Uint8Array), concatBytes(fromHex("ef0100"), target));
  assert.equal(delegated?.nonce, 1n);
  assert.deepEqual(after.storage(poor.address, new Uint8Array(32)).slice(12), alice.address);

  const undone = await run(
    [
      signed(alice, {
        nonce: 0n,
        type: 4,
        to: bob.address,
        gasLimit: 200_000n,
        authorizations: [authorize(target, 0n), authorize(new Uint8Array(20), 1n), authorize(target, 7n)],
      }),
    ],
    alloc,
  );
  assert.deepEqual(undone.after.account(poor.address)?.codeHash, EMPTY_CODE_HASH);
  assert.equal(undone.after.account(poor.address)?.nonce, 2n);
});

// Calls

function call(p: Partial<CallInput>): CallInput {
  return {
    from: alice.address,
    to: undefined,
    data: new Uint8Array(0),
    valueWei: 0n,
    gasLimit: 1_000_000,
    gasPriceWei: 0n,
    intrinsicGas: true,
    ...p,
  };
}

async function callOn(code: Uint8Array, p: Partial<CallInput> = {}): Promise<CallResult> {
  const to = plainAddress(0x107);
  const reader = stateOf([...funded, [to, account({ nonce: 1n, code })]]).reader();
  return await engine.call(testEnv(), call({ to, ...p }), reader);
}

test("a call reports output, gas, refund, logs and writes, and keeps nothing", async () => {
  const result = await callOn(
    assemble(1, 0, "SSTORE", 0, 0, "SSTORE", 42, 0, "MSTORE", 9, 32, 0, "LOG1", 32, 0, "RETURN"),
  );
  assert.equal(result.status, "success");
  assert.equal(bytesToBigInt(result.output), 42n);
  assert.equal(result.logs.length, 1);
  assert.ok(result.gasRefunded > 0);
  assert.equal(result.error, undefined);
  assert.deepEqual([...result.writes.accounts.keys()], [toHexKey(alice.address)]);
});

test("a system call costs no intrinsic gas and leaves its caller alone", async () => {
  const result = await callOn(assemble(1, 0, "SSTORE"), { from: plainAddress(0xfe), intrinsicGas: false });
  assert.equal(result.gasUsed, 6 + 22_100);
  assert.deepEqual([...result.writes.accounts.keys()], [toHexKey(plainAddress(0x107))]);
});

test("a call fails in geth's words", async () => {
  const loop = assemble("JUMPDEST", 0, "JUMP");
  for (const [code, status, error] of [
    [assemble(0xaa, 0, "MSTORE", 1, 31, "REVERT"), "revert", "execution reverted"],
    [loop, "halt", "out of gas"],
    [assemble(7, "JUMP"), "halt", "invalid jump destination"],
    [Uint8Array.of(0x5b, ...assemble(1, 0, "JUMP")), "halt", "stack limit reached 1024 (1023)"],
  ] as const) {
    const result = await callOn(code);
    assert.deepEqual([result.status, result.error], [status, error]);
    assert.equal(result.status === "halt", result.gasUsed === 1_000_000);
  }
  assert.deepEqual([...(await callOn(assemble(0xaa, 0, "MSTORE", 1, 31, "REVERT"))).output], [0xaa]);
  assert.match((await callOn(assemble("INVALID"))).error ?? "", /^invalid opcode/);
  assert.match((await callOn(assemble("ADD"))).error ?? "", /^stack underflow/);
  const tooLittle = await callOn(assemble("STOP"), { gasLimit: 20_000 });
  assert.match(tooLittle.error ?? "", /^intrinsic gas too low/);
});

test("a call with a gas price pays for its gas and must be able to", async () => {
  const code = assemble("CALLER", "BALANCE", 0, "MSTORE", 32, 0, "RETURN");
  const result = await callOn(code, { gasPriceWei: GWEI });
  assert.equal(bytesToBigInt(result.output), 10n ** 18n - 1_000_000n * GWEI);
  const refused = await callOn(code, { from: poor.address, gasPriceWei: 1n });
  assert.equal(refused.status, "halt");
  assert.match(refused.error ?? "", /^insufficient funds for gas \* price \+ value/);
  const noValue = await callOn(code, { from: poor.address, valueWei: 1n });
  assert.match(noValue.error ?? "", /^insufficient funds for transfer/);
});

test("a call names the accounts and slots it touched that were cold", async () => {
  const other = plainAddress(0x108);
  const result = await callOn(assemble(3, "SLOAD", "POP", other, "BALANCE", "POP", alice.address, "BALANCE"));
  assert.deepEqual(
    result.accessed.map(({ address, slots }) => [toHexKey(address), slots.map(bytesToBigInt)]),
    [
      [toHexKey(plainAddress(0x107)), [3n]],
      [toHexKey(other), []],
    ],
  );
  const listed = await callOn(assemble(3, "SLOAD", "POP"), {
    accessList: [{ address: plainAddress(0x107), slots: [bigIntToBytes(3n, 32)] }],
  });
  const unlisted = await callOn(assemble(3, "SLOAD", "POP"));
  // The list costs 2,400 + 1,900 and makes a load of 2,100 one of 100.
  assert.equal(listed.gasUsed - unlisted.gasUsed, 2_400 + 1_900 - 2_000);
});

test("a call sees overrides given as an overlay, and can create", async () => {
  const to = plainAddress(0x109);
  const base = stateOf(funded).reader();
  const writes = emptyWrites();
  const code = assemble("SELFBALANCE", 1, "SLOAD", "ADD", 0, "MSTORE", 32, 0, "RETURN");
  const codeHash = new Uint8Array(32).fill(0xcc);
  writes.codes.set(toHexKey(codeHash), code);
  writes.accounts.set(toHexKey(to), {
    cleared: true,
    account: { nonce: 0n, balanceWei: 40n, codeHash },
    storage: new Map([[`${"00".repeat(31)}01`, bigIntToBytes(2n, 32)]]),
  });
  const result = await engine.call(testEnv(), call({ to }), new OverlayReader(base, [writes]));
  assert.equal(bytesToBigInt(result.output), 42n);

  const created = await engine.call(testEnv(), call({ data: assemble(0x6001, 0, "MSTORE", 2, 30, "RETURN") }), base);
  assert.deepEqual(created.output, fromHex("6001"));
  assert.ok(created.contractAddress !== undefined && created.writes.accounts.has(toHexKey(created.contractAddress)));
});

test("ecrecover runs natively and answers as specified", async () => {
  const precompile = new Uint8Array(20);
  precompile[19] = 1;
  const digest = new Uint8Array(32).fill(7);
  const reader = stateOf(funded).reader();
  const recover = async (input: Uint8Array): Promise<Uint8Array> =>
    (await engine.call(testEnv(), call({ to: precompile, data: input }), reader)).output;
  const { yParity, r, s } = signDigest(digest, alice.secret);
  const v = bigIntToBytes(BigInt(27 + yParity), 32);
  const good = concatBytes(digest, v, bigIntToBytes(r, 32), bigIntToBytes(s, 32));
  assert.deepEqual((await recover(good)).slice(12), addressOfPrivateKey(alice.secret));
  for (const bad of [
    concatBytes(digest, bigIntToBytes(29n, 32), good.slice(64)),
    concatBytes(digest, v, new Uint8Array(64)),
    concatBytes(digest, v, new Uint8Array(64).fill(0xff)),
    new Uint8Array(0),
  ])
    assert.equal((await recover(bad)).length, 0);
});
