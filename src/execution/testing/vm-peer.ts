/** Owns the peer of differential tests: whole transactions through `@ethereumjs/vm` on its own Merkle state. */
import { type Block, createBlock } from "@ethereumjs/block";
import { type Common, type CustomCrypto, createCustomCommon, Mainnet } from "@ethereumjs/common";
import { createTxFromRLP } from "@ethereumjs/tx";
import { Account, Address } from "@ethereumjs/util";
import { createVM, runTx, type VM } from "@ethereumjs/vm";
import { bytesToBigInt, fromHex } from "../../base/bytes.ts";
import { verifyPointProof } from "../ethereumjs-machine.ts";
import type { BlockEnv } from "../execution.ts";
import type { Alloc } from "./world.ts";

/** The library's rules for `env`. Without an own verifier it throws where a program calls the point evaluation. */
export function peerCommon(env: Pick<BlockEnv, "chainId" | "fork">, eips: number[] = []): Common {
  const kzg = { verifyProof: verifyPointProof } as unknown as NonNullable<CustomCrypto["kzg"]>;
  return createCustomCommon({ chainId: env.chainId }, Mainnet, { hardfork: env.fork, eips, customCrypto: { kzg } });
}

export type PeerResult =
  | { readonly included: false }
  | { readonly included: true; readonly status: 0 | 1; readonly gasUsed: number; readonly logs: string };

export class VmPeer {
  readonly #vm: VM;
  readonly #common: Common;
  readonly #env: BlockEnv;

  private constructor(vm: VM, common: Common, env: BlockEnv) {
    this.#vm = vm;
    this.#common = common;
    this.#env = env;
  }

  static async create(env: BlockEnv, alloc: Alloc): Promise<VmPeer> {
    const common = peerCommon(env);
    const vm = await createVM({ common });
    const state = vm.stateManager;
    await state.checkpoint();
    for (const [address, { balanceWei, nonce, code, storage }] of alloc) {
      const key = new Address(address);
      await state.putAccount(key, new Account(nonce, balanceWei));
      if (code.length > 0) await state.putCode(key, code);
      for (const [slot, value] of storage) await state.putStorage(key, fromHex(slot), value);
    }
    await state.commit();
    return new VmPeer(vm, common, env);
  }

  /** Runs a signed transaction; it is not included when the library refuses it. */
  async run(raw: Uint8Array): Promise<PeerResult> {
    const block = peerBlock(this.#env, this.#common);
    try {
      const tx = createTxFromRLP(raw, { common: this.#common });
      const result = await runTx(this.#vm, { tx, block });
      return {
        included: true,
        status: result.execResult.exceptionError === undefined ? 1 : 0,
        gasUsed: Number(result.totalGasSpent),
        logs: JSON.stringify(result.receipt.logs.map((log) => log.flat().map((part) => [...part]))),
      };
    } catch {
      return { included: false };
    }
  }

  async nonce(address: Uint8Array): Promise<bigint> {
    return (await this.#vm.stateManager.getAccount(new Address(address)))?.nonce ?? 0n;
  }

  async stateRoot(): Promise<Uint8Array> {
    return await this.#vm.stateManager.getStateRoot();
  }
}

/** Logs in the form of {@link PeerResult}. */
export function logsKey(
  logs: readonly { readonly address: Uint8Array; readonly topics: readonly Uint8Array[]; readonly data: Uint8Array }[],
): string {
  return JSON.stringify(logs.map((log) => [log.address, ...log.topics, log.data].map((part) => [...part])));
}

/** The block of `env` for the library, which takes no part in it but its fields. */
export function peerBlock(env: BlockEnv, common: Common): Block {
  return createBlock(
    {
      header: {
        number: env.number,
        timestamp: env.timestamp,
        gasLimit: env.gasLimit,
        baseFeePerGas: env.baseFeePerGasWei,
        coinbase: new Address(env.coinbase),
        mixHash: env.prevRandao,
        difficulty: env.fork === "london" ? bytesToBigInt(env.prevRandao) : 0n,
      },
    },
    { common: common, skipConsensusFormatValidation: true },
  );
}
