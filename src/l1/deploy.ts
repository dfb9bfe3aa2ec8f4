/**
 * Owns putting Sheaf's contracts on L1: once per network the timelock, the implementations, the registry and the cluster
 * factory; once per cluster a single transaction to the factory. Nonces are assigned here and everything that can be in
 * flight at once is, so a network is two waits and a cluster one.
 * Invariant: nothing is ever deployed uninitialized; proxies initialize in their constructors (contracts/src/l1/ClusterFactory.sol).
 * On failure it throws and leaves what was mined; a network that is not complete is simply not used.
 */
import {
  type Address,
  type Chain,
  concatHex,
  createPublicClient,
  createWalletClient,
  defineChain,
  encodeAbiParameters,
  encodeFunctionData,
  getContractAddress,
  type Hash,
  type Hex,
  hexToBytes,
  type LocalAccount,
  type TransactionReceipt,
  type Transport,
} from "viem";
import { defineErrors } from "../base/error.ts";
import type { ClusterContracts } from "../protocol/genesis.ts";
import { clusterFactoryAbi } from "./abi/cluster-factory.ts";
import { clusterRegistryAbi } from "./abi/cluster-registry.ts";
import { type Artifact, readArtifact } from "./artifacts.ts";

export const deployError = defineErrors("Deploy", {
  DEPLOY_REVERTED: {
    summary: "a deployment transaction was mined and reverted",
    action: "check the parameters against the bounds in the contract named, and that the deployer has the role",
    retryable: false,
  },
  DEPLOY_NOT_MINED: {
    summary: "a deployment transaction was not mined in time",
    action: "check that L1 makes blocks and that the deployer's fee is high enough",
    retryable: true,
  },
});

export type Deployer = {
  readonly transport: Transport;
  /** Signs locally, pays, and must send nothing else meanwhile. */
  readonly account: LocalAccount;
  readonly chainId: number;
  /** How often receipts are asked for. Default 100. */
  readonly pollMs?: number;
  /** How long one wait may take. Default 120,000. */
  readonly timeoutMs?: number;
};

export type NetworkParameters = {
  /** Seconds between scheduling an upgrade and executing it. */
  readonly timelockDelaySeconds: bigint;
  /** May schedule and cancel. */
  readonly timelockProposers: readonly Address[];
  /** May execute what is due. */
  readonly timelockExecutors: readonly Address[];
};

export type NetworkContracts = {
  readonly timelock: Uint8Array;
  readonly registry: Uint8Array;
  readonly factory: Uint8Array;
};

export type ClusterParameters = {
  readonly chainId: number;
  readonly name: string;
  /** May pause withdrawals. */
  readonly guardian: Address;
  /** Publishes the genesis, steers fees, gas limit and posters. */
  readonly operator: Address;
  /** May advance the inbox's term without posting. */
  readonly sequencer: Address;
  readonly posters: readonly Address[];
  readonly proposer: Address;
  readonly challenger: Address;
  readonly gasLimit: number;
  /** In millionths. */
  readonly baseFeeScalar: number;
  /** In millionths. */
  readonly blobBaseFeeScalar: number;
  /** Least distance of two outputs, in blocks. */
  readonly submissionInterval: number;
  /** Usual time between blocks; for estimates. */
  readonly l2BlockTimeSeconds: number;
  /** The challenge period. */
  readonly finalizationPeriodSeconds: number;
};

export type ClusterDeployment = {
  readonly chainId: number;
  readonly contracts: ClusterContracts;
  /** L1 block that holds the deployment; no event of the cluster is older. */
  readonly deployBlock: number;
};

/** Gas of deploying a cluster with one poster, measured at 5.6 million, and of each further poster. */
const CLUSTER_GAS = 8_000_000n;
const POSTER_GAS = 80_000n;

/** Deploys what all clusters of a network share. @throws {DeployError} DEPLOY_REVERTED, DEPLOY_NOT_MINED */
export async function deployNetwork(deployer: Deployer, parameters: NetworkParameters): Promise<NetworkContracts> {
  const sender = await openSender(deployer);
  const timelock = sender.create(
    "TimelockController",
    encodeAbiParameters(
      [{ type: "uint256" }, { type: "address[]" }, { type: "address[]" }, { type: "address" }],
      [
        parameters.timelockDelaySeconds,
        [...parameters.timelockProposers],
        [...parameters.timelockExecutors],
        // No administrator beside the timelock itself.
        "0x0000000000000000000000000000000000000000",
      ],
    ),
  );
  const implementations = {
    portal: sender.create("SheafPortal"),
    outputOracle: sender.create("SheafOutputOracle"),
    systemConfig: sender.create("SystemConfig"),
    inbox: sender.create("Inbox"),
    l1CrossDomainMessenger: sender.create("L1CrossDomainMessenger"),
    l1StandardBridge: sender.create("L1StandardBridge"),
  };
  const registryImplementation = sender.create("ClusterRegistry");
  // The registry must know the factory, which comes after it.
  const factoryAhead = sender.addressAfter(1);
  const registry = sender.create(
    "TransparentUpgradeableProxy",
    encodeAbiParameters(
      [{ type: "address" }, { type: "address" }, { type: "bytes" }],
      [
        registryImplementation,
        timelock,
        encodeFunctionData({
          abi: clusterRegistryAbi,
          functionName: "initialize",
          args: [timelock, factoryAhead, deployer.account.address],
        }),
      ],
    ),
  );
  const factory = sender.create(
    "ClusterFactory",
    encodeAbiParameters(
      [
        { type: "address" },
        { type: "address" },
        { type: "tuple", components: Object.keys(implementations).map((name) => ({ name, type: "address" })) },
      ],
      [timelock, registry, implementations],
    ),
  );
  await sender.flush();
  return { timelock: hexToBytes(timelock), registry: hexToBytes(registry), factory: hexToBytes(factory) };
}

/** Deploys one cluster. @throws {DeployError} DEPLOY_REVERTED, DEPLOY_NOT_MINED */
export async function deployCluster(
  deployer: Deployer,
  network: NetworkContracts,
  parameters: ClusterParameters,
): Promise<ClusterDeployment> {
  const [deployment] = await deployClusters(deployer, network, [parameters]);
  return deployment as ClusterDeployment;
}

/** Deploys clusters at once, in the order given. @throws {DeployError} DEPLOY_REVERTED, DEPLOY_NOT_MINED */
export async function deployClusters(
  deployer: Deployer,
  network: NetworkContracts,
  clusters: readonly ClusterParameters[],
): Promise<ClusterDeployment[]> {
  const sender = await openSender(deployer);
  const factory = hex(network.factory);
  for (const c of clusters) {
    const data = encodeFunctionData({
      abi: clusterFactoryAbi,
      functionName: "deployCluster",
      args: [
        {
          chainId: BigInt(c.chainId),
          name: c.name,
          guardian: c.guardian,
          operator: c.operator,
          sequencer: c.sequencer,
          posters: c.posters,
          gasLimit: BigInt(c.gasLimit),
          basefeeScalar: c.baseFeeScalar,
          blobbasefeeScalar: c.blobBaseFeeScalar,
          oracle: {
            submissionInterval: BigInt(c.submissionInterval),
            l2BlockTime: BigInt(c.l2BlockTimeSeconds),
            startingBlockNumber: 0n,
            startingTimestamp: 0n,
            finalizationPeriodSeconds: BigInt(c.finalizationPeriodSeconds),
            proposer: c.proposer,
            challenger: c.challenger,
          },
        },
      ],
    });
    sender.send({
      what: `cluster ${c.name}`,
      to: factory,
      data,
      gas: CLUSTER_GAS + POSTER_GAS * BigInt(c.posters.length),
    });
  }
  const receipts = await sender.flush();
  const addresses = await Promise.all(
    clusters.map((c) =>
      sender.client.readContract({
        abi: clusterFactoryAbi,
        address: factory,
        functionName: "addressesOf",
        args: [BigInt(c.chainId)],
      }),
    ),
  );
  return addresses.map((a, i) => ({
    chainId: (clusters[i] as ClusterParameters).chainId,
    contracts: {
      portal: hexToBytes(a.portal),
      inbox: hexToBytes(a.inbox),
      outputOracle: hexToBytes(a.outputOracle),
      systemConfig: hexToBytes(a.systemConfig),
      l1CrossDomainMessenger: hexToBytes(a.l1CrossDomainMessenger),
      l1StandardBridge: hexToBytes(a.l1StandardBridge),
    },
    deployBlock: Number((receipts[i] as TransactionReceipt).blockNumber),
  }));
}

type Call = { readonly what: string; readonly to?: Address; readonly data: Hex; readonly gas: bigint };

/** Signs a run of transactions with consecutive nonces and sends them together. */
async function openSender(deployer: Deployer) {
  const { account, transport, chainId } = deployer;
  const chain: Chain = defineChain({
    id: chainId,
    name: "l1",
    nativeCurrency: { name: "Ether", symbol: "ETH", decimals: 18 },
    rpcUrls: { default: { http: [] } },
  });
  const client = createPublicClient({ chain, transport, pollingInterval: deployer.pollMs ?? 100 });
  const wallet = createWalletClient({ account, chain, transport });
  const [firstNonce, head] = await Promise.all([
    client.getTransactionCount({ address: account.address, blockTag: "pending" }),
    client.getBlock({ blockTag: "latest" }),
  ]);
  // Room for the base fee to rise through full blocks while these wait.
  const maxPriorityFeePerGas = 1_000_000_000n;
  const maxFeePerGas = (head.baseFeePerGas ?? 0n) * 4n + maxPriorityFeePerGas;
  const calls: Call[] = [];

  const send = (call: Call): void => {
    calls.push(call);
  };
  const addressAfter = (further: number): Address =>
    getContractAddress({ from: account.address, nonce: BigInt(firstNonce + calls.length + further) });
  /** Queues a creation and returns where it will be. */
  const create = (name: string, constructorArguments: Hex = "0x"): Address => {
    const artifact = readArtifact(name);
    const address = addressAfter(0);
    send({ what: name, data: concatHex([artifact.creationCode, constructorArguments]), gas: creationGas(artifact) });
    return address;
  };
  /** Sends what is queued and waits until all is mined. */
  const flush = async (): Promise<TransactionReceipt[]> => {
    const sent = await Promise.all(
      calls.map(async ({ to, data, gas }, i) => {
        const serialized = await account.signTransaction({
          type: "eip1559",
          chainId,
          nonce: firstNonce + i,
          ...(to === undefined ? {} : { to }),
          data,
          gas,
          maxFeePerGas,
          maxPriorityFeePerGas,
        });
        return wallet.sendRawTransaction({ serializedTransaction: serialized });
      }),
    );
    return Promise.all(sent.map((hash, i) => waitFor(hash, (calls[i] as Call).what)));
  };
  const waitFor = async (hash: Hash, what: string): Promise<TransactionReceipt> => {
    const receipt = await client
      .waitForTransactionReceipt({ hash, timeout: deployer.timeoutMs ?? 120_000 })
      .catch((cause: unknown) => {
        throw deployError("DEPLOY_NOT_MINED", `${what} has no receipt`, { what, hash }, { cause });
      });
    if (receipt.status !== "success") throw deployError("DEPLOY_REVERTED", `${what} reverted`, { what, hash });
    return receipt;
  };
  return { client, create, send, addressAfter, flush };
}

/** Enough for a creation: calldata at the higher of both prices, 200 a byte of code, and what a constructor here does. */
function creationGas({ creationCode, runtimeCode }: Artifact): bigint {
  const creationBytes = BigInt(creationCode.length / 2);
  const runtimeBytes = BigInt(runtimeCode.length / 2);
  return 800_000n + creationBytes * 20n + runtimeBytes * 200n;
}

const hex = (bytes: Uint8Array): Hex => `0x${Buffer.from(bytes).toString("hex")}`;
