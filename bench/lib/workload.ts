/**
 * Owns what is sent: transfers of ether and of the wrapped-ether token from some hundreds of senders to some hundreds of
 * receivers, signed before any clock runs, the same bytes for every chain measured. Senders belong to one connection
 * each, so that a nonce never overtakes another.
 */
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { bigIntToBytes, concatBytes, fromHex, padLeft, toHex } from "../../src/base/bytes.ts";
import { addressOfPrivateKey } from "../../src/protocol/secp256k1.ts";
import { signTransaction } from "../../src/protocol/transaction-codec.ts";

/** The wrapped-ether predeploy: a plain ERC-20 (WETH9). */
export const TOKEN = fromHex("4200000000000000000000000000000000000006");
const TRANSFER = fromHex("a9059cbb"); // transfer(address,uint256)
const DEPOSIT = fromHex("d0e30db0"); // deposit()
const FUNDING_WEI = 150n * 10n ** 18n;
const WRAPPED_WEI = 10n ** 18n;
/** Far above any base fee a run reaches, so that full blocks do not starve it. */
const MAX_FEE_WEI = 500_000_000_000n;
const TIP_WEI = 1_000_000n;

export const KINDS = ["eth", "erc20"] as const;
export type Kind = (typeof KINDS)[number];

type Signer = { readonly privateKey: Uint8Array; readonly address: Uint8Array; nonce: bigint };
type Call = {
  readonly to: Uint8Array;
  readonly valueWei: bigint;
  readonly data?: Uint8Array;
  readonly gas: bigint;
};

/** Signed transactions ready to be sent: a list per connection, in the order they are sent. */
export type Workload = {
  readonly kind: Kind | "setup";
  readonly lanes: readonly { readonly raws: readonly Uint8Array[]; readonly hashes: readonly Uint8Array[] }[];
  readonly count: number;
};

/** What `writeBodies` writes and the load generator reads. */
export type WorkloadFile = {
  readonly count: number;
  readonly lanes: readonly {
    readonly hashes: readonly string[];
    readonly bodies: readonly { readonly count: number; readonly body: string }[];
  }[];
};

export class WorkloadMaker {
  readonly #chainId: number;
  readonly #connections: number;
  readonly #senders: readonly Signer[];
  readonly #receivers: readonly Uint8Array[];
  readonly #funders: readonly Signer[];

  constructor(p: {
    chainId: number;
    connections: number;
    senders: number;
    receivers: number;
    funderKeys: readonly Uint8Array[];
  }) {
    const signer = (privateKey: Uint8Array): Signer => ({
      privateKey,
      address: addressOfPrivateKey(privateKey),
      nonce: 0n,
    });
    this.#chainId = p.chainId;
    this.#connections = p.connections;
    this.#senders = Array.from({ length: p.senders }, () => signer(randomBytes(32)));
    this.#receivers = Array.from({ length: p.receivers }, () => randomBytes(20));
    this.#funders = p.funderKeys.map(signer);
  }

  /** Ether for every sender, from the funded accounts of the chains. */
  funding(): Workload {
    return this.#collect("setup", this.#senders.length, (i) => {
      const to = (this.#senders[i] as Signer).address;
      return [this.#funders, i % this.#funders.length, { to, valueWei: FUNDING_WEI, gas: 21_000n }];
    });
  }

  /** Tokens for every sender, by its own deposit. */
  wrapping(): Workload {
    return this.#collect("setup", this.#senders.length, (i) => [
      this.#senders,
      i,
      { to: TOKEN, valueWei: WRAPPED_WEI, data: DEPOSIT, gas: 60_000n },
    ]);
  }

  /** `count` transfers, senders in turn. */
  transfers(kind: Kind, count: number): Workload {
    return this.#collect(kind, count, (i) => {
      const sender = i % this.#senders.length;
      // Another step than the senders': every sender meets many receivers.
      const to = this.#receivers[(i * 7 + Math.floor(i / this.#senders.length)) % this.#receivers.length] as Uint8Array;
      const amount = BigInt(1 + (i % 997));
      if (kind === "eth") return [this.#senders, sender, { to, valueWei: amount, gas: 21_000n }];
      const data = concatBytes(TRANSFER, padLeft(to, 32), bigIntToBytes(amount, 32));
      return [this.#senders, sender, { to: TOKEN, valueWei: 0n, data, gas: 60_000n }];
    });
  }

  #collect(
    kind: Workload["kind"],
    count: number,
    make: (i: number) => readonly [signers: readonly Signer[], index: number, call: Call],
  ): Workload {
    const lanes = Array.from({ length: this.#connections }, () => ({
      raws: [] as Uint8Array[],
      hashes: [] as Uint8Array[],
    }));
    for (let i = 0; i < count; i++) {
      const [signers, index, call] = make(i);
      const { raw, hash } = this.#sign(signers[index] as Signer, call);
      const lane = lanes[index % this.#connections];
      lane?.raws.push(raw);
      lane?.hashes.push(hash);
    }
    return { kind, lanes, count };
  }

  #sign(signer: Signer, call: Call): { raw: Uint8Array; hash: Uint8Array } {
    return signTransaction(
      {
        type: 2,
        chainId: this.#chainId,
        nonce: signer.nonce++,
        to: call.to,
        valueWei: call.valueWei,
        data: call.data ?? new Uint8Array(0),
        gasLimit: call.gas,
        maxFeePerGasWei: MAX_FEE_WEI,
        maxPriorityFeePerGasWei: TIP_WEI,
      },
      signer.privateKey,
    );
  }
}

/** Writes the bodies of the JSON-RPC batches, so that the load generator has nothing left to do but to send them. */
export function writeBodies(workload: Workload, batchSize: number, path: string): void {
  const lanes = workload.lanes.map(({ raws, hashes }) => {
    const bodies: { count: number; body: string }[] = [];
    for (let at = 0; at < raws.length; at += batchSize) {
      const calls = raws
        .slice(at, at + batchSize)
        .map(
          (raw, i) => `{"jsonrpc":"2.0","id":${at + i},"method":"eth_sendRawTransaction","params":["${toHex(raw)}"]}`,
        );
      bodies.push({ count: calls.length, body: batchSize === 1 ? (calls[0] as string) : `[${calls.join(",")}]` });
    }
    return { hashes: hashes.map(toHex), bodies };
  });
  writeFileSync(path, JSON.stringify({ count: workload.count, lanes } satisfies WorkloadFile));
}
