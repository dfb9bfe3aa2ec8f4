/** Owns what L1 tests stand on: an anvil with one cluster's contracts, its keys, and a reader. */
import type { TestContext } from "node:test";
import { encodeFunctionData, http } from "viem";
import { type HDAccount, mnemonicToAccount } from "viem/accounts";
import { toHex } from "../../base/bytes.ts";
import { silentLog } from "../../base/log.ts";
import { Metrics } from "../../base/metrics.ts";
import { until as waitUntil } from "../../base/testing/until.ts";
import type { ClusterContracts } from "../../protocol/genesis.ts";
import type { L1BlockInfo } from "../../protocol/system-config.ts";
import { inboxAbi } from "../abi/inbox.ts";
import { sheafOutputOracleAbi } from "../abi/sheaf-output-oracle.ts";
import { systemConfigAbi } from "../abi/system-config.ts";
import { Anvil, type AnvilOptions, DEV_MNEMONIC } from "../anvil.ts";
import { deployCluster, deployNetwork } from "../deploy.ts";
import type { JsonRpc } from "../json-rpc.ts";
import { L1Sender, type L1SenderOptions, SENDER_DEFAULTS } from "../l1-sender.ts";
import { localSigner } from "../l1-signer.ts";
import { senderMetrics } from "../metrics.ts";
import { RpcL1 } from "../rpc-l1.ts";

const account = (index: number): HDAccount => mnemonicToAccount(DEV_MNEMONIC, { addressIndex: index });
export const keyOf = (index: number): Uint8Array => account(index).getHdKey().privateKey as Uint8Array;

/** Accounts by what they do in a test cluster. */
export const ROLE_ACCOUNTS = { operator: 0, sequencer: 1, poster: 2, proposer: 3, challenger: 4 } as const;

export type Settlement = {
  readonly anvil: Anvil;
  readonly l1: RpcL1;
  readonly contracts: ClusterContracts;
  /** The L1 block of the genesis event. */
  readonly origin: L1BlockInfo;
};

/**
 * Mines what anvil's automine leaves behind: it now and then overlooks a transaction that arrives while it mines, which
 * then waits for the next one. Without an effect where blocks come by themselves.
 */
export function sweepPool(anvil: Anvil, onEnd: (end: () => void) => void): void {
  const state = { over: false, waiting: 0 };
  onEnd(() => {
    state.over = true;
  });
  const sweep = async (): Promise<void> => {
    if (state.over) return;
    try {
      const { pending } = (await anvil.rpc.call("txpool_status", [])) as { pending: string };
      state.waiting = Number(pending) > 0 ? state.waiting + 1 : 0;
      if (state.waiting >= 3) await anvil.mine(1);
    } catch {
      // the test stopped it
    }
    setTimeout(() => void sweep(), 100).unref();
  };
  void sweep();
}

/** Starts an L1 of its own with one cluster on it. */
export async function startSettlement(
  t: TestContext,
  options: AnvilOptions & {
    readonly genesis?: Uint8Array | ((contracts: ClusterContracts) => Uint8Array);
    readonly submissionInterval?: number;
  } = {},
): Promise<Settlement> {
  const { blockTimeSeconds, manualMining, ...rest } = options;
  const anvil = await Anvil.start(rest);
  t.after(() => anvil.kill());
  const deployed = new AbortController();
  sweepPool(anvil, (end) => deployed.signal.addEventListener("abort", end));
  const deployer = { transport: http(anvil.rpcUrl), account: account(0), chainId: anvil.chainId, pollMs: 10 };
  const network = await deployNetwork(deployer, {
    timelockDelaySeconds: 0n,
    timelockProposers: [account(0).address],
    timelockExecutors: [account(0).address],
  });
  const { contracts } = await deployCluster(deployer, network, {
    chainId: 901,
    name: "test",
    guardian: account(0).address,
    operator: account(ROLE_ACCOUNTS.operator).address,
    sequencer: account(ROLE_ACCOUNTS.sequencer).address,
    posters: [account(ROLE_ACCOUNTS.poster).address],
    proposer: account(ROLE_ACCOUNTS.proposer).address,
    challenger: account(ROLE_ACCOUNTS.challenger).address,
    gasLimit: 30_000_000,
    baseFeeScalar: 1_000,
    blobBaseFeeScalar: 1_000,
    submissionInterval: options.submissionInterval ?? 5,
    l2BlockTimeSeconds: 1,
    finalizationPeriodSeconds: 10,
  });
  const l1 = new RpcL1(anvil.rpc, { chainId: anvil.chainId });
  const { genesis = new Uint8Array([1, 2, 3]) } = options;
  const document = typeof genesis === "function" ? genesis(contracts) : genesis;
  await callAs(
    anvil,
    ROLE_ACCOUNTS.operator,
    contracts.inbox,
    encodeFunctionData({
      abi: inboxAbi,
      functionName: "publishGenesis",
      args: [toHex(document)],
    }),
  );
  const origin = await l1.head();
  deployed.abort();
  if (manualMining === true) await anvil.rpc.call("evm_setAutomine", [false]);
  else if (blockTimeSeconds !== undefined) await anvil.rpc.call("evm_setIntervalMining", [blockTimeSeconds]);
  else sweepPool(anvil, (end) => t.after(end));
  return { anvil, l1, contracts, origin };
}

/** Sends a transaction from one of anvil's own accounts and waits until it is mined. */
export async function callAs(anvil: Anvil, index: number, to: Uint8Array, data: string): Promise<void> {
  const hash = await anvil.rpc.call("eth_sendTransaction", [{ from: account(index).address, to: toHex(to), data }]);
  while ((await anvil.rpc.call("eth_getTransactionReceipt", [hash])) === null)
    await new Promise((resolve) => setTimeout(resolve, 10));
}

/** Allows or forbids an account to post, by default the test poster. */
export async function allowPoster(
  settlement: Settlement,
  allowed: boolean,
  index: number = ROLE_ACCOUNTS.poster,
): Promise<void> {
  const data = encodeFunctionData({
    abi: systemConfigAbi,
    functionName: "setPoster",
    args: [account(index).address, allowed],
  });
  await callAs(settlement.anvil, ROLE_ACCOUNTS.operator, settlement.contracts.systemConfig, data);
}

/** A running sender of one of the accounts. */
export function startSender(
  settlement: Pick<Settlement, "anvil">,
  index: number,
  options: Partial<L1SenderOptions> = {},
  rpc: JsonRpc = settlement.anvil.rpc,
): { sender: L1Sender; metrics: Metrics; stop: () => Promise<void> } {
  const metrics = new Metrics();
  const { chainId } = settlement.anvil;
  const sender = new L1Sender({
    name: "test",
    rpc,
    reader: new RpcL1(rpc, { chainId }),
    signer: localSigner(keyOf(index)),
    options: { ...SENDER_DEFAULTS, chainId, pollMs: 20, tipMinWei: 1n, blobProofs: "blob", ...options },
    abis: [inboxAbi, sheafOutputOracleAbi],
    metrics: senderMetrics(metrics, "test"),
    log: silentLog,
  });
  const abort = new AbortController();
  const done = sender.run(abort.signal);
  return {
    sender,
    metrics,
    stop: async () => {
      abort.abort();
      await done;
    },
  };
}

/** Resolves when `condition` holds. */
export async function until(condition: () => Promise<boolean> | boolean): Promise<void> {
  await waitUntil(condition.toString(), condition);
}
