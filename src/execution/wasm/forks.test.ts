/** What each fork brought, on the engine and on @ethereumjs/evm, to the unit of gas. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { p256 } from "@noble/curves/nist.js";
import { bigIntToBytes, concatBytes, fromHex, toHexKey } from "../../base/bytes.ts";
import { keccak256 } from "../../protocol/keccak.ts";
import { addressOfPrivateKey } from "../../protocol/secp256k1.ts";
import { signAuthorization, signTransaction, type TransactionFields } from "../../protocol/transaction-codec.ts";
import { EthereumjsEngine } from "../ethereumjs-engine.ts";
import type { BlockEnv, Fork, TxInput, TxResult } from "../execution.ts";
import { isFork } from "../transaction-rules.ts";
import { compareEngines } from "./testing/compare.ts";
import { EMPTY_CODE_HASH, World } from "./testing/world.ts";
import { WasmEngine } from "./wasm.ts";

const FORKS: readonly Fork[] = ["london", "paris", "shanghai", "cancun", "prague", "osaka"];
const SECRET = new Uint8Array(32).fill(7);
const SENDER = addressOfPrivateKey(SECRET);
const CONTRACT = fromHex("00000000000000000000000000000000c0de0001");
const COINBASE = fromHex("00000000000000000000000000000000c01b0001");

const own = await WasmEngine.create();
const peer = new EthereumjsEngine();
after(() => peer.close());

function envOf(fork: Fork): BlockEnv {
  return {
    chainId: 1,
    number: 1_000,
    timestamp: 1_700_000_000,
    gasLimit: 60_000_000,
    baseFeePerGasWei: 7n,
    blobBaseFeeWei: 3n,
    coinbase: COINBASE,
    prevRandao: new Uint8Array(32).fill(0x44),
    fork,
    feePolicy: "ethereum",
  };
}

function worldWith(code: Uint8Array): World {
  const world = new World((n) => keccak256(Uint8Array.of(n & 0xff, n >> 8)));
  const codeHash = keccak256(code);
  world.codes.set(toHexKey(codeHash), code);
  world.accounts.set(toHexKey(CONTRACT), { nonce: 1n, balanceWei: 5n, codeHash, storage: new Map() });
  world.accounts.set(toHexKey(SENDER), {
    nonce: 0n,
    balanceWei: 10n ** 20n,
    codeHash: EMPTY_CODE_HASH,
    storage: new Map(),
  });
  return world;
}

function transaction(fields: Partial<TransactionFields> = {}): TxInput {
  const type = fields.type ?? 2;
  const { raw } = signTransaction(
    { type, chainId: 1, nonce: 0n, to: CONTRACT, gasLimit: 1_000_000n, maxFeePerGasWei: 20n, ...fields },
    SECRET,
  );
  return { raw, sender: SENDER, l1FeeWei: 0n };
}

/** Runs it on both engines; they must agree on everything. */
async function onBoth(fork: Fork, world: World, tx: TxInput): Promise<TxResult> {
  const env = envOf(fork);
  assert.equal(await compareEngines(own, peer, { env, world, txs: [tx] }), undefined, fork);
  const [result] = own.execute(env, [tx], world, env.gasLimit);
  assert.ok(result !== undefined);
  return result;
}

const succeeds = (result: TxResult): boolean => result.included && result.status === 1;

const opcodes: readonly [what: string, since: Fork, code: string][] = [
  ["BASEFEE (EIP-3198)", "london", "4800"],
  ["PREVRANDAO or DIFFICULTY (EIP-4399)", "london", "4460005500"],
  ["PUSH0 (EIP-3855)", "shanghai", "5f00"],
  ["TSTORE and TLOAD (EIP-1153)", "cancun", "6005600160035d60035c60005500"],
  ["MCOPY (EIP-5656)", "cancun", "60aa6000526020600160005e00"],
  ["BLOBHASH (EIP-4844)", "cancun", "60004900"],
  ["BLOBBASEFEE (EIP-7516)", "cancun", "4a60005500"],
  ["CLZ of zero (EIP-7939)", "osaka", "60001e60005500"],
  ["CLZ of all ones (EIP-7939)", "osaka", "6000191e60005500"],
  ["CLZ of one in each limb (EIP-7939)", "osaka", "60011e60005568010000000000000000001e600155"],
];
for (const [what, since, code] of opcodes)
  test(`${what} works from ${since} on`, async () => {
    for (const fork of FORKS) {
      const result = await onBoth(fork, worldWith(fromHex(code)), transaction());
      assert.equal(succeeds(result), isFork(fork, since), fork);
    }
  });

/** Forwards its calldata to `address` and stores success and the hash of the output. */
function forwardTo(address: number): Uint8Array {
  const push = (n: number): string => `61${n.toString(16).padStart(4, "0")}`;
  return fromHex(
    `3660006000376000600036600060006000${push(address)}5af1600055` +
      // RETURNDATACOPY, KECCAK256, SSTORE
      "3d60006000" +
      "3e3d60002060015500",
  );
}

const secondsOf = (value: bigint): Uint8Array => bigIntToBytes(value, 32);
const g1 = bigIntToBytes(
  0x17f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bbn,
  64,
);
const g1y = bigIntToBytes(
  0x08b3f481e3aaa0f1a09e30ed741d8ae4fcf5e095d5d00af600db18cb2c04b3edd03cc744a2888ae40caa232946c5e7e1n,
  64,
);

const p256Key = p256.utils.randomSecretKey(new Uint8Array(48).fill(5));
const p256Digest = keccak256(Uint8Array.of(1, 2, 3));
const p256Input = concatBytes(
  p256Digest,
  p256.sign(p256Digest, p256Key, { prehash: false, lowS: false }),
  p256.getPublicKey(p256Key, false).subarray(1),
);

const precompiles: readonly [what: string, since: Fork, address: number, input: Uint8Array][] = [
  ["BLAKE2F", "london", 9, new Uint8Array(213)],
  ["point evaluation of nothing (EIP-4844)", "cancun", 0x0a, new Uint8Array(192)],
  ["BLS12-381 addition (EIP-2537)", "prague", 0x0b, concatBytes(g1, g1y, g1, g1y)],
  ["BLS12-381 multiplication (EIP-2537)", "prague", 0x0c, concatBytes(g1, g1y, secondsOf(5n))],
  ["BLS12-381 map to the curve (EIP-2537)", "prague", 0x10, bigIntToBytes(77n, 64)],
  ["P256VERIFY (EIP-7951)", "osaka", 0x100, p256Input],
  ["P256VERIFY of a wrong digest (EIP-7951)", "osaka", 0x100, concatBytes(secondsOf(1n), p256Input.subarray(32))],
  ["P256VERIFY of short input (EIP-7951)", "osaka", 0x100, p256Input.subarray(0, 159)],
];
for (const [what, since, address, input] of precompiles)
  test(`the precompile ${what} is there from ${since} on`, async () => {
    const gas = new Map<boolean, number>();
    for (const fork of FORKS) {
      const result = await onBoth(fork, worldWith(forwardTo(address)), transaction({ data: input }));
      assert.ok(result.included);
      gas.set(isFork(fork, since), result.gasUsed);
    }
    if (since !== "london") assert.notEqual(gas.get(true), gas.get(false), "it costs something once it is there");
  });

test("P256VERIFY answers one for a good signature and nothing for others", async () => {
  for (const [input, expected] of [
    [p256Input, "01".padStart(64, "0")],
    [concatBytes(secondsOf(1n), p256Input.subarray(32)), ""],
  ] as const) {
    const answer = own.callNow(
      envOf("osaka"),
      {
        from: SENDER,
        to: bigIntToBytes(0x100n, 20),
        data: input,
        valueWei: 0n,
        gasLimit: 100_000,
        gasPriceWei: 0n,
        intrinsicGas: false,
      },
      worldWith(Uint8Array.of(0)),
    );
    assert.equal(answer.gasUsed, 6_900);
    assert.equal(toHexKey(answer.output), expected);
  }
});

test("MODEXP costs and is bounded as each fork says (EIP-2565, 7823, 7883)", async () => {
  const lengths = [0n, 1n, 31n, 32n, 33n, 64n, 1024n, 1025n];
  const exponents = [new Uint8Array(0), Uint8Array.of(0, 1), new Uint8Array(33).fill(0xff), new Uint8Array(40)];
  let refusedInOsaka = 0;
  for (const base of lengths)
    for (const modulus of [0n, 1n, 32n, 33n, 1025n])
      for (const exponent of exponents) {
        const input = concatBytes(
          secondsOf(base),
          secondsOf(BigInt(exponent.length)),
          secondsOf(modulus),
          new Uint8Array(Number(base)).fill(3),
          exponent,
          new Uint8Array(Number(modulus)).fill(7),
        );
        const gas: number[] = [];
        for (const fork of ["prague", "osaka"] as const) {
          const tx = transaction({ data: input, gasLimit: 16_000_000n });
          const result = await onBoth(fork, worldWith(forwardTo(5)), tx);
          assert.ok(result.included);
          gas.push(result.gasUsed);
        }
        if (base > 1024n || modulus > 1024n) refusedInOsaka++;
        assert.ok((gas[1] as number) >= (gas[0] as number), "nothing got cheaper");
      }
  assert.ok(refusedInOsaka > 0);
});

test("lengths near 2^32, 2^63 and 2^256 end MODEXP as on the peer", async () => {
  for (const base of [2n ** 32n - 1n, 2n ** 32n, 2n ** 63n, 2n ** 256n - 1n])
    for (const exponent of [0n, 1n, 2n ** 64n])
      for (const modulus of [0n, 1n, 2n ** 32n])
        for (const fork of ["london", "osaka"] as const)
          for (const [a, b, c] of [
            [base, exponent, modulus],
            [exponent, modulus, base],
            [modulus, base, exponent],
          ] as const) {
            const input = concatBytes(secondsOf(a), secondsOf(b), secondsOf(c), Uint8Array.of(3, 1, 2));
            await onBoth(fork, worldWith(forwardTo(5)), transaction({ data: input }));
          }
});

const transactions: readonly [what: string, since: Fork, fields: Partial<TransactionFields>][] = [
  ["type 1 (EIP-2930)", "london", { type: 1, maxPriorityFeePerGasWei: 20n }],
  ["type 2 (EIP-1559)", "london", { type: 2 }],
  [
    "type 3 (EIP-4844)",
    "cancun",
    { type: 3, maxFeePerBlobGasWei: 5n, blobHashes: [concatBytes(Uint8Array.of(1), new Uint8Array(31))] },
  ],
  [
    "type 4 (EIP-7702)",
    "prague",
    {
      type: 4,
      authorizations: [signAuthorization({ chainId: 1n, address: CONTRACT, nonce: 0n }, new Uint8Array(32).fill(9))],
    },
  ],
];
for (const [what, since, fields] of transactions)
  test(`a transaction of ${what} is taken from ${since} on`, async () => {
    for (const fork of FORKS) {
      const result = await onBoth(fork, worldWith(fromHex("00")), transaction(fields));
      assert.equal(result.included, isFork(fork, since), fork);
      if (!result.included) assert.equal(result.reason, "UNSUPPORTED_TYPE");
    }
  });

test("gas rules change with their forks: warm coinbase, calldata floor, gas cap, init code, self-destruct", async () => {
  const data = new Uint8Array(2_000).fill(1);
  // BALANCE of the coinbase (EIP-3651)
  const warm = worldWith(concatBytes(Uint8Array.of(0x73), COINBASE, fromHex("3100")));
  const destroys = worldWith(concatBytes(Uint8Array.of(0x73), SENDER, Uint8Array.of(0xff)));
  for (const fork of FORKS) {
    const gasOf = (result: TxResult): number => (result.included ? result.gasUsed : -1);
    const coinbase = gasOf(await onBoth(fork, warm, transaction()));
    assert.equal(coinbase, 21_003 + (isFork(fork, "shanghai") ? 100 : 2_600), `coinbase, ${fork}`);
    const floor = gasOf(await onBoth(fork, worldWith(fromHex("00")), transaction({ data })));
    assert.equal(floor, 21_000 + 2_000 * (isFork(fork, "prague") ? 40 : 16), `calldata, ${fork}`);
    const capped = await onBoth(fork, worldWith(fromHex("00")), transaction({ gasLimit: 16_777_217n }));
    assert.equal(capped.included, !isFork(fork, "osaka"), `gas cap, ${fork}`);
    assert.ok((await onBoth(fork, worldWith(fromHex("00")), transaction({ gasLimit: 16_777_216n }))).included);
    const large = transaction({ to: undefined, data: new Uint8Array(49_153), gasLimit: 3_000_000n });
    assert.equal((await onBoth(fork, warm, large)).included, !isFork(fork, "shanghai"), `init code, ${fork}`);
    const gone = await onBoth(fork, destroys, transaction());
    assert.ok(gone.included);
    const write = gone.writes.accounts.get(toHexKey(CONTRACT));
    assert.equal(write?.cleared, !isFork(fork, "cancun"), `self-destruct, ${fork}`);
  }
});

test("a creation that reverts with data beginning with 0xef keeps its gas (EIP-3541 is about code)", async () => {
  const init = fromHex("60ef60005360206000fd");
  for (const fork of FORKS) {
    const result = await onBoth(fork, worldWith(fromHex("00")), transaction({ to: undefined, data: init }));
    assert.ok(result.included && result.status === 0);
    assert.ok(result.gasUsed < 60_000, `${result.gasUsed}`);
    assert.equal(result.output.length, 32);
    const deployed = fromHex("60ef60005360206000f3");
    const refused = await onBoth(fork, worldWith(fromHex("00")), transaction({ to: undefined, data: deployed }));
    assert.ok(refused.included && refused.status === 0 && refused.gasUsed === 1_000_000);
  }
});
