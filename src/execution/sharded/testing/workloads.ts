/**
 * Owns seeded workloads for sharded execution: M1 as mainnet (45% transfers of ether, some by sweepers; 30% of tokens,
 * three of them hot; 15% swaps over one to three pools by Zipf, two in five with wrapped ether; 7% other calls; 3% of
 * more than 500,000 gas; gas and speed of each class as in recorded mainnet blocks), B1 as Base (half of the gas in probes that read pools), H1 hostile (one pool, readers
 * of their own balance, drains to the wei, creation and destruction at one address, gas to the limit, wide writes, wrong
 * nonces), U1 disjoint and compute-heavy, only as an upper bound.
 */
import { bigIntToBytes, concatBytes, fromHex, toHexKey } from "../../../base/bytes.ts";
import { keccak256 } from "../../../protocol/keccak.ts";
import { addressOfPrivateKey } from "../../../protocol/secp256k1.ts";
import { signTransaction } from "../../../protocol/transaction-codec.ts";
import type { TxInput } from "../../execution.ts";
import { assemble, testEnv } from "../../testing/world.ts";
import type { Random } from "../../wasm/testing/random-program.ts";
import { EMPTY_CODE_HASH, World } from "../../wasm/testing/world.ts";
import type { EpochCase } from "./adversary.ts";

export const PROFILES = ["M1", "B1", "H1", "U1"] as const;
export type Profile = (typeof PROFILES)[number];

const CHAIN_ID = 901;
const TOKENS = 12;
const POOLS = 200;
const ETHER = 10n ** 18n;
const SELECTOR = fromHex("a9059cbb");

const word = (value: number | bigint): Uint8Array => bigIntToBytes(BigInt(value), 32);
const contract = (kind: number, number: number): Uint8Array =>
  fromHex(`c0de${kind.toString(16).padStart(4, "0")}${number.toString(16).padStart(32, "0")}`);
const padded = (address: Uint8Array): Uint8Array => concatBytes(new Uint8Array(12), address);
/** Slot of an address in the mapping at slot 0. */
const balanceSlot = (address: Uint8Array): Uint8Array => keccak256(concatBytes(padded(address), new Uint8Array(32)));

/** Slot of the address on the stack's top in the mapping at slot 0. */
const MAPPED = [0, "MSTORE", 64, 0, "KECCAK256"] as const;
const LOG_AMOUNT = [36, "CALLDATALOAD", 0, "MSTORE", 0xddf252ad, 32, 0, "LOG1", "STOP"] as const;

/** transfer(to, amount). */
const TOKEN_CODE = assemble(
  ...(["CALLER", ...MAPPED, "DUP1", "SLOAD", 36, "CALLDATALOAD", "SWAP1", "SUB", "SWAP1", "SSTORE"] as const),
  ...([4, "CALLDATALOAD", ...MAPPED, "DUP1", "SLOAD", 36, "CALLDATALOAD", "ADD", "SWAP1", "SSTORE"] as const),
  ...LOG_AMOUNT,
);
/** Without call data its first reserve; with (selector, amount) a swap on both reserves and the caller's balance. */
const POOL_CODE = assemble(
  ...(["CALLDATASIZE", 15, "JUMPI", 0, "SLOAD", 0, "MSTORE", 32, 0, "RETURN", "JUMPDEST"] as const),
  ...([0, "SLOAD", 4, "CALLDATALOAD", "ADD", 0, "SSTORE", 4, "CALLDATALOAD", 1, "SLOAD", "SUB", 1, "SSTORE"] as const),
  ...(["CALLER", ...MAPPED, "DUP1", "SLOAD", 4, "CALLDATALOAD", "ADD", "SWAP1", "SSTORE"] as const),
  ...LOG_AMOUNT,
);
const PROBED = 5;
/** Reads the pools named in the call and burns some gas on what it read. */
const PROBE_CODE = assemble(
  ...Array.from(
    { length: PROBED },
    (_, i) =>
      [32, 0, 0, 0, 4 + 32 * i, "CALLDATALOAD", "GAS", "STATICCALL", "POP", 2048, 0, "KECCAK256", "POP"] as const,
  ).flat(),
  "STOP",
);
/** Withdraws for (selector, amount); else deposits for the address in the call, or the caller. */
const WITHDRAW = [
  ...(["CALLER", ...MAPPED, "DUP1", "SLOAD", 4, "CALLDATALOAD", "SWAP1", "SUB", "SWAP1", "SSTORE"] as const),
  ...([0, 0, 0, 0, 4, "CALLDATALOAD", "CALLER", "GAS", "CALL", "POP", "STOP"] as const),
];
const DEPOSIT = [
  ...([0, "CALLDATALOAD", "CALLDATASIZE", "ISZERO", "CALLER", "MUL", "ADD", ...MAPPED] as const),
  ...(["DUP1", "SLOAD", "CALLVALUE", "ADD", "SWAP1", "SSTORE", "STOP"] as const),
];
const WRAPPED_CODE = assemble(
  ...(["CALLDATASIZE", 32, "LT", 7 + assemble(...DEPOSIT).length, "JUMPI"] as const),
  ...DEPOSIT,
  "JUMPDEST",
  ...WITHDRAW,
);
const HOPS_MAX = 3;
/** Number of the contract that heavy calls go to. */
const HEAVY_ROUTER = 2 * HOPS_MAX + 1;
const ROUND_STEPS = 280;
const ROUND_HASHES = 5;
/** Gas of a round of {@link routerCode}, about. */
const ROUND_GAS = 18_000;
/**
 * Does `rounds` of work of the caller's own (each reads a slot and calculates: about as many slots and as much time per
 * gas as heavy calls of mainnet), then swaps over `hops` pools; with `isWrapping` it wraps what was sent for the first.
 * The call: selector, rounds, amount, pools.
 */
function routerCode(hops: number, isWrapping: boolean): Uint8Array {
  const round = [
    ...([4, "CALLDATALOAD", "JUMPDEST", "DUP1", 0, "MSTORE", "CALLER", 32, "MSTORE", 64, 0, "KECCAK256"] as const),
    ...(["SLOAD", 96, "MSTORE"] as const),
    ...Array.from({ length: ROUND_HASHES }, () => [1024, 0, "KECCAK256", "POP"] as const).flat(),
    ROUND_STEPS,
  ];
  return assemble(
    ...round,
    ...(["JUMPDEST", "DUP1", "DUP1", "MUL", 96, "MLOAD", "ADD", 96, "MSTORE"] as const),
    ...([1, "SWAP1", "SUB", "DUP1", assemble(...round).length, "JUMPI", "POP"] as const),
    ...([1, "SWAP1", "SUB", "DUP1", 3, "JUMPI", "POP", 36, "CALLDATALOAD", 132, "MSTORE"] as const),
    ...Array.from(
      { length: hops },
      (_, hop) => [0, 0, 36, 128, 0, 68 + 32 * hop, "CALLDATALOAD", "GAS", "CALL", "POP"] as const,
    ).flat(),
    ...(isWrapping
      ? ([68, "CALLDATALOAD", 0, "MSTORE", 0, 0, 32, 0, "CALLVALUE", contract(KINDS.wrapped, 0)] as const)
      : []),
    ...(isWrapping ? (["GAS", "CALL", "POP"] as const) : []),
    ...([96, "MLOAD", "CALLER", "SSTORE", "STOP"] as const),
  );
}
/** Hashes a kilobyte as often as the call says, and stores the outcome under the caller. */
const HEAVY_CODE = assemble(
  ...([
    4,
    "CALLDATALOAD",
    "JUMPDEST",
    1024,
    0,
    "KECCAK256",
    0,
    "MSTORE",
    1,
    "SWAP1",
    "SUB",
    "DUP1",
    3,
    "JUMPI",
  ] as const),
  ...([0, "MLOAD", "CALLER", "SSTORE", "STOP"] as const),
);
/** Stores its own balance. */
const OWN_BALANCE_CODE = assemble("SELFBALANCE", 0, "SSTORE", "STOP");
/** Sends all it has to the caller. */
const DRAIN_CODE = assemble(0, 0, 0, 0, "SELFBALANCE", "CALLER", "GAS", "CALL", "POP", "STOP");
/** Creates at an address of the call's choice what destroys itself at once, with what was sent. */
const PHOENIX_CODE = assemble(
  ...([
    0x33,
    0,
    "MSTORE8",
    0xff,
    1,
    "MSTORE8",
    4,
    "CALLDATALOAD",
    2,
    0,
    "CALLVALUE",
    "CREATE2",
    "POP",
    "STOP",
  ] as const),
);
const BURN_CODE = assemble("JUMPDEST", 0, "JUMP");
/** Writes as many slots as the call says. */
const WIDE_CODE = assemble(
  ...([
    4,
    "CALLDATALOAD",
    "JUMPDEST",
    "DUP1",
    "DUP1",
    "SSTORE",
    1,
    "SWAP1",
    "SUB",
    "DUP1",
    3,
    "JUMPI",
    "STOP",
  ] as const),
);

const KINDS = {
  token: 1,
  pool: 2,
  probe: 3,
  wrapped: 4,
  heavy: 5,
  ownBalance: 6,
  drain: 7,
  phoenix: 8,
  burn: 9,
  wide: 10,
  router: 11,
} as const;

type Sender = { readonly secret: Uint8Array; readonly address: Uint8Array; nonce: bigint };

/** A world with the contracts and `senders` funded accounts, and transactions on it. */
export class Workload {
  readonly world = new World((n) => keccak256(Uint8Array.of(n & 0xff, n >> 8)));
  readonly #senders: Sender[];
  readonly #random: Random;
  readonly #profile: Profile;
  /** Work of each transaction of U1: kilobytes hashed. */
  heavyRounds = 400;
  #next = 0;

  constructor(profile: Profile, random: Random, senders = 64) {
    this.#profile = profile;
    this.#random = random;
    this.#senders = Array.from({ length: senders }, (_, i) => {
      const secret = keccak256(Uint8Array.of(1, i & 0xff, i >> 8));
      const address = addressOfPrivateKey(secret);
      return { secret, address, nonce: 0n };
    });
    for (const { address } of this.#senders) this.#put(address, 1_000n * ETHER, new Uint8Array(0));
    for (let i = 0; i < TOKENS; i++) {
      this.#put(contract(KINDS.token, i), 0n, TOKEN_CODE);
      for (const { address } of this.#senders) this.#store(contract(KINDS.token, i), balanceSlot(address), ETHER);
    }
    for (let i = 0; i < POOLS; i++) {
      this.#put(contract(KINDS.pool, i), 0n, POOL_CODE);
      this.#store(contract(KINDS.pool, i), word(0), ETHER);
      this.#store(contract(KINDS.pool, i), word(1), ETHER);
    }
    for (const [kind, code] of [
      [KINDS.probe, PROBE_CODE],
      [KINDS.heavy, HEAVY_CODE],
      [KINDS.ownBalance, OWN_BALANCE_CODE],
      [KINDS.phoenix, PHOENIX_CODE],
      [KINDS.burn, BURN_CODE],
      [KINDS.wide, WIDE_CODE],
    ] as const)
      this.#put(contract(kind, 0), 0n, code);
    for (let hops = 0; hops <= HOPS_MAX; hops++) {
      this.#put(contract(KINDS.router, hops), 0n, routerCode(hops, false));
      if (hops > 0) this.#put(contract(KINDS.router, HOPS_MAX + hops), 0n, routerCode(hops, true));
    }
    this.#put(contract(KINDS.router, HEAVY_ROUTER), 0n, routerCode(0, false));
    this.#put(contract(KINDS.wrapped, 0), 1_000n * ETHER, WRAPPED_CODE);
    this.#put(contract(KINDS.drain, 0), 12_345n, DRAIN_CODE);
    for (const { address } of this.#senders) this.#store(contract(KINDS.wrapped, 0), balanceSlot(address), ETHER);
  }

  /** The next `count` transactions as one epoch on the state as it is; `apply` their effects before the next. */
  epoch(count: number, gasLimit = 30_000_000): EpochCase {
    const txs = Array.from({ length: count }, () => this.#transaction());
    return { env: testEnv({ gasLimit }), world: this.world, txs, gasAvailable: gasLimit };
  }

  /** One transaction that writes `slots` slots among `others` hostile ones, in a block that has the gas for it. */
  wide(slots: number, others: number): EpochCase {
    const gasLimit = 1_000_000_000;
    const wide = this.#call(KINDS.wide, 0, [word(slots)], { gasLimit: 400_000_000 });
    const rest = Array.from({ length: others }, () => this.#transaction());
    return {
      env: testEnv({ gasLimit }),
      world: this.world,
      txs: [...rest, wide, ...rest.slice(0, 2)],
      gasAvailable: gasLimit,
    };
  }

  #transaction(): TxInput {
    const r = this.#random;
    const roll = r.below(100);
    switch (this.#profile) {
      case "M1":
        if (roll < 45) return this.#ether(r.chance(8));
        if (roll < 75) return this.#token(r.chance(60) ? r.below(3) : 3 + r.below(TOKENS - 3));
        if (roll < 90) return r.chance(20) ? this.#wrap() : this.#route();
        if (roll < 97) return r.chance(50) ? this.#probe() : this.#work(0, 1 + r.below(6));
        // From half a million to three million gas, small ones more often.
        return this.#work(HEAVY_ROUTER, Math.round((500_000 * 6 ** (r.below(1_000) / 1_000)) / ROUND_GAS) + 1);
      case "B1":
        if (roll < 30) return this.#probe();
        if (roll < 44) return this.#swap(this.#zipf(POOLS));
        if (roll < 70) return this.#token(r.below(TOKENS));
        return roll < 90 ? this.#ether(false) : this.#wrap();
      case "H1":
        return roll < 70 ? this.#swap(0) : this.#hostile();
      case "U1":
        break;
    }
    return this.#heavy(this.heavyRounds);
  }

  #hostile(): TxInput {
    const r = this.#random;
    switch (r.below(9)) {
      case 0:
        return this.#call(KINDS.ownBalance, 0, [], { valueWei: BigInt(r.below(3)) });
      case 1:
        return this.#call(KINDS.drain, 0, [], { valueWei: BigInt(r.below(3)) });
      case 2:
        return this.#call(KINDS.phoenix, 0, [word(r.below(3))], { valueWei: BigInt(r.below(2)) });
      case 3:
        return this.#call(KINDS.burn, 0, [], { gasLimit: 30_000 + r.below(300_000) });
      case 4:
        return this.#call(KINDS.wide, 0, [word(1 + r.below(60))], { gasLimit: 2_000_000 });
      case 5:
        return this.#call(KINDS.pool, 0, [word(1)], { nonceAhead: r.chance(50) ? 1n : -1n });
      case 6:
        return this.#all();
      case 7:
        return this.#call(KINDS.wrapped, 0, [word(r.chance(50) ? ETHER : 1)], {});
      default:
        return this.#call(KINDS.pool, 0, [word(1)], { gasLimit: r.chance(20) ? 30_000_001 : 29_000_000 });
    }
  }

  /** Sends all but the fees, or one wei more than there is. */
  #all(): TxInput {
    const sender = this.#pick();
    const funds = this.world.accounts.get(toHexKey(sender.address))?.balanceWei ?? 0n;
    const valueWei = funds - 21_000n * 3_000_000_000n + (this.#random.chance(50) ? 1n : 0n);
    return this.#sign(sender, { to: this.#pick().address, valueWei: valueWei < 0n ? 0n : valueWei, gasLimit: 21_000 });
  }

  #ether(isSweeper: boolean): TxInput {
    const sender = isSweeper ? (this.#senders[this.#random.below(10) % this.#senders.length] as Sender) : this.#pick();
    const to = this.#random.chance(50) ? this.#pick().address : keccak256(word(this.#random.u32())).subarray(12);
    return this.#sign(sender, { to, valueWei: BigInt(this.#random.below(1_000)), gasLimit: 21_000 });
  }
  #token(number: number): TxInput {
    const to = this.#random.chance(50) ? this.#pick().address : keccak256(word(this.#random.u32())).subarray(12);
    return this.#call(KINDS.token, number, [padded(to), word(this.#random.below(1_000))], {});
  }
  #swap(pool: number): TxInput {
    return this.#call(KINDS.pool, pool, [word(1 + this.#random.below(100))], {});
  }
  #route(): TxInput {
    const r = this.#random;
    const hops = 1 + (r.chance(40) ? 1 : 0) + (r.chance(25) ? 1 : 0);
    const isWrapping = r.chance(25);
    const pools = Array.from({ length: hops }, () => padded(contract(KINDS.pool, this.#zipf(POOLS))));
    return this.#call(
      KINDS.router,
      isWrapping ? HOPS_MAX + hops : hops,
      [word(hops * 3), word(1 + r.below(100)), ...pools],
      { gasLimit: 500_000, valueWei: isWrapping ? BigInt(1 + r.below(100)) : 0n },
    );
  }
  /** Rounds of work of the sender's own. */
  #work(number: number, rounds: number): TxInput {
    return this.#call(KINDS.router, number, [word(rounds), word(0)], {
      gasLimit: 100_000 + rounds * (ROUND_GAS + 2_000),
    });
  }
  #probe(): TxInput {
    const pools = Array.from({ length: PROBED }, () => padded(contract(KINDS.pool, this.#zipf(POOLS))));
    return this.#call(KINDS.probe, 0, pools, {});
  }
  #wrap(): TxInput {
    return this.#random.chance(50)
      ? this.#call(KINDS.wrapped, 0, undefined, { valueWei: BigInt(1 + this.#random.below(100)) })
      : this.#call(KINDS.wrapped, 0, [word(this.#random.below(100))], {});
  }
  #heavy(rounds: number): TxInput {
    return this.#call(KINDS.heavy, 0, [word(rounds)], { gasLimit: 200_000 + rounds * 500 });
  }

  #call(
    kind: number,
    number: number,
    words: readonly Uint8Array[] | undefined,
    p: { readonly valueWei?: bigint; readonly gasLimit?: number; readonly nonceAhead?: bigint },
  ): TxInput {
    const data = words === undefined ? new Uint8Array(0) : concatBytes(SELECTOR, ...words);
    return this.#sign(this.#pick(), {
      to: contract(kind, number),
      valueWei: p.valueWei ?? 0n,
      data,
      gasLimit: p.gasLimit ?? 200_000,
      ...(p.nonceAhead === undefined ? {} : { nonceAhead: p.nonceAhead }),
    });
  }

  #pick(): Sender {
    // In turns where nothing is to conflict, else at random: nonce chains come by themselves.
    const i = this.#profile === "U1" ? this.#next++ % this.#senders.length : this.#random.below(this.#senders.length);
    return this.#senders[i] as Sender;
  }

  #sign(
    sender: Sender,
    p: { to: Uint8Array; valueWei: bigint; gasLimit: number; data?: Uint8Array; nonceAhead?: bigint },
  ): TxInput {
    const nonce = sender.nonce + (p.nonceAhead ?? 0n);
    if (p.nonceAhead === undefined) sender.nonce++;
    const { raw } = signTransaction(
      {
        type: 2,
        chainId: CHAIN_ID,
        nonce: nonce < 0n ? 0n : nonce,
        to: p.to,
        valueWei: p.valueWei,
        data: p.data ?? new Uint8Array(0),
        gasLimit: BigInt(p.gasLimit),
        maxFeePerGasWei: 3_000_000_000n,
        maxPriorityFeePerGasWei: 1_000_000n,
      },
      sender.secret,
    );
    return { raw, sender: sender.address, l1FeeWei: 1_000n };
  }

  /** Numbers below `n` by Zipf's law with exponent 1, as near as halving gets. */
  #zipf(n: number): number {
    return Math.min(n - 1, Math.floor(n ** (this.#random.below(1_000_000) / 1_000_000)) - 1);
  }

  #put(address: Uint8Array, balanceWei: bigint, code: Uint8Array): void {
    const codeHash = code.length === 0 ? EMPTY_CODE_HASH : keccak256(code);
    if (code.length > 0) this.world.codes.set(toHexKey(codeHash), code);
    const nonce = code.length === 0 ? 0n : 1n;
    this.world.accounts.set(toHexKey(address), { nonce, balanceWei, codeHash, storage: new Map() });
  }
  #store(address: Uint8Array, slot: Uint8Array, value: bigint): void {
    this.world.accounts.get(toHexKey(address))?.storage.set(toHexKey(slot), word(value));
  }

  /** Goes on after an epoch: the senders' nonces are those of the state again. */
  settle(): void {
    for (const sender of this.#senders)
      sender.nonce = this.world.accounts.get(toHexKey(sender.address))?.nonce ?? sender.nonce;
  }
}
