/**
 * Story: `sheaf up` runs a network of seven processes, on three log servers where there are any. Users transfer, deposit
 * and withdraw while every process is killed once; nothing is lost, a withdrawal is proven, and when the supervisor
 * itself is killed no process is left over.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { type Hash, parseAbi, parseEther } from "viem";
import { getL2TransactionHashes } from "viem/op-stack";
import { toHex } from "../../src/base/bytes.ts";
import { userAccounts } from "../../src/devnet/accounts.ts";
import { buildStale } from "../../src/devnet/build.ts";
import type { Endpoints } from "../../src/devnet/devnet.ts";
import { writeNetwork } from "../../src/devnet/write-network.ts";
import { NatsCluster, natsMissing } from "../../src/log/nats-cluster.ts";
import { type Network, readNetwork } from "../../src/node/network-file.ts";
import type { ChildState } from "../../src/node/supervisor.ts";
import { clientsOf, STORY_SETTINGS, until } from "../e2e/fixture.ts";

const root = resolve(import.meta.dirname, "..", "..");
const TOKEN = "a-token-of-this-test";

/** A supervised network as a user has it: a folder and a command. */
class Up {
  readonly network: Network;
  #child: ChildProcess | undefined;

  constructor(network: Network) {
    this.network = network;
  }

  start(): void {
    rmSync(this.#path, { force: true });
    const args = ["--import", "tsx", "src/main.ts", "up", "--config", this.network.path];
    const child = spawn(process.execPath, args, { cwd: root, stdio: "ignore" });
    this.#child = child;
  }

  get #path(): string {
    return join(this.network.folder, this.network.dataDir, "processes.json");
  }

  get states(): readonly ChildState[] {
    if (!existsSync(this.#path)) return [];
    return (JSON.parse(readFileSync(this.#path, "utf8")) as { processes: readonly ChildState[] }).processes;
  }

  state(name: string): ChildState {
    return this.states.find((s) => s.name === name) ?? assert.fail(`no process ${name}`);
  }

  /** Resolves when everything runs and says that it is ready. */
  async ready(): Promise<void> {
    await until("every process runs", () => this.states.length > 0 && this.states.every((s) => s.state === "running"));
    for (const { name, health } of this.network.processes)
      if (health !== undefined)
        await until(`${name} is ready`, () =>
          fetch(`http://${health}/readyz`)
            .then((answer) => answer.ok)
            .catch(() => false),
        );
  }

  /** kill -9; resolves when another one has its place. */
  async kill(...names: readonly string[]): Promise<void> {
    const before = names.map((name) => this.state(name));
    for (const { pid } of before) process.kill(pid as number, "SIGKILL");
    for (const { name, pid } of before)
      await until(`${name} is started again`, () => {
        const now = this.state(name);
        return now.state === "running" && now.pid !== pid;
      });
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((done) => child.once("exit", done));
    child.kill(signal);
    await gone;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

test("a network of processes survives the death of each of them, and leaves none behind", async (t) => {
  const startMs = performance.now();
  let passed = false;
  const step = (what: string): void => console.log(`${Math.round((performance.now() - startMs) / 1_000)} s: ${what}`);
  await buildStale();
  const folder = mkdtempSync(join(tmpdir(), "sheaf-processes-"));
  const missing = natsMissing();
  const credentials = { token: TOKEN };
  const servers =
    missing === false
      ? await NatsCluster.start({ config: `authorization { token: "${TOKEN}" }`, credentials })
      : undefined;
  if (missing !== false) t.diagnostic(`logs are files: ${missing}`);
  await servers?.ready();
  writeFileSync(join(folder, "token"), TOKEN, { mode: 0o600 });
  const { path, deployment } = await writeNetwork({
    folder,
    clusters: 1,
    executors: 2,
    firstPort: 0,
    submissionInterval: 3,
    challengePeriodSeconds: 3,
    ...(servers === undefined ? {} : { logs: { servers: servers.servers, replicas: 3, tokenFile: "token" } }),
    settings: { ...STORY_SETTINGS, SHEAF_DEVNET_L1_BLOCK_SECONDS: "1", SHEAF_LOG_LEASE_MS: "1000" },
  });
  const up = new Up(readNetwork(path));
  t.after(async () => {
    await up.end("SIGKILL");
    await until("no process is left", () => !up.states.some((s) => s.pid !== undefined && isAlive(s.pid)));
    // What the processes had to say, for whoever reads of a failure.
    const log = join(folder, "data", "network.log");
    if (!passed && existsSync(log))
      for (const line of readFileSync(log, "utf8")
        .split("\n")
        .filter((l) => !l.includes('"level":"info"'))
        .slice(-40))
        console.log(line.slice(0, 400));
    await servers?.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  up.start();
  await up.ready();
  step("ready");

  const rpcOf = (name: string): string => up.network.processes.find((p) => p.name === name)?.rpc as string;
  const [cluster] = deployment.clusters;
  assert.ok(cluster !== undefined);
  const { chainId } = cluster;
  const sequencer = `sequencer-${chainId}`;
  const verifier = `verifier-${chainId}`;
  const publisher = `publisher-${chainId}`;
  const l1Url = `http://${rpcOf("l1")}`;
  const endpoints: Endpoints = {
    l1: { rpcUrl: l1Url, beaconUrl: l1Url, chainId: up.network.l1.chainId },
    clusters: [
      {
        ...cluster,
        rpcUrl: `http://${rpcOf(sequencer)}`,
        wsUrl: `ws://${rpcOf(sequencer)}`,
        verifierRpcUrl: `http://${rpcOf(verifier)}`,
      },
    ],
    accounts: userAccounts().map((a) => ({ address: a.signer.address, privateKey: toHex(a.privateKey) })),
    healthUrl: "",
    ready: true,
  };
  const { l1, l2, account, l2Chain } = clientsOf(endpoints);
  // A deposit counts as a transaction of its sender: another one's, so that nonces are told here.
  const depositor = clientsOf(endpoints, 0, 1);
  const fresh = "0x00000000000000000000000000000000000000dd";
  const sent: Hash[] = [];
  let nonce = 0;
  /** A transfer that is accepted; one whose answer a kill ate is asked for again. */
  const transfer = (): Promise<void> =>
    until("a transfer is accepted", async () => {
      try {
        sent.push(await l2.sendTransaction({ account, to: fresh, value: 1n, nonce, gas: 21_000n } as never));
      } catch (error) {
        if (!/already known|nonce too low/i.test(String(error))) return false;
      }
      nonce++;
      return true;
    }).then(() => undefined);

  await transfer();
  await l2.waitForTransactionReceipt({ hash: sent[0] as Hash });
  step("transferred");
  const request = await depositor.l2.buildDepositTransaction({
    mint: parseEther("1"),
    to: fresh,
    account: depositor.account.address,
  });
  const deposited = await l1.waitForTransactionReceipt({
    hash: await depositor.l1.depositTransaction({ ...request, account: depositor.account } as never),
  });
  step("deposited on L1");
  const withdrawal = await l1.buildInitiateWithdrawal({ account, to: fresh, value: 5n } as never);
  const withdrawn = await l2.waitForTransactionReceipt({
    hash: await l2.initiateWithdrawal({ ...(withdrawal as object), account, nonce: nonce++ } as never),
  });
  const [l2Hash] = getL2TransactionHashes({ logs: deposited.logs });
  assert.equal((await l2.waitForTransactionReceipt({ hash: l2Hash as Hash })).status, "success");

  for (const names of [
    [`executor-${chainId}-1`, publisher, verifier],
    [sequencer, `executor-${chainId}-2`],
    ["l1", publisher],
  ]) {
    await Promise.all([up.kill(...names), transfer()]);
    await transfer();
    step(`${names.join(", ")} killed`);
  }
  await up.ready();
  step("all ready again");

  // What was withdrawn before all that is posted, derived, proposed and proven.
  const oracle = {
    address: cluster.contracts.outputOracle,
    abi: parseAbi(["function latestOutputIndex() view returns (uint256)"]),
    functionName: "latestOutputIndex",
  } as const;
  await until("a first output", () =>
    l1
      .readContract(oracle)
      .then(() => true)
      .catch(() => false),
  );
  const { output, withdrawal: proven } = await l1.waitToProve({ receipt: withdrawn, targetChain: l2Chain });
  const args = await l2.buildProveWithdrawal({ account, output, withdrawal: proven });
  const proof = await l1.proveWithdrawal({ ...args, targetChain: l2Chain } as never);
  assert.equal((await l1.waitForTransactionReceipt({ hash: proof })).status, "success");

  step("proven");
  // The supervisor dies: everybody ends by himself, and the next one goes on with the same chains.
  const pids = up.states.map((s) => s.pid as number);
  await up.end("SIGKILL");
  await until("no process is left", () => !pids.some(isAlive));
  step("supervisor killed");
  up.start();
  await up.ready();
  step("up again");
  await transfer();
  for (const hash of sent) assert.equal((await l2.waitForTransactionReceipt({ hash })).status, "success");
  await until(
    "each transfer happened once",
    async () => (await l2.getBalance({ address: fresh })) === parseEther("1") + BigInt(nonce - 1),
  );

  const last = up.states.map((s) => s.pid as number);
  await up.end("SIGINT");
  assert.deepEqual(last.filter(isAlive), []);
  await assert.rejects(l1.getBlockNumber({ cacheTime: 0 }));
  passed = true;
});
