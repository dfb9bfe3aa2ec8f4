/**
 * Owns what a development L1 is prepared with: the contracts of a network and of its clusters, their genesis documents,
 * and the ether that the accounts of roles and users start with. Nothing of it runs against another L1: it sets balances.
 */
import { type Address, createWalletClient, defineChain, encodeFunctionData, http, publicActions } from "viem";
import { assert } from "../base/assert.ts";
import { toHex } from "../base/bytes.ts";
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import { Loop } from "../base/loop.ts";
import { inboxAbi } from "../l1/abi/inbox.ts";
import { type Deployer, deployClusters, deployNetwork } from "../l1/deploy.ts";
import type { JsonRpcClient } from "../l1/json-rpc.ts";
import type { ClusterContracts, Genesis } from "../protocol/genesis.ts";
import { encodeGenesis } from "../protocol/genesis-codec.ts";
import { clusterAccounts, type DevAccount, networkAccounts, posterAccounts, userAccounts } from "./accounts.ts";
import { buildGenesisAlloc } from "./genesis-alloc.ts";
import { installOnDevnetL1 } from "./preinstalls.ts";

export const L1_CHAIN_ID = 31_337;
const FIRST_CHAIN_ID = 901;
const USER_BALANCE_WEI = 10_000n * 10n ** 18n;
const ROLE_BALANCE_WEI = 1_000n * 10n ** 18n;

export type DeploymentOptions = {
  readonly clusters: number;
  /** In L1 blocks. */
  readonly sequencingWindow?: number;
  readonly challengePeriodSeconds?: number;
  /** In L2 blocks. */
  readonly submissionInterval?: number;
  /** How far blocks may be ahead of their L1 origin. */
  readonly maxDriftSeconds?: number;
};

/** What was deployed; the devnet's folder remembers it. */
export type Deployment = {
  readonly version: 1;
  readonly l1GenesisHash: string;
  readonly clusters: readonly { name: string; chainId: number; contracts: Record<keyof ClusterContracts, Address> }[];
};

/** Deploys a network on the L1 at `rpcUrl`, mining as it needs; blocks come by themselves no more when it resolves. */
export async function deployOnDevnetL1(
  rpcUrl: string,
  l1: JsonRpcClient,
  options: DeploymentOptions,
  { progress, clock, log }: { progress: (step: string) => void; clock: Clock; log: Log },
): Promise<Deployment> {
  progress("deploying contracts");
  await l1.call("evm_setAutomine", [true]);
  const deployed = new AbortController();
  const mining = minePending(l1, clock, log, deployed.signal);
  const deployment = await deploy(rpcUrl, l1, options, progress).finally(() => deployed.abort());
  await mining;
  return deployment;
}

async function deploy(
  rpcUrl: string,
  l1: JsonRpcClient,
  options: DeploymentOptions,
  progress: (step: string) => void,
): Promise<Deployment> {
  const { hash: l1GenesisHash } = (await l1.call("eth_getBlockByNumber", ["0x0", false])) as { hash: string };
  const count = options.clusters;
  const { deployer, upgrader } = networkAccounts();
  const roles = Array.from({ length: count }, (_, i) => clusterAccounts(i));
  const users = userAccounts();
  const funded = users.map((u) => ({ address: u.address, balanceWei: USER_BALANCE_WEI }));
  const escrowWei = funded.reduce((sum, f) => sum + f.balanceWei, 0n);
  const fund = (account: DevAccount, wei: bigint): Promise<unknown> =>
    l1.call("anvil_setBalance", [toHex(account.address), `0x${wei.toString(16)}`]);
  await Promise.all([
    installOnDevnetL1(l1),
    fund(deployer, ROLE_BALANCE_WEI),
    ...roles.flatMap((r, i) => [...Object.values(r), ...posterAccounts(i)].map((a) => fund(a, ROLE_BALANCE_WEI))),
  ]);
  const transport = http(rpcUrl);
  const base: Deployer = { transport, account: deployer.signer, chainId: L1_CHAIN_ID, pollMs: 25 };
  const network = await deployNetwork(base, {
    timelockDelaySeconds: 60n,
    timelockProposers: [upgrader.signer.address],
    timelockExecutors: [upgrader.signer.address],
  });
  const deployments = await deployClusters(
    base,
    network,
    roles.map((r, i) => ({
      chainId: FIRST_CHAIN_ID + i,
      name: `cluster-${FIRST_CHAIN_ID + i}`,
      guardian: r.guardian.signer.address,
      operator: r.operator.signer.address,
      sequencer: r.sequencer.signer.address,
      posters: posterAccounts(i).map((a) => a.signer.address),
      proposer: r.proposer.signer.address,
      challenger: r.challenger.signer.address,
      gasLimit: 60_000_000,
      baseFeeScalar: 1_368,
      blobBaseFeeScalar: 810_949,
      submissionInterval: options.submissionInterval ?? 6,
      l2BlockTimeSeconds: 1,
      finalizationPeriodSeconds: options.challengePeriodSeconds ?? 12,
    })),
  );
  progress("publishing genesis");
  const chain = defineChain({
    id: L1_CHAIN_ID,
    name: "devnet L1",
    nativeCurrency: { name: "Ether", symbol: "ETH", decimals: 18 },
    rpcUrls: { default: { http: [rpcUrl] } },
  });
  const head = (await l1.call("eth_getBlockByNumber", ["latest", false])) as { timestamp: string };
  for (const [i, d] of deployments.entries()) {
    const role = roles[i];
    assert(role !== undefined, "every cluster has its keys");
    const genesis: Genesis = {
      version: 1,
      name: `cluster-${d.chainId}`,
      chainId: d.chainId,
      l1ChainId: L1_CHAIN_ID,
      contracts: d.contracts,
      timestamp: Number(head.timestamp),
      baseFeePerGasWei: 1_000_000_000n,
      systemConfig: { gasLimit: 60_000_000, baseFeeScalar: 1_368, blobBaseFeeScalar: 810_949 },
      elasticity: 2,
      baseFeeDenominator: 8,
      sequencingWindow: options.sequencingWindow ?? 3_600,
      maxDriftSeconds: options.maxDriftSeconds ?? 1_800,
      alloc: buildGenesisAlloc({
        contracts: d.contracts,
        timelock: network.timelock,
        feeVaults: { recipient: role.operator.address, minWithdrawalWei: 10n ** 18n, network: "l1" },
        funded,
      }),
    };
    const operator = createWalletClient({ account: role.operator.signer, chain, transport }).extend(publicActions);
    const hash = await operator.sendTransaction({
      to: toHex(d.contracts.inbox),
      data: encodeFunctionData({
        abi: inboxAbi,
        functionName: "publishGenesis",
        args: [toHex(encodeGenesis(genesis))],
      }),
    });
    const receipt = await operator.waitForTransactionReceipt({ hash, pollingInterval: 25 });
    assert(receipt.status === "success", "genesis is published once, by the operator");
    // The ether that genesis gives out in the cluster is held by the portal on L1.
    await l1.call("anvil_setBalance", [toHex(d.contracts.portal), `0x${escrowWei.toString(16)}`]);
  }
  return {
    version: 1,
    l1GenesisHash,
    clusters: deployments.map((d) => ({
      name: `cluster-${d.chainId}`,
      chainId: d.chainId,
      contracts: Object.fromEntries(Object.entries(d.contracts).map(([name, a]) => [name, toHex(a)])) as Record<
        keyof ClusterContracts,
        Address
      >,
    })),
  };
}

/** Automine now and then leaves a transaction that waited for an earlier nonce: mines while something is pending. */
function minePending(l1: JsonRpcClient, clock: Clock, log: Log, signal: AbortSignal): Promise<void> {
  const step = async (): Promise<void> => {
    const { pending } = (await l1.call("txpool_status", [])) as { pending: string };
    if (Number(pending) > 0) await l1.call("evm_mine", []);
  };
  return new Loop("mine what is pending", step, { everyMs: 500, log, clock }).run(signal);
}
