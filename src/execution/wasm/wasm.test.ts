import assert from "node:assert/strict";
import { test } from "node:test";
import { bigIntToBytes, concatBytes, fromHex, toHex, toHexKey } from "../../base/bytes.ts";
import { keccak256 } from "../../protocol/keccak.ts";
import { addressOfPrivateKey } from "../../protocol/secp256k1.ts";
import { encodeDeposit, signTransaction, type TransactionFields } from "../../protocol/transaction-codec.ts";
import {
  type BlockEnv,
  type IncludedResult,
  MissingRead,
  type StateReader,
  type TxInput,
  type TxResult,
} from "../execution.ts";
import { EMPTY_CODE_HASH, World } from "./testing/world.ts";
import { WasmEngine } from "./wasm.ts";

const SECRET = new Uint8Array(32).fill(7);
const SENDER = addressOfPrivateKey(SECRET);
const RECIPIENT = fromHex("00000000000000000000000000000000c0ffee00");
const CONTRACT = fromHex("00000000000000000000000000000000c0de0001");
const COINBASE = fromHex("4200000000000000000000000000000000000011");

const ENV: BlockEnv = {
  chainId: 901,
  number: 10,
  timestamp: 1_700_000_000,
  gasLimit: 30_000_000,
  baseFeePerGasWei: 100n,
  blobBaseFeeWei: 1n,
  coinbase: COINBASE,
  prevRandao: new Uint8Array(32),
  fork: "prague",
  feePolicy: "op",
};

function worldWith(code: Uint8Array = new Uint8Array(0), balanceWei = 10n ** 18n): World {
  const world = new World((n) => keccak256(Uint8Array.of(n)));
  world.accounts.set(toHexKey(SENDER), { nonce: 0n, balanceWei, codeHash: EMPTY_CODE_HASH, storage: new Map() });
  const codeHash = code.length === 0 ? EMPTY_CODE_HASH : keccak256(code);
  if (code.length > 0) world.codes.set(toHexKey(codeHash), code);
  world.accounts.set(toHexKey(CONTRACT), { nonce: 1n, balanceWei: 0n, codeHash, storage: new Map() });
  return world;
}

function transaction(fields: Partial<TransactionFields> = {}): TxInput {
  const tx = signTransaction(
    {
      type: 2,
      chainId: 901,
      nonce: 0n,
      to: RECIPIENT,
      gasLimit: 100_000n,
      maxFeePerGasWei: 150n,
      maxPriorityFeePerGasWei: 3n,
      ...fields,
    },
    SECRET,
  );
  return { raw: tx.raw, sender: SENDER, l1FeeWei: 0n };
}

const engine = await WasmEngine.create();
const run = (world: StateReader, ...txs: TxInput[]): readonly TxResult[] =>
  engine.execute(ENV, txs, world, ENV.gasLimit);
function one(world: StateReader, tx: TxInput): IncludedResult {
  const [result] = run(world, tx);
  assert.ok(result?.included, `included, not ${JSON.stringify(result)}`);
  return result;
}
const balanceAfter = (result: IncludedResult, address: Uint8Array): bigint | undefined =>
  result.writes.accounts.get(toHexKey(address))?.account?.balanceWei;

test("OP fees go to the vaults and the coinbase, and the sender pays exactly their sum", () => {
  const result = one(worldWith(), { ...transaction({ valueWei: 5n }), l1FeeWei: 777n });
  assert.equal(result.gasUsed, 21_000);
  assert.equal(result.effectiveGasPriceWei, 103n);
  assert.equal(balanceAfter(result, RECIPIENT), 5n);
  assert.equal(balanceAfter(result, COINBASE), 3n * 21_000n);
  assert.equal(balanceAfter(result, fromHex("4200000000000000000000000000000000000019")), 100n * 21_000n);
  assert.equal(balanceAfter(result, fromHex("420000000000000000000000000000000000001a")), 777n);
  assert.equal(balanceAfter(result, SENDER), 10n ** 18n - 5n - 103n * 21_000n - 777n);
});

test("a value transfer is deltas with a predicate: no balance is a true read", () => {
  const result = one(worldWith(), transaction({ valueWei: 5n }));
  for (const read of result.reads ?? []) assert.equal(read.fields?.balance ?? false, false, toHex(read.address));
  const deltas = new Map((result.deltas ?? []).map((d) => [toHexKey(d.address), d]));
  const sender = deltas.get(toHexKey(SENDER));
  assert.equal(sender?.balanceAtLeastWei, 100_000n * 150n + 5n);
  assert.equal(sender?.nonceBefore, 0n);
  assert.equal(deltas.get(toHexKey(RECIPIENT))?.balanceDeltaWei, 5n);
  assert.equal(deltas.get(toHexKey(RECIPIENT))?.balanceAtLeastWei, 0n);
});

test("SELFBALANCE makes the balance a true read", () => {
  const result = one(worldWith(fromHex("4700")), transaction({ to: CONTRACT }));
  const read = (result.reads ?? []).find((r) => r.slot === undefined && toHexKey(r.address) === toHexKey(CONTRACT));
  assert.equal(read?.fields?.balance, true);
});

test("a batch carries state from one transaction to the next", () => {
  // slot 0 += 1
  const world = worldWith(fromHex("5f5460010160005500"));
  const results = run(
    world,
    transaction({ to: CONTRACT }),
    transaction({ to: CONTRACT, nonce: 1n }),
    transaction({ to: CONTRACT, nonce: 2n }),
  );
  const last = results[2];
  assert.ok(last?.included);
  const slot = last.writes.accounts.get(toHexKey(CONTRACT))?.storage.get("00".repeat(32));
  assert.equal(toHexKey(slot ?? new Uint8Array(0)), "03".padStart(64, "0"));
});

const invalid: [string, TxInput][] = [
  ["UNDECODABLE", { raw: Uint8Array.of(0xc0), sender: SENDER, l1FeeWei: 0n }],
  ["UNDECODABLE", { raw: new Uint8Array(0), sender: SENDER, l1FeeWei: 0n }],
  ["WRONG_CHAIN", transaction({ chainId: 5 })],
  ["NONCE_TOO_HIGH", transaction({ nonce: 1n })],
  ["FEE_BELOW_BASE", transaction({ maxFeePerGasWei: 99n })],
  ["INSUFFICIENT_FUNDS", transaction({ valueWei: 10n ** 18n })],
  ["INTRINSIC_GAS", transaction({ gasLimit: 20_999n })],
  ["GAS_LIMIT_EXCEEDED", transaction({ gasLimit: 30_000_001n })],
  ["INIT_CODE_TOO_LARGE", transaction({ to: undefined, data: new Uint8Array(49_153), gasLimit: 5_000_000n })],
];
for (const [reason, tx] of invalid)
  test(`an invalid transaction is skipped as ${reason} and leaves no trace`, () => {
    const good = transaction();
    const [skipped, after] = run(worldWith(), tx, good);
    assert.ok(skipped !== undefined && !skipped.included);
    assert.equal(skipped.reason, reason);
    assert.ok(after?.included);
    assert.deepEqual(after.writes, one(worldWith(), good).writes);
  });

test("bytes of a transaction cut or changed anywhere never break the engine", () => {
  const { raw } = transaction({ data: new Uint8Array(40).fill(9), accessList: [{ address: RECIPIENT, slots: [] }] });
  const world = worldWith();
  for (let i = 0; i < raw.length; i++) {
    run(world, { raw: raw.slice(0, i), sender: SENDER, l1FeeWei: 0n });
    for (const flip of [0x01, 0x80, 0xff]) {
      const bent = raw.slice();
      bent[i] = (bent[i] as number) ^ flip;
      run(world, { raw: bent, sender: SENDER, l1FeeWei: 0n });
    }
  }
  assert.equal(one(world, { raw, sender: SENDER, l1FeeWei: 0n }).status, 1);
});

test("a deposit mints first, and a failed one keeps mint and nonce", () => {
  const deposit = (valueWei: bigint): TxInput => {
    const { raw } = encodeDeposit({
      sourceHash: new Uint8Array(32),
      from: SENDER,
      to: RECIPIENT,
      mintWei: 1_000n,
      valueWei,
      gasLimit: 50_000n,
      isSystemTx: false,
      data: new Uint8Array(0),
    });
    return { raw, sender: SENDER, l1FeeWei: 0n };
  };
  const world = worldWith(new Uint8Array(0), 0n);
  const good = one(world, deposit(400n));
  assert.equal(good.status, 1);
  assert.equal(good.depositNonce, 0n);
  assert.equal(balanceAfter(good, SENDER), 600n);
  assert.equal(balanceAfter(good, RECIPIENT), 400n);
  const bad = one(world, deposit(1_001n));
  assert.equal(bad.status, 0);
  assert.equal(bad.gasUsed, 50_000);
  assert.equal(balanceAfter(bad, SENDER), 1_000n);
  assert.equal(bad.writes.accounts.get(toHexKey(SENDER))?.account?.nonce, 1n);
});

test("a missing read suspends the transaction, names the key, and leaves the engine ready", () => {
  const world = worldWith(fromHex("5f5460015500"));
  const missing = new Set(["slot"]);
  const reader: StateReader = {
    account: (address) => world.account(address),
    storage: (address, slot) => {
      if (missing.has("slot")) throw new MissingRead();
      return world.storage(address, slot);
    },
    code: (hash) => world.code(hash),
    blockHash: (n) => world.blockHash(n),
  };
  const txs = [transaction(), transaction({ to: CONTRACT, nonce: 1n })];
  const first = engine.executePartial(ENV, txs, reader, ENV.gasLimit);
  assert.equal(first.results.length, 1);
  assert.deepEqual(first.missing, { kind: "slot", address: CONTRACT, slot: new Uint8Array(32) });
  missing.clear();
  const second = engine.executePartial(ENV, txs, reader, ENV.gasLimit);
  assert.equal(second.missing, undefined);
  assert.deepEqual(
    second.results.map((r) => r.included && r.gasUsed),
    run(world, ...txs).map((r) => r.included && r.gasUsed),
  );
});

test("an error of the reader surfaces and does not poison the next batch", () => {
  const world = worldWith();
  const fault = new Error("disk gone");
  const broken: StateReader = {
    account: () => {
      throw fault;
    },
    storage: (a, s) => world.storage(a, s),
    code: (h) => world.code(h),
    blockHash: (n) => world.blockHash(n),
  };
  assert.throws(() => run(broken, transaction()), fault);
  assert.equal(one(world, transaction()).status, 1);
});

test("a batch larger than the input region is cut and gives the same results", () => {
  const world = worldWith();
  const data = new Uint8Array(120_000);
  const txs = Array.from({ length: 300 }, (_, i) =>
    transaction({ nonce: BigInt(i), data, gasLimit: 1_300_000n, maxFeePerGasWei: 100n, maxPriorityFeePerGasWei: 0n }),
  );
  const results = engine.execute({ ...ENV, gasLimit: 1_000_000_000 }, txs, world, 1_000_000_000);
  assert.equal(results.length, 300);
  for (const result of results) assert.ok(result.included && result.status === 1);
});

test("a call answers with output, error in geth's words, and what it touched", () => {
  // returns slot 5
  const world = worldWith(fromHex("6005545f5260205ff3"));
  world.accounts.get(toHexKey(CONTRACT))?.storage.set("05".padStart(64, "0"), bigIntToBytes(42n, 32));
  const call = {
    from: SENDER,
    to: CONTRACT,
    data: new Uint8Array(0),
    valueWei: 0n,
    gasLimit: 1_000_000,
    gasPriceWei: 0n,
    intrinsicGas: true,
  };
  const good = engine.callNow(ENV, call, world);
  assert.equal(good.status, "success");
  assert.deepEqual(good.output, bigIntToBytes(42n, 32));
  assert.ok(good.accessed.some((a) => toHexKey(a.address) === toHexKey(CONTRACT) && a.slots.length === 1));
  const poor = engine.callNow(ENV, { ...call, gasLimit: 22_000 }, world);
  assert.equal(poor.status, "halt");
  assert.equal(poor.error, "out of gas");
  const revert = worldWith(fromHex("5f5ffd"));
  assert.equal(engine.callNow(ENV, call, revert).status, "revert");
});

test("code deeper than the call limit stops at 1024 frames without touching the native stack", () => {
  // calls itself with all gas, then returns
  const code = concatBytes(fromHex("5f5f5f5f5f73"), CONTRACT, fromHex("5af100"));
  const world = worldWith(code);
  const call = {
    from: SENDER,
    to: CONTRACT,
    data: new Uint8Array(0),
    valueWei: 0n,
    gasLimit: 2_000_000_000_000,
    gasPriceWei: 0n,
    intrinsicGas: false,
  };
  assert.equal(engine.callNow(ENV, call, world).status, "success");
});
