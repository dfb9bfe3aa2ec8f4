/**
 * Owns the L1 of the devnet and of tests: an anvil process, started from its real binary (no wrapper between us and the
 * process id), ready when it answers, stopped by its id. It serves the beacon blob endpoint on the same port.
 *
 * State (measured on anvil 1.7.1): blocks, receipts, current state and blobs survive a clean stop, and with
 * `stateIntervalSeconds` also kill -9, back to the last dump; what was mined after it is gone, which followers see as a
 * reorg. Without `keepHistory`, state as of blocks before the restart is gone (calls at them fail, `anvil_reorg` cannot
 * go below the restart); with it each dump holds every historical state and grows without bound. A dump torn by a kill
 * is noticed at start: the copy made at the last good start takes its place.
 * Blobs are kept in memory and in each dump, 262 kB of text each, and are never pruned.
 */
import { type ChildProcess, spawn } from "node:child_process";
import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { dirname } from "node:path";
import { type Clock, systemClock } from "../base/clock.ts";
import { defineErrors } from "../base/error.ts";
import { freePort } from "../base/free-port.ts";
import { JsonRpcClient, quantity, readNumber } from "./json-rpc.ts";

export const anvilError = defineErrors("Anvil", {
  ANVIL_MISSING: {
    summary: "The anvil binary for this platform is not installed.",
    action: "Run npm install with optional dependencies, on a platform that @foundry-rs/anvil supports.",
    retryable: false,
  },
  ANVIL_START: {
    summary: "Anvil ended or did not answer in time after its start.",
    action: "Read its log; another process on the port is the usual cause.",
    retryable: false,
  },
});

/** Mnemonic of anvil's funded accounts: public, for development only. */
export const DEV_MNEMONIC = "test test test test test test test test test test test junk";

export type AnvilOptions = {
  /** 0 or absent: a free one. */
  readonly port?: number;
  readonly chainId?: number;
  /** Absent: a block per transaction. */
  readonly blockTimeSeconds?: number;
  /** No blocks but those asked for with `mine`. */
  readonly manualMining?: boolean;
  readonly accounts?: number;
  /** Where the chain lives between starts; absent: in memory only. */
  readonly statePath?: string;
  /** Seconds between dumps to `statePath`: what kill -9 may lose. */
  readonly stateIntervalSeconds?: number;
  readonly keepHistory?: boolean;
  /** Default 1. What is two epochs old is final. */
  readonly epochSlots?: number;
  readonly hardfork?: string;
  /** Where its output goes; absent: dropped. */
  readonly logPath?: string;
  readonly startTimeoutMs?: number;
  readonly clock?: Clock;
};

const PACKAGES: Readonly<Record<string, string>> = {
  "linux-x64": "linux-amd64",
  "linux-arm64": "linux-arm64",
  "darwin-x64": "darwin-amd64",
  "darwin-arm64": "darwin-arm64",
  "win32-x64": "win32-amd64",
};

/** Path of the anvil executable of this platform. @throws {AnvilError} ANVIL_MISSING */
export function anvilBinary(): string {
  const platform = `${process.platform}-${process.arch}`;
  const suffix = PACKAGES[platform];
  if (suffix === undefined) throw anvilError("ANVIL_MISSING", `no anvil for ${platform}`, { platform });
  const file = process.platform === "win32" ? "anvil.exe" : "anvil";
  try {
    return createRequire(import.meta.url).resolve(`@foundry-rs/anvil-${suffix}/bin/${file}`);
  } catch (cause) {
    throw anvilError("ANVIL_MISSING", `@foundry-rs/anvil-${suffix} is not installed`, { platform }, { cause });
  }
}

/** True when nobody listens on `port` here. */
async function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", () => resolve(false));
    probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(true)));
  });
}

type Dump = {
  readonly blocks?: readonly { readonly header: { readonly number: string; readonly timestamp: string } }[];
};

/** A number that JavaScript would not write back as it was. */
const LONG_NUMBER = /[:,[]\s*-?\d{16,}/;

/**
 * Every start makes a block 0 of its own before it loads the dump, and dumps it with the others; with two of them, which
 * one is block 0 after the next start is chance. Keeps the oldest, on which the chain stands.
 */
function dropLaterGenesis(statePath: string, text: string, dump: Dump): void {
  const starts = dump.blocks?.filter((b) => Number(b.header.number) === 0) ?? [];
  if (starts.length < 2 || LONG_NUMBER.test(text)) return;
  const first = Math.min(...starts.map((b) => Number(b.header.timestamp)));
  const kept = starts.find((b) => Number(b.header.timestamp) === first);
  const blocks = dump.blocks?.filter((b) => Number(b.header.number) !== 0 || b === kept);
  writeFileSync(`${statePath}.tmp`, JSON.stringify({ ...dump, blocks }));
  renameSync(`${statePath}.tmp`, statePath);
}

/** Puts the last good dump in place of a torn one. */
function restoreState(statePath: string): void {
  const good = `${statePath}.good`;
  if (existsSync(statePath)) {
    try {
      const text = readFileSync(statePath, "utf8");
      dropLaterGenesis(statePath, text, JSON.parse(text) as Dump);
      copyFileSync(statePath, `${good}.tmp`);
      renameSync(`${good}.tmp`, good);
      return;
    } catch {
      rmSync(statePath);
    }
  }
  if (existsSync(good)) copyFileSync(good, statePath);
}

export class Anvil {
  readonly rpcUrl: string;
  readonly port: number;
  readonly pid: number;
  readonly chainId: number;
  readonly rpc: JsonRpcClient;
  readonly #process: ChildProcess;
  readonly #exited: Promise<void>;

  private constructor(child: ChildProcess, pid: number, port: number, chainId: number, exited: Promise<void>) {
    this.#process = child;
    this.pid = pid;
    this.port = port;
    this.chainId = chainId;
    this.rpcUrl = `http://127.0.0.1:${port}`;
    this.rpc = new JsonRpcClient({ url: this.rpcUrl, timeoutMs: 30_000 });
    this.#exited = exited;
  }

  /** The beacon API, as far as anvil has one. */
  get beaconUrl(): string {
    return this.rpcUrl;
  }

  /** Resolves when the process is gone, however it went. */
  get exited(): Promise<void> {
    return this.#exited;
  }

  /** Starts anvil and resolves when it answers. @throws {AnvilError} ANVIL_MISSING, ANVIL_START */
  static async start(options: AnvilOptions = {}): Promise<Anvil> {
    const clock = options.clock ?? systemClock;
    const chainId = options.chainId ?? 31_337;
    const port = options.port === undefined || options.port === 0 ? await freePort() : options.port;
    // Asked first: anvil that lost its port takes a while to end, and meanwhile the other one answers for it.
    if (!(await isFree(port))) throw anvilError("ANVIL_START", `port ${port} is taken`, { port });
    const args = ["--port", String(port), "--chain-id", String(chainId)];
    args.push("--slots-in-an-epoch", String(options.epochSlots ?? 1));
    args.push("--accounts", String(options.accounts ?? 10), "--mnemonic", DEV_MNEMONIC, "--quiet");
    if (options.blockTimeSeconds !== undefined) args.push("--block-time", String(options.blockTimeSeconds));
    if (options.manualMining === true) args.push("--no-mining");
    if (options.hardfork !== undefined) args.push("--hardfork", options.hardfork);
    if (options.statePath !== undefined) {
      mkdirSync(dirname(options.statePath), { recursive: true });
      restoreState(options.statePath);
      args.push("--state", options.statePath);
      if (options.stateIntervalSeconds !== undefined)
        args.push("--state-interval", String(options.stateIntervalSeconds));
      if (options.keepHistory === true) args.push("--preserve-historical-states");
    }
    const output = options.logPath === undefined ? "ignore" : openSync(options.logPath, "a");
    // A process group of its own: Ctrl-C is for us, and L1 must outlive the roles that still write to it.
    const child = spawn(anvilBinary(), args, { stdio: ["ignore", output, output], detached: true });
    if (typeof output === "number") closeSync(output);
    let ended = false;
    const exited = new Promise<void>((resolve) => {
      const done = (): void => {
        ended = true;
        resolve();
      };
      child.once("exit", done);
      child.once("error", done); // the binary could not be started
    });
    const anvil = new Anvil(child, child.pid ?? 0, port, chainId, exited);
    const deadlineMs = clock.nowMs() + (options.startTimeoutMs ?? 15_000);
    for (;;) {
      if (ended) throw anvilError("ANVIL_START", `anvil ended at its start on port ${port}`, { port });
      try {
        const answered = readNumber(await anvil.rpc.call("eth_chainId", []), "chain id");
        if (answered === chainId) return anvil;
      } catch {
        // not listening yet
      }
      if (clock.nowMs() > deadlineMs) {
        await anvil.kill();
        throw anvilError("ANVIL_START", `anvil does not answer on port ${port}`, { port });
      }
      await clock.sleep(20);
    }
  }

  /** Mines `count` blocks now. */
  async mine(count = 1): Promise<void> {
    await this.rpc.call("anvil_mine", [quantity(count)]);
  }

  async blockNumber(): Promise<number> {
    return readNumber(await this.rpc.call("eth_blockNumber", []), "block number");
  }

  /**
   * Replaces the newest `depth` blocks with empty ones. Their transactions are gone (anvil does not put them back into
   * its pool), and anvil's clock stays where the common ancestor's was, so it is set to now again.
   */
  async reorg(depth: number, clock: Clock = systemClock): Promise<void> {
    await this.rpc.call("anvil_reorg", [depth, []]);
    await this.rpc.call("evm_setTime", [Math.floor(clock.nowMs() / 1000)]);
  }

  /** Stops cleanly (the state is dumped); after `timeoutMs` it is killed. */
  async stop(timeoutMs = 10_000): Promise<void> {
    this.#process.kill("SIGINT");
    const timer = setTimeout(() => this.#process.kill("SIGKILL"), timeoutMs);
    await this.#exited;
    clearTimeout(timer);
  }

  /** kill -9. */
  async kill(): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#exited;
  }
}
