/**
 * Owns instances of `@ethereumjs/evm`: one per call in flight, kept for the next call of the same chain and fork.
 * Invariant: an instance serves one call at a time, because the library keeps block, transaction and state in fields.
 * Cryptography that the library does in pure JavaScript is replaced by native code where a package has it.
 */
import { DasContextJs } from "@crate-crypto/node-eth-kzg";
import { type Common, type CustomCrypto, createCustomCommon, Hardfork, Mainnet } from "@ethereumjs/common";
import { createEVM, type EVM } from "@ethereumjs/evm";
import { Address } from "@ethereumjs/util";
import secp256k1 from "secp256k1";
import { assert } from "../base/assert.ts";
import { fromHex } from "../base/bytes.ts";
import { keccak256 } from "../protocol/keccak.ts";
import { EthereumjsJournal, EthereumjsState } from "./ethereumjs-state.ts";
import { TimeLimit } from "./ethereumjs-time-limit.ts";
import type { BlockEnv, Fork, StateReader } from "./execution.ts";
import type { JournaledState } from "./journaled-state.ts";
import { keepJumpAnalysis } from "./jump-analysis.ts";
import { keepRevertData } from "./reverted-creation.ts";

const HARDFORKS: Readonly<Record<Fork, Hardfork>> = {
  london: Hardfork.London,
  paris: Hardfork.Paris,
  shanghai: Hardfork.Shanghai,
  cancun: Hardfork.Cancun,
  prague: Hardfork.Prague,
  osaka: Hardfork.Osaka,
};

/** Instances kept for reuse per chain and fork; more may be in flight. */
const IDLE_MAX = 8;

let kzgContext: DasContextJs | undefined;

/** The trusted setup is loaded on the first use of the point evaluation precompile. */
export function verifyPointProof(commitment: string, z: string, y: string, proof: string): boolean {
  kzgContext ??= DasContextJs.create({ usePrecomp: false });
  try {
    return kzgContext.verifyKzgProof(fromHex(commitment), fromHex(z), fromHex(y), fromHex(proof));
  } catch {
    // Points off the curve and field elements out of range are as wrong as a proof that does not hold.
    return false;
  }
}

function unavailable(): never {
  throw new Error("the EVM verifies point evaluations only");
}

const CRYPTO: CustomCrypto = {
  keccak256,
  ecrecover: (messageHash, v, r, s) => {
    const signature = new Uint8Array(64);
    signature.set(r, 32 - r.length);
    signature.set(s, 64 - s.length);
    return secp256k1.ecdsaRecover(signature, Number(v) - 27, messageHash, false).subarray(1);
  },
  kzg: {
    verifyProof: verifyPointProof,
    blobToKzgCommitment: unavailable,
    computeBlobProof: unavailable,
    verifyBlobProofBatch: unavailable,
    computeCells: unavailable,
    computeCellsAndProofs: unavailable,
    recoverCellsAndProofs: unavailable,
    verifyCellKzgProofBatch: unavailable,
  },
};

export type EvmBlock = NonNullable<Parameters<EVM["runCall"]>[0]["block"]>;

/** The block as the library wants to see it. */
export function evmBlock(env: BlockEnv): EvmBlock {
  return {
    header: {
      number: BigInt(env.number),
      coinbase: new Address(env.coinbase),
      timestamp: BigInt(env.timestamp),
      difficulty: env.fork === "london" ? BigInt(`0x${Buffer.from(env.prevRandao).toString("hex")}`) : 0n,
      prevRandao: env.prevRandao,
      gasLimit: BigInt(env.gasLimit),
      baseFeePerGas: env.baseFeePerGasWei,
      getBlobGasPrice: () => env.blobBaseFeeWei,
    },
  };
}

/** One EVM instance and what it is attached to. */
export class EthereumjsMachine {
  readonly key: string;
  readonly evm: EVM;
  readonly timeLimit: TimeLimit;
  readonly #precompiles: ReadonlySet<string>;

  constructor(key: string, evm: EVM) {
    this.key = key;
    this.evm = evm;
    this.timeLimit = new TimeLimit(evm);
    this.#precompiles = new Set(evm.precompiles.keys());
  }

  /** Points the instance at a state. Returns its journal. */
  attach(state: JournaledState, reader: StateReader, recordAccess: boolean): EthereumjsJournal {
    const manager = new EthereumjsState(state);
    const journal = new EthereumjsJournal(manager, this.#precompiles, recordAccess);
    this.evm.stateManager = manager;
    // The library's journal is a class with private fields; ours has the methods that its EVM calls.
    this.evm.journal = journal as unknown as EVM["journal"];
    this.evm.blockchain = {
      getBlock: (number) => Promise.resolve({ hash: () => reader.blockHash(number) }),
      putBlock: () => Promise.resolve(),
      shallowCopy: () => this.evm.blockchain,
    };
    return journal;
  }
}

export class EthereumjsMachines {
  readonly #idle = new Map<string, EthereumjsMachine[]>();
  readonly #commons = new Map<string, Common>();

  async take(env: BlockEnv): Promise<EthereumjsMachine> {
    assert(Number.isSafeInteger(env.number) && Number.isSafeInteger(env.timestamp), "block number and time are safe");
    const key = `${env.chainId}:${env.fork}`;
    const idle = this.#idle.get(key)?.pop();
    if (idle !== undefined) return idle;
    let common = this.#commons.get(key);
    if (common === undefined) {
      common = createCustomCommon({ chainId: env.chainId }, Mainnet, {
        hardfork: HARDFORKS[env.fork],
        customCrypto: CRYPTO,
      });
      this.#commons.set(key, common);
    }
    const evm = await createEVM({ common });
    await keepJumpAnalysis(evm);
    keepRevertData(evm);
    return new EthereumjsMachine(key, evm);
  }

  give(machine: EthereumjsMachine): void {
    const idle = this.#idle.get(machine.key);
    if (idle === undefined) this.#idle.set(machine.key, [machine]);
    else if (idle.length < IDLE_MAX) idle.push(machine);
  }

  close(): void {
    this.#idle.clear();
    this.#commons.clear();
  }
}
