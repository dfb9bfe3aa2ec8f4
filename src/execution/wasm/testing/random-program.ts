/**
 * Owns random programs and worlds for differential tests: bytecode from a grammar that keeps the stack mostly balanced,
 * jumps mostly valid and operands mostly interesting, so that runs reach deep; a rest of plain noise keeps the edges in
 * sight. Everything derives from a seed and a case number.
 */
import { bigIntToBytes, concatBytes, fromHex, toHexKey } from "../../../base/bytes.ts";
import { keccak256 } from "../../../protocol/keccak.ts";
import { addressOfPrivateKey } from "../../../protocol/secp256k1.ts";
import { encodeDeposit, signAuthorization, signTransaction } from "../../../protocol/transaction-codec.ts";
import type { BlockEnv, Fork, TxInput } from "../../execution.ts";
import { EMPTY_CODE_HASH, World } from "./world.ts";

/** xorshift128+ on BigInt-free 32-bit halves would be faster; sfc32 is small and good enough. */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #d = 1;

  constructor(seed: number, stream: number) {
    this.#a = seed >>> 0;
    this.#b = stream >>> 0;
    this.#c = 0x9e3779b9 ^ Math.floor(stream / 2 ** 32);
    for (let i = 0; i < 15; i++) this.u32();
  }

  u32(): number {
    const t = (((this.#a + this.#b) | 0) + this.#d) | 0;
    this.#d = (this.#d + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (this.#c << 21) | (this.#c >>> 11);
    this.#c = (this.#c + t) | 0;
    return t >>> 0;
  }
  /** Below `n`. */
  below(n: number): number {
    return this.u32() % n;
  }
  chance(percent: number): boolean {
    return this.below(100) < percent;
  }
  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T;
  }
  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.below(256));
  }
}

const FORKS: readonly Fork[] = ["london", "paris", "shanghai", "cancun", "prague", "osaka"];
const MAX = (1n << 256n) - 1n;
const INTERESTING: readonly bigint[] = [
  0n,
  1n,
  2n,
  3n,
  31n,
  32n,
  33n,
  63n,
  64n,
  65n,
  127n,
  128n,
  255n,
  256n,
  257n,
  0xffffn,
  0x10000n,
  (1n << 32n) - 1n,
  1n << 32n,
  (1n << 63n) - 1n,
  1n << 63n,
  (1n << 64n) - 1n,
  1n << 64n,
  (1n << 64n) + 1n,
  (1n << 127n) - 1n,
  1n << 128n,
  (1n << 128n) - 1n,
  (1n << 160n) - 1n,
  (1n << 192n) - 1n,
  1n << 192n,
  (1n << 255n) - 1n,
  1n << 255n,
  (1n << 255n) + 1n,
  MAX - 1n,
  MAX,
  0xfffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2fn,
];

const TWO_TO_ONE = [
  0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x0a, 0x0b, 0x10, 0x11, 0x12, 0x13, 0x14, 0x16, 0x17, 0x18, 0x1a, 0x1b,
  0x1c, 0x1d,
];
const ONE_TO_ONE = [0x15, 0x19, 0x31, 0x35, 0x3b, 0x3f, 0x40, 0x49, 0x51, 0x54, 0x5c, 0x1e];
const ZERO_TO_ONE = [
  0x30, 0x32, 0x33, 0x34, 0x36, 0x38, 0x3a, 0x3d, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x4a, 0x58, 0x59,
  0x5a, 0x5f,
];

/** Private keys of the accounts that sign. */
const SECRETS = [1, 2, 3, 4].map((n) => {
  const secret = new Uint8Array(32).fill(0x21);
  secret[31] = n;
  return secret;
});
const EOAS = SECRETS.map(addressOfPrivateKey);
export const CONTRACTS = Array.from({ length: 5 }, (_, i) => fromHex(`c0de${(i + 1).toString(16).padStart(36, "0")}`));
const NOBODY = fromHex("00000000000000000000000000000000dead0001");
const COINBASE = fromHex("4200000000000000000000000000000000000011");

class ProgramWriter {
  readonly #random: Random;
  readonly #code: number[] = [];
  /** Places of two-byte jump targets to fill in, by label. */
  readonly #targets: { at: number; label: number }[] = [];
  readonly #labels = new Map<number, number>();
  #labelCount = 0;
  #height = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  op(...bytes: number[]): void {
    this.#code.push(...bytes);
  }

  push(value: bigint): void {
    const r = this.#random;
    let hex = value.toString(16);
    if (hex.length % 2 === 1) hex = `0${hex}`;
    let body = [...Buffer.from(hex, "hex")];
    if (r.chance(10)) body = [...new Uint8Array(Math.min(32 - body.length, r.below(33))), ...body];
    this.op(0x5f + body.length, ...body);
    this.#height++;
  }

  word(): bigint {
    const r = this.#random;
    switch (r.below(8)) {
      case 0:
        return BigInt(`0x${toHexKey(r.bytes(32))}`);
      case 1:
        return BigInt(`0x${toHexKey(r.bytes(1 + r.below(32)))}`);
      case 2:
      case 3:
        return BigInt(r.below(64));
      case 4: {
        const base = 1n << BigInt(r.below(256));
        return r.chance(50) ? base : base - 1n;
      }
      default:
        return r.pick(INTERESTING);
    }
  }

  /** Mostly inside a little memory, now and then far outside. */
  offset(): bigint {
    const r = this.#random;
    if (r.chance(1)) return this.word();
    return BigInt(r.below(r.chance(90) ? 160 : 3000));
  }
  size(): bigint {
    const r = this.#random;
    if (r.chance(1)) return this.word();
    return BigInt(r.pick([0, 1, 4, 20, 31, 32, 33, 64, 65, 96, 128, 200]));
  }
  address(): bigint {
    const r = this.#random;
    const known = r.chance(75) ? r.pick(CONTRACTS) : r.pick([...EOAS, NOBODY, COINBASE]);
    if (r.chance(12)) return BigInt(r.pick([1, 2, 3, 4, 5, 6, 7, 9, 9, 0x0b, 0x11, 0x12, 0x100]));
    if (r.chance(2)) return this.word();
    return BigInt(`0x${toHexKey(known)}`);
  }
  slot(): bigint {
    return this.#random.chance(95) ? BigInt(this.#random.below(6)) : this.word();
  }

  #label(): number {
    return this.#labelCount++;
  }
  #pushLabel(label: number): void {
    this.op(0x61, 0, 0);
    this.#targets.push({ at: this.#code.length - 2, label });
    this.#height++;
  }
  #place(label: number): void {
    this.#labels.set(label, this.#code.length);
    this.op(0x5b);
  }
  #need(n: number): void {
    while (this.#height < n) this.push(this.word());
  }

  /** One statement; `depth` bounds nesting. */
  statement(depth: number): void {
    const r = this.#random;
    const kind = r.below(100);
    if (kind < 22) {
      this.#need(2);
      this.op(r.pick(TWO_TO_ONE));
      this.#height--;
    } else if (kind < 30) {
      this.push(this.word());
    } else if (kind < 36) {
      const op = r.pick(ONE_TO_ONE);
      if (op === 0x54 || op === 0x5c) this.push(this.slot());
      else if (op === 0x51 || op === 0x35) this.push(this.offset());
      else if (op === 0x31 || op === 0x3b || op === 0x3f) this.push(this.address());
      else if (op === 0x40) this.push(BigInt(730 + r.below(280)));
      else this.#need(1);
      this.op(op);
    } else if (kind < 41) {
      this.op(r.pick(ZERO_TO_ONE));
      this.#height++;
    } else if (kind < 47) {
      this.#need(r.chance(10) ? 16 : 1);
      const n = 1 + r.below(Math.min(16, this.#height));
      this.op(0x7f + n);
      this.#height++;
    } else if (kind < 53) {
      this.#need(r.chance(10) ? 17 : 2);
      this.op(0x8f + 1 + r.below(Math.min(16, this.#height - 1)));
    } else if (kind < 57) {
      this.#need(1);
      this.op(0x50);
      this.#height--;
    } else if (kind < 62) {
      this.#need(1);
      this.push(this.offset());
      this.op(r.chance(80) ? 0x52 : 0x53);
      this.#height -= 2;
    } else if (kind < 67) {
      if (r.chance(50)) this.push(r.chance(40) ? 0n : this.word());
      else this.#need(1);
      this.push(this.slot());
      this.op(r.chance(80) ? 0x55 : 0x5d);
      this.#height -= 2;
    } else if (kind < 70) {
      this.#need(3);
      this.op(r.pick([0x08, 0x09]));
      this.#height -= 2;
    } else if (kind < 73) {
      this.push(this.size());
      this.push(this.offset());
      this.op(0x20);
      this.#height--;
    } else if (kind < 77) {
      const op = r.pick([0x37, 0x39, 0x3e, 0x5e, 0x3c]);
      this.push(op === 0x3e && r.chance(70) ? 0n : this.size());
      this.push(op === 0x3e && r.chance(70) ? 0n : this.offset());
      this.push(this.offset());
      this.#height -= 3;
      if (op === 0x3c) this.push(this.address());
      if (op === 0x3c) this.#height--;
      this.op(op);
    } else if (kind < 80) {
      const topics = r.below(5);
      for (let i = 0; i < topics; i++) this.push(this.word());
      this.push(this.size());
      this.push(this.offset());
      this.op(0xa0 + topics);
      this.#height -= 2 + topics;
    } else if (kind < 86) {
      this.#call();
    } else if (kind < 88) {
      this.#create();
    } else if (kind < 94 && depth > 0) {
      this.#branch(depth);
    } else if (kind < 96 && depth > 0) {
      this.#loop(depth);
    } else if (kind < 97) {
      if (r.chance(50)) this.#jump();
      else this.#end();
    } else if (kind < 98) {
      this.op(r.below(256));
    } else {
      this.#need(1);
      this.op(0x80, 0x50);
    }
  }

  #call(): void {
    const r = this.#random;
    const op = r.pick([0xf1, 0xf1, 0xf1, 0xf2, 0xf4, 0xf4, 0xfa, 0xfa]);
    this.push(r.chance(50) ? 0n : this.size());
    this.push(this.offset());
    this.push(this.size());
    this.push(this.offset());
    this.#height -= 4;
    if (op === 0xf1 || op === 0xf2) {
      this.push(r.chance(70) ? 0n : r.chance(90) ? BigInt(r.below(100)) : this.word());
      this.#height--;
    }
    this.push(this.address());
    if (r.chance(25)) this.op(0x5a);
    else this.push(r.chance(90) ? BigInt(r.below(r.pick([3000, 30_000, 60_000]))) : this.word());
    this.#height = Math.max(0, this.#height - 2);
    this.op(op);
    this.#height++;
  }

  /** Puts a small init code into memory and creates from it. */
  #create(): void {
    const r = this.#random;
    const inner = new ProgramWriter(r);
    const runtime = r.chance(50) ? inner.finish(1 + r.below(4), 0) : r.bytes(r.below(12));
    // PUSH runtime, MSTORE, RETURN its last bytes; or noise.
    const body = runtime.subarray(0, 31);
    const init =
      r.chance(85) && body.length > 0
        ? [0x5f + body.length, ...body, 0x60, 0, 0x52, 0x60, body.length, 0x60, 32 - body.length, 0xf3]
        : [...r.bytes(1 + r.below(20))];
    for (let i = 0; i < init.length; i += 32) {
      const chunk = new Uint8Array(32);
      chunk.set(init.slice(i, i + 32));
      this.op(0x7f, ...chunk, 0x60, i, 0x52);
    }
    const salted = r.chance(50);
    if (salted) this.push(BigInt(r.below(3)));
    this.push(r.chance(95) ? BigInt(init.length) : this.size());
    this.push(r.chance(95) ? 0n : this.offset());
    this.push(r.chance(70) ? 0n : BigInt(r.below(50)));
    this.op(salted ? 0xf5 : 0xf0);
    this.#height -= salted ? 3 : 2;
  }

  #branch(depth: number): void {
    const r = this.#random;
    const after = this.#label();
    if (r.chance(70)) this.#need(1);
    else this.push(BigInt(r.below(2)));
    if (r.chance(30)) this.op(0x15);
    this.#pushLabel(after);
    this.op(0x57);
    this.#height -= 2;
    const height = this.#height;
    for (let n = r.below(5); n > 0; n--) this.statement(depth - 1);
    if (r.chance(95)) this.#level(height);
    this.#place(after);
  }

  /** A jump to a computed target over some noise. */
  #jump(): void {
    const r = this.#random;
    const target = this.#label();
    this.#pushLabel(target);
    if (r.chance(50)) {
      const by = BigInt(r.below(300));
      this.push(by);
      this.op(0x01);
      this.push(by);
      this.op(0x90, 0x03);
      this.#height -= 2;
    }
    if (r.chance(20)) {
      this.op(0x80, 0x50);
    }
    this.op(0x56);
    this.#height--;
    if (r.chance(50)) this.op(...r.bytes(r.below(6)));
    // A PUSH in the noise must not swallow the target.
    this.op(...new Uint8Array(r.chance(90) ? 32 : 0));
    this.#place(target);
  }

  /** A counted loop whose counter lies on top of the stack between rounds. */
  #loop(depth: number): void {
    const r = this.#random;
    const head = this.#label();
    this.push(BigInt(1 + r.below(12)));
    this.#place(head);
    const height = this.#height;
    for (let n = 1 + r.below(4); n > 0; n--) this.statement(depth - 1);
    this.#level(height);
    this.op(0x60, 1, 0x90, 0x03, 0x80);
    this.#height++;
    this.#pushLabel(head);
    this.op(0x57);
    this.#height -= 2;
  }

  /** Pops or pushes until the stack has `height` words. */
  #level(height: number): void {
    while (this.#height > height) {
      this.op(0x50);
      this.#height--;
    }
    this.#need(height);
  }

  #end(): void {
    const r = this.#random;
    const kind = r.below(100);
    if (kind < 20) {
      this.push(this.address());
      this.op(0xff);
    } else if (kind < 36) this.op(r.pick([0x00, 0xfe]));
    else {
      this.push(this.size());
      this.push(this.offset());
      this.op(r.chance(70) ? 0xf3 : 0xfd);
    }
    this.#height = 0;
  }

  finish(statements: number, depth: number): Uint8Array {
    for (let n = 0; n < statements; n++) this.statement(depth);
    if (this.#random.chance(70)) this.#end();
    for (const { at, label } of this.#targets) {
      const target = this.#labels.get(label) ?? 0;
      this.#code[at] = target >> 8;
      this.#code[at + 1] = target & 0xff;
    }
    return Uint8Array.from(this.#code);
  }
}

export function randomProgram(random: Random, statements: number): Uint8Array {
  return new ProgramWriter(random).finish(statements, 3);
}

export type RandomCase = {
  readonly env: BlockEnv;
  readonly world: World;
  readonly txs: readonly TxInput[];
};

function put(world: World, address: Uint8Array, nonce: bigint, balanceWei: bigint, code: Uint8Array): void {
  const codeHash = code.length === 0 ? EMPTY_CODE_HASH : keccak256(code);
  if (code.length > 0) world.codes.set(toHexKey(codeHash), code);
  world.accounts.set(toHexKey(address), { nonce, balanceWei, codeHash, storage: new Map() });
}

/** World, environment and transactions of case `index` under `seed`: `transactions` of them, or one to three. */
export function randomCase(seed: number, index: number, transactions?: number): RandomCase {
  const r = new Random(seed, index);
  const fork = r.chance(60) ? r.pick(["cancun", "prague", "osaka"] as const) : r.pick(FORKS);
  const env: BlockEnv = {
    chainId: 1,
    number: 1000,
    timestamp: 1_700_000_000,
    gasLimit: 30_000_000,
    baseFeePerGasWei: BigInt(r.pick([0, 1, 7, 1000])),
    blobBaseFeeWei: BigInt(r.pick([1, 5])),
    coinbase: r.chance(90) ? COINBASE : r.pick([...EOAS, ...CONTRACTS]),
    prevRandao: r.bytes(32),
    fork,
    feePolicy: r.chance(50) ? "op" : "ethereum",
  };
  const world = new World((n) => keccak256(Uint8Array.of(n & 0xff, n >> 8)));
  for (const eoa of EOAS)
    put(world, eoa, BigInt(r.below(3)), 10n ** BigInt(r.chance(8) ? r.pick([0, 8]) : 18), new Uint8Array(0));
  for (const address of CONTRACTS) {
    const code = r.chance(3) ? r.bytes(r.below(80)) : randomProgram(r, 5 + r.below(40));
    put(world, address, 1n, BigInt(r.pick([0, 1, 50, 1000])), code);
    const account = world.accounts.get(toHexKey(address));
    for (let n = r.below(4); n > 0; n--)
      account?.storage.set(toHexKey(bigIntToBytes(BigInt(r.below(6)), 32)), bigIntToBytes(BigInt(1 + r.below(5)), 32));
  }
  if ((fork === "prague" || fork === "osaka") && r.chance(40)) {
    const target = r.chance(90)
      ? r.pick(CONTRACTS)
      : r.pick([...EOAS, fromHex("0000000000000000000000000000000000000004")]);
    const eoa = r.pick(EOAS);
    put(world, eoa, 1n, 10n ** 18n, concatBytes(Uint8Array.of(0xef, 1, 0), target));
  }
  const nonces = new Map(EOAS.map((a) => [toHexKey(a), world.accounts.get(toHexKey(a))?.nonce ?? 0n]));
  const txs = Array.from({ length: transactions ?? 1 + r.below(3) }, () => randomTx(r, env, nonces));
  return { env, world, txs };
}

function randomTx(r: Random, env: BlockEnv, nonces: Map<string, bigint>): TxInput {
  const who = r.below(EOAS.length);
  const sender = EOAS[who] as Uint8Array;
  const to = r.chance(12)
    ? undefined
    : r.chance(80)
      ? r.pick(CONTRACTS)
      : r.pick([...EOAS, NOBODY, bigIntToBytes(BigInt(1 + r.below(18)), 20)]);
  const data = to === undefined ? randomProgram(r, 3 + r.below(15)) : r.bytes(r.pick([0, 4, 36, 68, 100]));
  const gasLimit = BigInt(
    r.chance(6)
      ? r.pick([21_000, 25_000, 54_000])
      : r.chance(4)
        ? 2_000_000
        : r.pick([80_000, 120_000, 200_000, 400_000]),
  );
  const valueWei = BigInt(r.pick([0, 0, 1, 100, 100_000]));
  if (r.chance(10) && env.feePolicy === "op") {
    const from = r.pick([...EOAS, NOBODY]);
    const deposit = encodeDeposit({
      sourceHash: r.bytes(32),
      from,
      to,
      mintWei: BigInt(r.pick([0, 1, 1_000_000])),
      valueWei,
      gasLimit,
      isSystemTx: r.chance(5),
      data,
    });
    return { raw: deposit.raw, sender: from, l1FeeWei: 0n };
  }
  const prague = env.fork === "prague" || env.fork === "osaka";
  const type = to !== undefined && prague && r.chance(25) ? 4 : r.pick([0, 1, 2] as const);
  const key = toHexKey(sender);
  const nonce = (nonces.get(key) ?? 0n) + BigInt(r.chance(3) ? r.below(2) : 0);
  const fee = env.baseFeePerGasWei + BigInt(r.pick([0, 0, 1, 10]));
  const authorizations =
    type === 4
      ? Array.from({ length: 1 + r.below(2) }, () => {
          const authority = r.below(EOAS.length);
          const own = authority === who ? 1n : 0n;
          return signAuthorization(
            {
              chainId: BigInt(r.pick([0, 1, 1, 2])),
              address: r.chance(15) ? new Uint8Array(20) : r.pick([...CONTRACTS, ...EOAS]),
              nonce: (nonces.get(toHexKey(EOAS[authority] as Uint8Array)) ?? 0n) + own,
            },
            SECRETS[authority] as Uint8Array,
          );
        })
      : undefined;
  const tx = signTransaction(
    {
      type,
      chainId: 1,
      nonce,
      to,
      valueWei,
      data,
      gasLimit,
      maxFeePerGasWei: fee,
      maxPriorityFeePerGasWei: type < 2 ? fee : BigInt(r.pick([0, 1])) < fee ? BigInt(r.below(2)) : 0n,
      ...(type !== 0 && r.chance(50)
        ? { accessList: [{ address: r.pick(CONTRACTS), slots: [bigIntToBytes(BigInt(r.below(6)), 32)] }] }
        : {}),
      ...(authorizations === undefined ? {} : { authorizations }),
    },
    SECRETS[who] as Uint8Array,
  );
  nonces.set(key, nonce + 1n);
  return { raw: tx.raw, sender, l1FeeWei: BigInt(r.pick([0, 0, 13])) };
}
