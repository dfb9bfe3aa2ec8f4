/**
 * Whole transactions through the engine and through `@ethereumjs/vm`, which shares the opcodes and nothing around them:
 * the same inclusion, gas, status, logs and, after all of them, the same state root.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { concatBytes, toHex } from "../base/bytes.ts";
import { emptyWrites, mergeWrites } from "../protocol/state-writes.ts";
import { signAuthorization, type TransactionFields } from "../protocol/transaction-codec.ts";
import { EthereumjsEngine } from "./ethereumjs-engine.ts";
import type { Fork, TxInput } from "./execution.ts";
import { logsKey, VmPeer } from "./testing/vm-peer.ts";
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
import { isFork } from "./transaction-rules.ts";

const keys = testKeys(4);
const contracts = [1, 2, 3].map(plainAddress);
const coinbase = plainAddress(0xcb);
/** Whom programs and transactions talk to: senders, contracts, an account that is not there, precompiles. */
const targets = [
  ...keys.map((key) => key.address),
  ...contracts,
  plainAddress(99),
  coinbase,
  ...[1, 2, 3, 4, 5, 9].map(precompile),
];

function precompile(number: number): Uint8Array {
  const address = new Uint8Array(20);
  address[19] = number;
  return address;
}

const target = fc.constantFrom(...targets);
const small = fc.integer({ min: 0, max: 3 });

const initCode = fc.constantFrom(
  new Uint8Array(0),
  assemble(0x6001, 0, "MSTORE", 2, 30, "RETURN"),
  assemble(0, 0, "REVERT"),
  assemble("INVALID"),
  assemble(1, 0, "SSTORE", "CALLER", "SELFDESTRUCT"),
  assemble(0xef, 0, "MSTORE8", 1, 0, "RETURN"),
  // Leaves a contract that destroys itself for its caller: 33ff.
  assemble(0x33ff, 0, "MSTORE", 2, 30, "RETURN"),
);

/** Runs `code` of at most 32 bytes from memory as init code. */
function create(code: Uint8Array, valueWei: number, salt: number | undefined): Uint8Array {
  const word = new Uint8Array(32);
  word.set(code);
  const store = assemble(word, 0, "MSTORE");
  return salt === undefined
    ? concatBytes(store, assemble(code.length, 0, valueWei, "CREATE"))
    : concatBytes(store, assemble(salt, code.length, 0, valueWei, "CREATE2"));
}

const snippet = fc.oneof(
  fc.tuple(small, small).map(([slot, value]) => assemble(value, slot, "SSTORE")),
  fc.tuple(small, small).map(([slot, value]) => assemble(value, slot, "TSTORE")),
  small.map((slot) => assemble(slot, "SLOAD", "POP")),
  small.map((slot) => assemble(slot, "TLOAD", slot, "SSTORE")),
  // Gas left becomes state: any difference in gas shows in the root.
  small.map((slot) => assemble("GAS", slot, "SSTORE")),
  fc
    .constantFrom("BALANCE" as const, "EXTCODESIZE" as const, "EXTCODEHASH" as const)
    .chain((op) => target.map((address) => assemble(address, op, 3, "SSTORE"))),
  fc
    .constantFrom(
      "SELFBALANCE",
      "COINBASE",
      "PREVRANDAO",
      "BASEFEE",
      "CHAINID",
      "NUMBER",
      "GASPRICE",
      "ORIGIN",
      "CALLER",
      "CALLVALUE",
    )
    .map((op) => assemble(op as "CALLER", 2, "SSTORE")),
  fc
    .tuple(target, small, fc.integer({ min: 0, max: 60_000 }))
    .map(([address, valueWei, gas]) => assemble(32, 0, 32, 0, valueWei, address, gas, "CALL", 1, "SSTORE")),
  fc
    .tuple(target, small)
    .map(([address, valueWei]) => assemble(0, 0, 0, 0, valueWei, address, 50_000, "CALLCODE", "POP")),
  target.map((address) => assemble(0, 0, 0, 0, address, 50_000, "DELEGATECALL", "POP")),
  target.map((address) => assemble(0, 0, 0, 0, address, 50_000, "STATICCALL", "RETURNDATASIZE", "ADD", 0, "SSTORE")),
  fc
    .tuple(initCode, small)
    .map(([code, valueWei]) => concatBytes(create(code, valueWei, undefined), assemble(0, "SSTORE"))),
  fc.tuple(initCode, small, small).map(([code, valueWei, salt]) => {
    // Create, then call what was created: creation and destruction in one transaction.
    const call = assemble(0, 0, 0, 0, 0);
    return concatBytes(create(code, valueWei, salt), call, Uint8Array.of(0x85), assemble("GAS", "CALL", "POP", "POP"));
  }),
  fc.tuple(small, small).map(([size, topic]) => assemble(topic, size, 0, "LOG1")),
  target.map((address) => assemble(8, 0, 0, address, "EXTCODECOPY", 0, "MLOAD", 0, "SSTORE")),
  fc.constantFrom(assemble(64, 0, "KECCAK256", 3, "SSTORE"), assemble(32, 0, 32, "MCOPY"), assemble("STOP")),
  fc.constantFrom(assemble(0, 0, "REVERT"), assemble("INVALID"), assemble(1, "JUMP"), assemble("ADD")),
  target.map((address) => assemble(address, "SELFDESTRUCT")),
);

/** The snippets that end a program are rare among the others. */
const program = fc.array(snippet, { minLength: 1, maxLength: 12 }).map((parts) => concatBytes(...parts));

const accessList = fc.array(
  fc.record({
    address: target,
    slots: fc.array(
      small.map((slot) => new Uint8Array(32).fill(slot, 31)),
      { maxLength: 2 },
    ),
  }),
  { maxLength: 2 },
);

const authorization = fc
  .record({
    authority: fc.constantFrom(...keys),
    address: fc.oneof(target, fc.constant(new Uint8Array(20))),
    nonce: fc.bigInt(0n, 3n),
    chainId: fc.constantFrom(0n, BigInt(CHAIN_ID), 5n),
  })
  .map(({ authority, ...fields }) => signAuthorization(fields, authority.secret));

/** The first value nine times out of ten, the others now and then. */
function mostly<T>(first: T, ...others: readonly T[]): fc.Arbitrary<T> {
  return fc.oneof(
    { weight: 9 * others.length, arbitrary: fc.constant(first) },
    ...others.map((value) => fc.constant(value)),
  );
}

const transaction = fc.record({
  sender: fc.nat(keys.length - 1),
  type: fc.constantFrom<0 | 1 | 2 | 4>(0, 1, 2, 4),
  nonceShift: mostly(0n, 1n),
  to: fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom(...contracts) },
    { weight: 2, arbitrary: target },
    fc.constant(undefined),
  ),
  valueWei: mostly(0n, 1n, 1_000n, 10n ** 30n),
  data: fc.oneof(program, fc.uint8Array({ maxLength: 80 }), fc.constant(new Uint8Array(900).fill(1))),
  gasLimit: mostly(1_000_000n, 250_000n, 120_000n, 60_000n, 25_000n, 21_000n),
  maxFeePerGasWei: mostly(5_000_000_000n, 1_000_000_000n, 999_999_999n),
  maxPriorityFeePerGasWei: fc.constantFrom(0n, 7n, 999_999_999n),
  accessList,
  authorizations: fc.array(authorization, { minLength: 1, maxLength: 3 }),
});

const scenario = fc.record({
  programs: fc.tuple(program, program, program),
  txs: fc.array(transaction, { minLength: 2, maxLength: 8 }),
});

type Scenario = typeof scenario extends fc.Arbitrary<infer T> ? T : never;

function fieldsOf(tx: Scenario["txs"][number], nonce: bigint): TransactionFields {
  const { type } = tx;
  return {
    type,
    chainId: CHAIN_ID,
    nonce: nonce + tx.nonceShift,
    to: type === 4 ? (tx.to ?? contracts[0]) : tx.to,
    valueWei: tx.valueWei,
    data: tx.data,
    gasLimit: tx.gasLimit,
    maxFeePerGasWei: tx.maxFeePerGasWei,
    ...(type === 2 || type === 4 ? { maxPriorityFeePerGasWei: tx.maxPriorityFeePerGasWei } : {}),
    ...(type === 0 ? {} : { accessList: tx.accessList }),
    ...(type === 4 ? { authorizations: tx.authorizations } : {}),
  };
}

/** What the runs came across, so that a test that went blind fails. */
type Seen = { included: number; skipped: number; failed: number; logs: number; codes: number; destroyed: number };

async function assertAgrees({ programs, txs }: Scenario, fork: Fork, seen: Seen): Promise<void> {
  const slot = (n: number): string => n.toString(16).padStart(64, "0");
  const alloc: Alloc = [
    ...keys.map((key) => [key.address, account({ balanceWei: 10n ** 18n })] as const),
    ...contracts.map((address, i) => {
      const code = programs[i] as Uint8Array;
      const storage = new Map([[slot(1), new Uint8Array(32).fill(1, 31)]]);
      return [address, account({ nonce: 1n, balanceWei: 1_000n, code, storage })] as const;
    }),
  ];
  const env = testEnv({ fork, feePolicy: "ethereum", coinbase });
  const peer = await VmPeer.create(env, alloc);
  const state = stateOf(alloc);
  const engine = new EthereumjsEngine();

  // The peer goes first, because nonces follow from what it includes; the engine then gets all in one batch.
  const inputs: TxInput[] = [];
  const expected: Awaited<ReturnType<VmPeer["run"]>>[] = [];
  for (const tx of txs) {
    const key = keys[tx.sender] as (typeof keys)[number];
    const fields = fieldsOf(tx, await peer.nonce(key.address));
    if ((fields.maxPriorityFeePerGasWei ?? 0n) > fields.maxFeePerGasWei) continue;
    const { raw } = signed(key, fields);
    const result = await peer.run(raw);
    inputs.push({ raw, sender: key.address, l1FeeWei: 0n });
    expected.push(result);
  }
  const results = await engine.executeBatch(env, inputs, state.reader(), env.gasLimit);
  const writes = emptyWrites();
  for (const [i, result] of results.entries()) {
    const peerResult = expected[i];
    assert.ok(peerResult !== undefined);
    assert.equal(result.included, peerResult.included, `inclusion of ${i}: ${result.included ? "" : result.reason}`);
    if (!result.included || !peerResult.included) {
      seen.skipped++;
      continue;
    }
    seen.included++;
    seen.failed += 1 - result.status;
    seen.logs += result.logs.length;
    seen.codes += result.writes.codes.size;
    seen.destroyed += [...result.writes.accounts.values()].filter((write) => write.account === undefined).length;
    assert.equal(result.gasUsed, peerResult.gasUsed, `gas of ${i}`);
    assert.equal(result.status, peerResult.status, `status of ${i}`);
    assert.equal(logsKey(result.logs), peerResult.logs, `logs of ${i}`);
    mergeWrites(writes, result.writes);
  }
  assert.equal(toHex(state.prepare(writes).stateRoot), toHex(await peer.stateRoot()), "state root");
}

for (const [fork, runs] of [
  ["prague", 200],
  ["osaka", 40],
  ["cancun", 25],
  ["shanghai", 40],
  ["london", 25],
] as const)
  test(`random transactions of all types agree with @ethereumjs/vm on ${fork}`, { timeout: 300_000 }, async (t) => {
    const seen: Seen = { included: 0, skipped: 0, failed: 0, logs: 0, codes: 0, destroyed: 0 };
    await fc.assert(
      fc.asyncProperty(scenario, async (drawn) => {
        const txs = isFork(fork, "prague") ? drawn.txs : drawn.txs.filter((tx) => tx.type !== 4);
        await assertAgrees({ ...drawn, txs }, fork, seen);
      }),
      { numRuns: runs },
    );
    t.diagnostic(JSON.stringify(seen));
    assert.ok(seen.included > seen.skipped && seen.included > 2 * runs, "most transactions are included");
    if (runs >= 100) assert.ok(seen.failed > 0 && seen.logs > 0 && seen.codes > 0, "failures, logs, creations occur");
  });
