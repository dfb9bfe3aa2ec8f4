/** Owns the peer of tracing tests: a whole transaction through `@ethereumjs/vm`, with each step and each call it reports. */
import type { Common } from "@ethereumjs/common";
import { createTxFromRLP } from "@ethereumjs/tx";
import { Account, Address } from "@ethereumjs/util";
import { createVM, runTx, type VM } from "@ethereumjs/vm";
import { fromHex, toHex } from "../../../base/bytes.ts";
import type { BlockEnv } from "../../execution.ts";
import { peerBlock, peerCommon } from "../../testing/vm-peer.ts";
import type { World } from "./world.ts";

export type PeerStep = {
  readonly pc: number;
  readonly op: number;
  readonly gas: number;
  readonly gasCost: number;
  readonly depth: number;
  readonly stack: readonly string[];
  readonly memory: string;
  readonly refund: number;
};

export type PeerCall = {
  readonly isCreation: boolean;
  readonly from: string;
  readonly gas: number;
  readonly value: bigint;
  readonly input: string;
  gasUsed: number;
  output: string;
  isFailed: boolean;
  readonly calls: PeerCall[];
};

export type PeerTrace = { readonly steps: readonly PeerStep[]; readonly top: PeerCall };

export class StepPeer {
  readonly #vm: VM;
  readonly #common: Common;
  readonly #env: BlockEnv;

  private constructor(vm: VM, common: Common, env: BlockEnv) {
    this.#vm = vm;
    this.#common = common;
    this.#env = env;
  }

  static async create(env: BlockEnv, world: World): Promise<StepPeer> {
    const common = peerCommon(env);
    const blockchain = {
      getBlock: (number: number) => Promise.resolve({ hash: () => world.blockHash(number) }),
      putBlock: () => Promise.resolve(),
      shallowCopy: () => blockchain,
    };
    const vm = await createVM({ common, blockchain } as unknown as Parameters<typeof createVM>[0]);
    const state = vm.stateManager;
    await state.checkpoint();
    for (const [address, { balanceWei, nonce, codeHash, storage }] of world.accounts) {
      const key = new Address(fromHex(address));
      await state.putAccount(key, new Account(nonce, balanceWei));
      const code = world.code(codeHash);
      if (code.length > 0) await state.putCode(key, code);
      for (const [slot, value] of storage) await state.putStorage(key, fromHex(slot), value);
    }
    await state.commit();
    return new StepPeer(vm, common, env);
  }

  /** Undefined when the library refuses the transaction. */
  async run(raw: Uint8Array): Promise<PeerTrace | undefined> {
    const env = this.#env;
    const { events } = this.#vm.evm;
    const steps: PeerStep[] = [];
    const open: PeerCall[] = [];
    let top: PeerCall | undefined;
    events?.removeAllListeners();
    events?.on("step", (event, next) => {
      steps.push({
        pc: event.pc,
        op: event.opcode.code,
        gas: Number(event.gasLeft),
        gasCost: Number(event.opcode.dynamicFee ?? event.opcode.fee),
        depth: event.depth + 1,
        stack: event.stack.map((word) => `0x${word.toString(16)}`),
        memory: toHex(event.memory),
        refund: Number(event.gasRefund),
      });
      next?.();
    });
    events?.on("beforeMessage", (message, next) => {
      const call: PeerCall = {
        isCreation: message.to === undefined,
        from: message.caller.toString(),
        gas: Number(message.gasLimit),
        value: message.value,
        input: toHex(message.data),
        gasUsed: 0,
        output: "0x",
        isFailed: false,
        calls: [],
      };
      open.at(-1)?.calls.push(call);
      top ??= call;
      open.push(call);
      next?.();
    });
    events?.on("afterMessage", ({ execResult }, next) => {
      const call = open.pop();
      if (call !== undefined) {
        call.gasUsed = Number(execResult.executionGasUsed);
        call.output = toHex(execResult.returnValue);
        call.isFailed = execResult.exceptionError !== undefined;
      }
      next?.();
    });
    const block = peerBlock(env, this.#common);
    try {
      await runTx(this.#vm, { tx: createTxFromRLP(raw, { common: this.#common }), block });
    } catch {
      return undefined;
    }
    return top === undefined ? undefined : { steps, top };
  }
}
