/** Owns a development L1 as a process of a network: anvil on its folder's state, stopped with its process. */
import { mkdirSync } from "node:fs";
import type { Clock } from "../base/clock.ts";
import { readConfig } from "../base/config.ts";
import { aborted } from "../base/signal.ts";
import { developmentL1Config } from "../l1/config.ts";
import { JsonRpcClient } from "../l1/json-rpc.ts";
import { dataDirOf, environmentOf, hostAndPort, type Network, type ProcessSpec } from "../node/network-file.ts";
import { devnetError } from "./error.ts";
import { type L1Handle, startL1 } from "./l1-process.ts";

export class L1Node {
  readonly #handle: L1Handle;

  private constructor(handle: L1Handle) {
    this.#handle = handle;
  }

  static async create(p: {
    readonly network: Network;
    readonly process: ProcessSpec;
    readonly env: Readonly<Record<string, string | undefined>>;
    readonly clock: Clock;
  }): Promise<L1Node> {
    const dataDir = dataDirOf(p.network, p.process);
    mkdirSync(dataDir, { recursive: true });
    const { blockSeconds } = readConfig(developmentL1Config, environmentOf(p.network, p.process, p.env));
    const handle = await startL1(dataDir, hostAndPort(p.process.rpc ?? "").port, p.clock);
    await new JsonRpcClient({ url: handle.rpcUrl, timeoutMs: 30_000 }).call("evm_setIntervalMining", [blockSeconds]);
    return new L1Node(handle);
  }

  /** @throws {DevnetError} DEVNET_L1_ENDED */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.race([aborted(signal), this.#handle.exited]);
    if (!signal.aborted) throw devnetError("DEVNET_L1_ENDED", "the process of the L1 ended");
  }

  close(): Promise<void> {
    return this.#handle.stop();
  }
}
