/** `sheaf devnet` (what `npm start` runs): a whole network on this machine until Ctrl-C. */
import { rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { type Command, InvalidArgumentError, Option } from "commander";
import { buildStale } from "../devnet/build.ts";
import { DEFAULT_PORTS, Devnet, type DevnetOptions, type Endpoints } from "../devnet/devnet.ts";
import { writeJson } from "../devnet/json-file.ts";
import type { CommandContext } from "./context.ts";
import { readInteger } from "./option-values.ts";
import { Progress } from "./progress.ts";
import { renderTable } from "./table.ts";

type Options = {
  executors?: number;
  fresh?: boolean;
  clusters: number;
  ports?: NonNullable<DevnetOptions["ports"]>;
  json?: boolean;
  dataDir: string;
  l1BlockTime: number;
  sequencingWindow: number;
  challengePeriod: number;
  shadow?: string;
  logLevel: NonNullable<DevnetOptions["logLevel"]>;
};

export const DEFAULT_DATA_DIR = join(".sheaf", "devnet");

export function addDevnetCommand(program: Command, context: CommandContext): void {
  program
    .command("devnet")
    .description(
      "run an L1, the settlement contracts and rollup clusters on this machine; Ctrl-C stops, a second start resumes",
    )
    .option("--fresh", "begin again: forget what the data folder holds")
    .option("--clusters <n>", "how many clusters", readInteger(1, 16), 2)
    .option(
      "--ports <list>",
      `ports as l1=${DEFAULT_PORTS.l1},cluster=${DEFAULT_PORTS.cluster},verifier=${DEFAULT_PORTS.verifier},health=${DEFAULT_PORTS.health} (or just the numbers in this order); cluster i takes the i-th port from its first; 0 takes free ones`,
      parsePorts,
    )
    .option("--executors <n>", "executors of each cluster (default: SHEAF_EXECUTORS, or 1)", readInteger(1, 64))
    .option("--json", "print the endpoints as JSON instead of a table")
    .option("--data-dir <folder>", "where the network lives between starts", DEFAULT_DATA_DIR)
    .option("--l1-block-time <seconds>", "time between L1 blocks", readInteger(1, 60), 2)
    .option(
      "--sequencing-window <l1 blocks>",
      "how long data may take to reach L1 (fixed at the first start)",
      readInteger(4, 100_000),
      3_600,
    )
    .option(
      "--challenge-period <seconds>",
      "how long an output stands before withdrawals finalize (fixed at the first start)",
      readInteger(1, 604_800),
      12,
    )
    .addOption(
      new Option("--shadow <mode>", "check every block with the second engine (SHEAF_SHADOW)").choices([
        "off",
        "advisory",
        "required",
      ]),
    )
    .addOption(
      new Option("--log-level <level>", "least level that is logged, to devnet.log in the data folder")
        .choices(["debug", "info", "warn", "error", "silent"])
        .default("info"),
    )
    .addHelpText(
      "after",
      `
Examples:
  $ npm start                                  two clusters on ports 9545 and 9546
  $ npm start -- --fresh --clusters 1          one cluster, from nothing
  $ npm start -- --ports 0,0,0,0 --json        free ports, endpoints as JSON`,
    )
    .action((options: Options) => runDevnet(options, context));
}

async function runDevnet(options: Options, context: CommandContext): Promise<void> {
  const dataDir = resolve(options.dataDir);
  const endpointsPath = join(dataDir, "endpoints.json");
  const progress = new Progress(context);
  rmSync(endpointsPath, { force: true });
  progress.step("compiling what is stale");
  await buildStale();
  const devnet = await Devnet.create({
    dataDir,
    fresh: options.fresh ?? false,
    clusters: options.clusters,
    ...(options.ports === undefined ? {} : { ports: options.ports }),
    l1BlockTimeSeconds: options.l1BlockTime,
    sequencingWindow: options.sequencingWindow,
    challengePeriodSeconds: options.challengePeriod,
    logLevel: options.logLevel,
    env: {
      ...context.env,
      ...(options.shadow === undefined ? {} : { SHEAF_SHADOW: options.shadow }),
      ...(options.executors === undefined ? {} : { SHEAF_EXECUTORS: String(options.executors) }),
    },
    onProgress: (step) => progress.step(step),
  });
  try {
    const running = devnet.run(context.signal);
    progress.step("waiting for the first blocks");
    await Promise.race([devnet.ready(context.signal), running]);
    progress.done();
    if (!context.signal.aborted) {
      writeJson(endpointsPath, devnet.endpoints);
      context.out(
        options.json === true ? JSON.stringify(devnet.endpoints, null, 2) : describe(devnet.endpoints, dataDir),
      );
    }
    await running;
  } finally {
    progress.done();
    rmSync(endpointsPath, { force: true });
    await devnet.close();
  }
}

function describe(endpoints: Endpoints, dataDir: string): string {
  const { l1, clusters, accounts } = endpoints;
  const rows = [
    ["L1", String(l1.chainId), l1.rpcUrl, "", ""],
    ...clusters.map((c) => [c.name, String(c.chainId), c.rpcUrl, c.wsUrl, c.verifierRpcUrl]),
  ];
  const names = Object.keys(clusters[0]?.contracts ?? {}) as (keyof Endpoints["clusters"][number]["contracts"])[];
  return [
    "",
    renderTable(["chain", "id", "JSON-RPC", "WebSocket", "verifier JSON-RPC"], rows),
    "",
    renderTable(
      ["L1 contract", ...clusters.map((c) => c.name)],
      names.map((name) => [name, ...clusters.map((c) => c.contracts[name])]),
    ),
    "",
    renderTable(
      ["funded account (10,000 ETH on L1 and in each cluster)", "private key (public, for development only)"],
      accounts.map((a) => [a.address, a.privateKey]),
    ),
    "",
    `health and metrics  ${endpoints.healthUrl}/readyz  ${endpoints.healthUrl}/metrics`,
    `data, logs          ${dataDir}`,
    "Ctrl-C stops; the next start resumes the same chains (--fresh begins again).",
    "",
  ].join("\n");
}

function parsePorts(text: string): NonNullable<DevnetOptions["ports"]> {
  const order = ["l1", "cluster", "verifier", "health"] as const;
  const ports: { l1?: number; cluster?: number; verifier?: number; health?: number } = {};
  for (const [i, part] of text.split(",").entries()) {
    const [name, value] = part.includes("=") ? part.split("=") : [order[i], part];
    const key = order.find((n) => n === name);
    const port = Number(value);
    if (key === undefined || !/^\d+$/.test(value ?? "") || port > 65_535)
      throw new InvalidArgumentError(`cannot read "${part}": want l1=8545,cluster=9545,verifier=9645,health=9700`);
    ports[key] = port;
  }
  return ports;
}
