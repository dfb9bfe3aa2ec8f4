/**
 * `sheaf verify`: rebuilds a cluster from L1 alone and compares it with the output roots that were posted. It asks the
 * sequencer nothing; with --follow it goes on and serves what it derived.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { type Command, Option } from "commander";
import { toHex } from "../base/bytes.ts";
import { systemClock } from "../base/clock.ts";
import { readConfig } from "../base/config.ts";
import { defineErrors, isRetryable } from "../base/error.ts";
import { createLog } from "../base/log.ts";
import { Metrics } from "../base/metrics.ts";
import { runAll } from "../base/service.ts";
import { BeaconBlobs } from "../da/beacon.ts";
import { BlobArchive } from "../da/blob-archive.ts";
import { BlobSources } from "../da/blob-sources.ts";
import { ENGINES, type EngineName, engineConfig } from "../execution/config.ts";
import { openEngine } from "../execution/engines.ts";
import { SenderRecovery } from "../gateway/sender-recovery.ts";
import { l1Config } from "../l1/config.ts";
import { chainIdOf, connectL1 } from "../l1/connect-l1.ts";
import { JsonRpcClient } from "../l1/json-rpc.ts";
import { rollupView } from "../node/rollup-view.ts";
import { VerifierNode } from "../node/verifier-node.ts";
import { rpcConfig } from "../rpc/config.ts";
import { RpcServer } from "../rpc/server.ts";
import { RpcAccessLists } from "../verifier/access-list-source.ts";
import type { Verifier } from "../verifier/verifier.ts";
import type { CommandContext } from "./context.ts";
import { readAddress } from "./option-values.ts";
import { renderTable } from "./table.ts";

export const verifyError = defineErrors("Verify", {
  VERIFY_DIVERGED: {
    summary: "What was posted or sealed contradicts what L1 says the chain is.",
    action: "Do not settle on the posted output; compare the named block and transaction.",
    retryable: false,
  },
  VERIFY_OPTIONS: {
    summary: "Two options of `sheaf verify` exclude each other.",
    action: "Leave one of them out.",
    retryable: false,
  },
});

const RETRY_MS = 1_000;
/** Failures in a row, without any progress, that end it. */
const RETRIES_MAX = 5;

type Options = {
  l1: string;
  beacon?: string;
  inbox: Uint8Array;
  archive?: string;
  dataDir?: string;
  engine: EngineName;
  accessLists?: string;
  follow?: boolean;
  port: string;
  json?: boolean;
};

export function addVerifyCommand(program: Command, context: CommandContext): void {
  program
    .command("verify")
    .description("rebuild a cluster from L1 alone: derive, execute, compare with the posted output roots")
    .requiredOption("--l1 <url>", "L1 JSON-RPC; several with commas between them, of which a majority must agree")
    .option("--beacon <url>", "L1 beacon API (default: the first JSON-RPC address, as anvil has it)")
    .requiredOption("--inbox <address>", "inbox contract of the cluster", readAddress)
    .option("--archive <folder>", "blob archive to read what L1 has pruned, and to keep what is fetched")
    .option("--data-dir <folder>", "where to keep what is derived (default: a temporary folder)")
    .addOption(new Option("--engine <name>", "which engine executes").choices([...ENGINES]).default(ENGINES[0]))
    .option(
      "--access-lists <url>",
      "JSON-RPC of a node that serves block access lists: blocks are replayed in parallel from them, and checked (wasm)",
    )
    .option("--follow", "go on following L1, and serve JSON-RPC")
    .option("--port <port>", "JSON-RPC port with --follow (0: a free one)", "0")
    .option("--json", "machine-readable result")
    .addHelpText(
      "after",
      `
Example (addresses are in .sheaf/devnet/endpoints.json):
  $ npx sheaf verify --l1 http://127.0.0.1:8545 --inbox 0x… --engine ethereumjs`,
    )
    .action((options: Options) => runVerify(options, context));
}

async function runVerify(options: Options, context: CommandContext): Promise<void> {
  if (options.accessLists !== undefined && options.engine !== "wasm")
    throw verifyError("VERIFY_OPTIONS", `--access-lists replays with engine wasm, not ${options.engine}`);
  const temporary = options.dataDir === undefined;
  const folder = temporary ? mkdtempSync(join(tmpdir(), "sheaf-verify-")) : resolve(options.dataDir as string);
  const log = createLog({ level: options.follow === true ? "info" : "warn" });
  const metrics = new Metrics();
  const { reader: l1 } = connectL1(options.l1, {
    ...readConfig(l1Config, context.env),
    chainId: await chainIdOf(options.l1),
    metrics,
    log,
  });
  const engine = await openEngine(
    { ...readConfig(engineConfig, context.env), engine: options.engine },
    { log, metrics },
  );
  const blobs = new BlobSources({
    sources: [new BeaconBlobs({ url: options.beacon ?? (options.l1.split(",")[0] as string) })],
    ...(options.archive === undefined ? {} : { archive: new BlobArchive(resolve(options.archive)) }),
    log,
  });
  // One thread is left to execution, which is the other half of the work.
  const recovery = new SenderRecovery(Math.max(1, availableParallelism() - 1), log);
  const node = await VerifierNode.open({
    path: join(folder, "db"),
    l1,
    blobs,
    inbox: options.inbox,
    engine,
    recovery,
    ...(options.accessLists === undefined
      ? {}
      : { lists: new RpcAccessLists(new JsonRpcClient({ url: options.accessLists, timeoutMs: 5_000 })) }),
    env: replayEnv(options, context.env),
    log,
    metrics: metrics.withLabels({ rollup: "verify", cluster: toHex(options.inbox) }),
    clock: systemClock,
  });
  try {
    const startMs = systemClock.nowMs();
    const startBlock = node.chain.head;
    let transactions = 0;
    let shownMs = 0;
    node.verifier.subscribe({
      safe: (block) => {
        transactions += block.transactions.length;
        if (!context.isTerminal || systemClock.nowMs() - shownMs < 200) return;
        shownMs = systemClock.nowMs();
        process.stderr.write(`\r\u001b[Kderiving: block ${block.header.number}, L1 ${block.origin.number}`);
      },
    });
    await catchUp(node.verifier, context.signal);
    if (context.isTerminal) process.stderr.write("\r\u001b[K");
    const seconds = (systemClock.nowMs() - startMs) / 1_000;
    const status = node.verifier.status();
    const result = {
      chainId: node.verifier.genesis.chainId,
      engine: engine.name,
      safe: { number: status.safe.number, hash: toHex(status.safe.hash) },
      finalized: { number: status.finalized.number, hash: toHex(status.finalized.hash) },
      stateRoot: toHex(node.chain.block(status.safe.number)?.header.stateRoot ?? new Uint8Array(32)),
      outputRoot: toHex(node.verifier.outputRootAt(status.safe.number)?.outputRoot ?? new Uint8Array(32)),
      l1Block: status.l1Derived.number,
      segments: status.nextIndex,
      blocks: node.chain.head - startBlock,
      transactions,
      seconds,
      divergence: status.divergence === undefined ? null : status.notReady,
    };
    if (options.json === true) context.out(JSON.stringify(result, null, 2));
    else
      context.out(
        renderTable(
          ["rebuilt from L1 alone", ""],
          [
            ["chain id", String(result.chainId)],
            ["engine", result.engine],
            ["safe head", `${result.safe.number}  ${result.safe.hash}`],
            ["finalized head", `${result.finalized.number}  ${result.finalized.hash}`],
            ["state root", result.stateRoot],
            ["output root", result.outputRoot],
            ["segments, L1 block", `${result.segments}, ${result.l1Block}`],
            ["this run", `${result.blocks} blocks, ${transactions} transactions in ${seconds.toFixed(1)} s`],
            ["posted output roots", result.divergence ?? "all agree"],
          ],
        ),
      );
    if (status.divergence !== undefined) throw verifyError("VERIFY_DIVERGED", status.notReady ?? "");
    if (options.follow === true) {
      const server = await RpcServer.create(
        { config: readConfig(rpcConfig, context.env), port: Number(options.port) },
        {
          chain: node.view,
          baseFeeRule: node.verifier.genesis,
          rollup: rollupView(node.verifier),
          log,
          metrics: metrics.withLabels({ rollup: "verify", cluster: toHex(options.inbox), role: "verifier" }),
        },
      );
      context.out(`serving what is derived at ${server.url}`);
      await runAll(context.signal, [node.verifier, server]);
    }
  } finally {
    await node.close();
    await engine.close();
    await recovery.close();
    if (temporary) rmSync(folder, { recursive: true, force: true });
  }
}

/** With lists to replay from, a thread for each core, unless the settings say otherwise. */
function replayEnv(options: Options, env: CommandContext["env"]): CommandContext["env"] {
  if (options.accessLists === undefined) return env;
  return { SHEAF_VERIFIER_REPLAY_THREADS: String(availableParallelism()), ...env };
}

/** Derives all that L1 has; an endpoint that fails now and then does not end it, one that stays away does. */
async function catchUp(verifier: Verifier, signal: AbortSignal): Promise<void> {
  let failures = 0;
  let reached = -1;
  for (;;) {
    try {
      return await verifier.catchUp(signal);
    } catch (error) {
      const { l1Derived } = verifier.status();
      failures = l1Derived.number > reached ? 1 : failures + 1;
      reached = l1Derived.number;
      if (!isRetryable(error) || failures > RETRIES_MAX || signal.aborted) throw error;
      await systemClock.sleep(RETRY_MS, signal);
    }
  }
}
