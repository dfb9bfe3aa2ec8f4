/**
 * Owns the L1 of a development network: an anvil on a folder's state. One that outlived whoever started it is taken over
 * by its process id.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { assert } from "../base/assert.ts";
import type { Clock } from "../base/clock.ts";
import { freePort } from "../base/free-port.ts";
import { Anvil, anvilBinary } from "../l1/anvil.ts";
import { JsonRpcClient } from "../l1/json-rpc.ts";
import { L1_CHAIN_ID } from "./deployment.ts";
import { devnetError } from "./error.ts";
import { readJson, writeJson } from "./json-file.ts";

export type L1Handle = {
  readonly rpcUrl: string;
  readonly beaconUrl: string;
  stop(): Promise<void>;
  exited: Promise<void>;
};

export type L1Record = { readonly pid: number; readonly port: number; readonly genesisHash: string };

/** Starts anvil on the folder's state, or takes over the one a killed devnet left running. */
export async function startL1(dataDir: string, port: number, clock: Clock): Promise<L1Handle> {
  const recordPath = join(dataDir, "l1.json");
  const record = readJson(recordPath) as L1Record | undefined;
  if (record !== undefined && (port === 0 || record.port === port)) {
    const url = `http://127.0.0.1:${record.port}`;
    const genesisHash = await genesisHashAt(url);
    if (genesisHash !== undefined && genesisHash === record.genesisHash && isAnvil(record.pid)) {
      // It is nobody's child here: its end is seen by looking.
      const gone = async (everyMs: number): Promise<void> => {
        while (isAnvil(record.pid)) await clock.sleep(everyMs);
      };
      return {
        rpcUrl: url,
        beaconUrl: url,
        exited: gone(500),
        stop: async () => {
          process.kill(record.pid, "SIGINT");
          await gone(50);
        },
      };
    }
  }
  if (port !== 0 && (await genesisHashAt(`http://127.0.0.1:${port}`)) !== undefined)
    throw devnetError("DEVNET_PORT_TAKEN", `another program listens on port ${port}`, { port });
  const anvil = await Anvil.start({
    port: port === 0 ? (record?.port ?? (await freePort())) : port,
    chainId: L1_CHAIN_ID,
    statePath: join(dataDir, "l1", "state.json"),
    stateIntervalSeconds: 60,
    logPath: join(dataDir, "l1.log"),
    clock,
  });
  const genesisHash = await genesisHashAt(anvil.rpcUrl);
  assert(genesisHash !== undefined, "an L1 that is ready has its genesis");
  writeJson(recordPath, { pid: anvil.pid, port: anvil.port, genesisHash } satisfies L1Record);
  return { rpcUrl: anvil.rpcUrl, beaconUrl: anvil.beaconUrl, stop: () => anvil.stop(), exited: anvil.exited };
}

export async function genesisHashAt(url: string): Promise<string | undefined> {
  try {
    const rpc = new JsonRpcClient({ url, timeoutMs: 2_000 });
    return ((await rpc.call("eth_getBlockByNumber", ["0x0", false])) as { hash: string }).hash;
  } catch {
    return undefined;
  }
}

/** True when the process id is a running anvil (and not a stranger that got the number since). */
export function isAnvil(pid: number): boolean {
  try {
    process.kill(pid, 0);
    if (process.platform !== "linux") return true;
    const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0")[0] ?? "";
    return command === anvilBinary() && !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}
