/** `sheaf status`: the network at a glance, asked over the same public interfaces its users have. */
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Command } from "commander";
import { systemClock } from "../base/clock.ts";
import { defineErrors } from "../base/error.ts";
import type { Endpoints } from "../devnet/devnet.ts";
import { JsonRpcClient } from "../l1/json-rpc.ts";
import type { CommandContext } from "./context.ts";
import { DEFAULT_DATA_DIR } from "./devnet.ts";
import { networkStatus } from "./network-status.ts";
import { renderTable } from "./table.ts";

export const statusError = defineErrors("Status", {
  STATUS_NO_NETWORK: {
    summary: "No running network was found in the data folder.",
    action: "Start one with npm start, or name its folder with --data-dir.",
    retryable: false,
  },
});

type Head = { number: number; ageSeconds: number } | undefined;
type Row = {
  name: string;
  chainId: number;
  latest: Head;
  safe: Head;
  finalized: Head;
  verifier: Head;
  pending: number | undefined;
  queued: number | undefined;
};

export function addStatusCommand(program: Command, context: CommandContext): void {
  program
    .command("status")
    .description("heads, their ages, pools and readiness of a running devnet, or of every process of a network")
    .option("--config <file>", "a network file: who leads, heads, lags and certificates of its processes")
    .option("--data-dir <folder>", "folder of the network", DEFAULT_DATA_DIR)
    .option("--json", "machine-readable output")
    .action(async (options: { dataDir: string; config?: string; json?: boolean }) => {
      if (options.config !== undefined) return networkStatus(options.config, options.json === true, context);
      const path = join(resolve(options.dataDir), "endpoints.json");
      if (!existsSync(path)) throw statusError("STATUS_NO_NETWORK", `${path} is not there`, { path });
      const endpoints = readEndpoints(path);
      const [l1, ready, ...rows] = await Promise.all([
        head(endpoints.l1.rpcUrl, "latest"),
        readiness(endpoints.healthUrl),
        ...endpoints.clusters.map(async (c): Promise<Row> => {
          const [latest, safe, finalized, verifier, pool] = await Promise.all([
            head(c.rpcUrl, "latest"),
            head(c.rpcUrl, "safe"),
            head(c.rpcUrl, "finalized"),
            head(c.verifierRpcUrl, "latest"),
            ask(c.rpcUrl, "txpool_status") as Promise<{ pending: string; queued: string } | undefined>,
          ]);
          const count = (hex: string | undefined): number | undefined => (hex === undefined ? undefined : Number(hex));
          return {
            ...{ name: c.name, chainId: c.chainId, latest, safe, finalized, verifier },
            ...{ pending: count(pool?.pending), queued: count(pool?.queued) },
          };
        }),
      ]);
      if (options.json === true) return context.out(JSON.stringify({ l1, ready, clusters: rows }, null, 2));
      const show = (h: Head): string => (h === undefined ? "no answer" : `${h.number} (${h.ageSeconds} s)`);
      context.out(`L1 ${show(l1)}   ${ready}\n`);
      context.out(
        renderTable(
          ["cluster", "id", "latest", "safe", "finalized", "verifier", "pool pending/queued"],
          rows.map((r) => [
            ...[r.name, String(r.chainId), show(r.latest), show(r.safe), show(r.finalized), show(r.verifier)],
            `${r.pending ?? "?"}/${r.queued ?? "?"}`,
          ]),
        ),
      );
    });
}

function readEndpoints(path: string): Endpoints {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as Endpoints;
  } catch (cause) {
    throw statusError("STATUS_NO_NETWORK", `${path} is not a devnet's: it is no JSON`, { path }, { cause });
  }
}

async function ask(url: string, method: string, params: readonly unknown[] = []): Promise<unknown> {
  try {
    return await new JsonRpcClient({ url, timeoutMs: 3_000 }).call(method, [...params]);
  } catch {
    return undefined;
  }
}

async function head(url: string, tag: string): Promise<Head> {
  const block = (await ask(url, "eth_getBlockByNumber", [tag, false])) as
    | { number: string; timestamp: string }
    | null
    | undefined;
  if (block === undefined || block === null) return undefined;
  const ageSeconds = Math.round(systemClock.nowMs() / 1_000 - Number(block.timestamp));
  return { number: Number(block.number), ageSeconds };
}

async function readiness(healthUrl: string): Promise<string> {
  try {
    const response = await fetch(`${healthUrl}/readyz`, { signal: AbortSignal.timeout(3_000) });
    return response.ok ? "ready" : `not ready: ${(await response.text()).trim()}`;
  } catch {
    return "health endpoint does not answer";
  }
}
