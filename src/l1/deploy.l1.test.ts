/** The contracts on a real L1: deployed as the devnet does it, then driven by viem's op-stack actions alone. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { createMerkleProof, createMPT } from "@ethereumjs/mpt";
import {
  type Address,
  createPublicClient,
  createWalletClient,
  defineChain,
  type Hex,
  http,
  parseEther,
  publicActions,
  zeroHash,
} from "viem";
import { mnemonicToAccount } from "viem/accounts";
import { chainConfig, getL2TransactionHashes, publicActionsL1, walletActionsL1 } from "viem/op-stack";
import { fromHex, toHex } from "../base/bytes.ts";
import { hasCode } from "../base/error.ts";
import { installOnDevnetL1, MULTICALL3 } from "../devnet/preinstalls.ts";
import { depositsOfLogs } from "../protocol/deposit.ts";
import { outputRoot } from "../protocol/output-root.ts";
import { sentMessageSlot, type Withdrawal, withdrawalHash } from "../protocol/withdrawal.ts";
import { clusterRegistryAbi } from "./abi/cluster-registry.ts";
import { inboxAbi } from "./abi/inbox.ts";
import { l1CrossDomainMessengerAbi } from "./abi/l1-cross-domain-messenger.ts";
import { sheafOutputOracleAbi } from "./abi/sheaf-output-oracle.ts";
import { sheafPortalAbi } from "./abi/sheaf-portal.ts";
import { systemConfigAbi } from "./abi/system-config.ts";
import { timelockControllerAbi } from "./abi/timelock-controller.ts";
import { Anvil, DEV_MNEMONIC } from "./anvil.ts";
import { type ClusterParameters, type Deployer, deployCluster, deployClusters, deployNetwork } from "./deploy.ts";

const account = (index: number) => mnemonicToAccount(DEV_MNEMONIC, { addressIndex: index });
const [deployerAccount, operator, proposer, alice, council] = [0, 1, 2, 3, 4].map(account) as [
  ReturnType<typeof account>,
  ReturnType<typeof account>,
  ReturnType<typeof account>,
  ReturnType<typeof account>,
  ReturnType<typeof account>,
];
const PERIOD_SECONDS = 12;

const parameters = (chainId: number, overrides: Partial<ClusterParameters> = {}): ClusterParameters => ({
  chainId,
  name: `cluster-${chainId}`,
  guardian: operator.address,
  operator: operator.address,
  sequencer: operator.address,
  posters: [operator.address],
  proposer: proposer.address,
  challenger: operator.address,
  gasLimit: 60_000_000,
  baseFeeScalar: 1_368,
  blobBaseFeeScalar: 810_949,
  submissionInterval: 6,
  l2BlockTimeSeconds: 1,
  finalizationPeriodSeconds: PERIOD_SECONDS,
  ...overrides,
});

async function network(t: TestContext) {
  const anvil = await Anvil.start();
  t.after(() => anvil.kill());
  const transport = http(anvil.rpcUrl);
  const chain = defineChain({
    id: anvil.chainId,
    name: "l1",
    nativeCurrency: { name: "Ether", symbol: "ETH", decimals: 18 },
    rpcUrls: { default: { http: [anvil.rpcUrl] } },
    contracts: { multicall3: { address: toHex(MULTICALL3.address) } },
  });
  const deployer: Deployer = { transport, account: deployerAccount, chainId: anvil.chainId, pollMs: 20 };
  const started = performance.now();
  const contracts = await deployNetwork(deployer, {
    timelockDelaySeconds: 3_600n,
    timelockProposers: [council.address],
    timelockExecutors: [council.address],
  });
  t.diagnostic(`network deployed in ${(performance.now() - started).toFixed(0)} ms`);
  const client = createPublicClient({ chain, transport, pollingInterval: 20 });
  const wallet = (from: typeof alice) =>
    createWalletClient({ account: from, chain, transport, pollingInterval: 20 }).extend(publicActions);
  return { anvil, chain, transport, deployer, contracts, client, wallet };
}

/** Publishes some genesis; deposits are taken from the block after it. */
async function openDeposits(
  { anvil, client, wallet }: Awaited<ReturnType<typeof network>>,
  inbox: Uint8Array,
): Promise<void> {
  const hash = await wallet(operator).writeContract({
    abi: inboxAbi,
    address: toHex(inbox),
    functionName: "publishGenesis",
    args: ["0x01"],
  });
  await client.waitForTransactionReceipt({ hash });
  await anvil.mine(1);
}

test("two clusters are deployed, wired to each other, registered, and owned by the timelock", async (t) => {
  const { deployer, contracts, client } = await network(t);
  const started = performance.now();
  const clusters = await deployClusters(deployer, contracts, [parameters(901), parameters(902)]);
  t.diagnostic(`two clusters deployed in ${(performance.now() - started).toFixed(0)} ms`);

  const listed = await client.readContract({
    abi: clusterRegistryAbi,
    address: toHex(contracts.registry),
    functionName: "clusters",
    args: [0n, 10n],
  });
  assert.deepEqual(
    listed.map((c) => [Number(c.chainId), c.name, c.portal.toLowerCase(), Number(c.deployBlock)]),
    clusters.map((c) => [c.chainId, `cluster-${c.chainId}`, toHex(c.contracts.portal), c.deployBlock]),
  );
  for (const { contracts: c, deployBlock, chainId } of clusters) {
    const read = async (functionName: "optimismPortal" | "inbox" | "l2OutputOracle" | "owner"): Promise<string> =>
      (await client.readContract({ abi: systemConfigAbi, address: toHex(c.systemConfig), functionName })).toLowerCase();
    assert.equal(await read("optimismPortal"), toHex(c.portal));
    assert.equal(await read("inbox"), toHex(c.inbox));
    assert.equal(await read("l2OutputOracle"), toHex(c.outputOracle));
    assert.equal(await read("owner"), toHex(contracts.timelock));
    const config = { abi: systemConfigAbi, address: toHex(c.systemConfig) } as const;
    assert.equal(await client.readContract({ ...config, functionName: "startBlock" }), BigInt(deployBlock));
    assert.equal(await client.readContract({ ...config, functionName: "l2ChainId" }), BigInt(chainId));
    const inbox = { abi: inboxAbi, address: toHex(c.inbox) } as const;
    assert.equal((await client.readContract({ ...inbox, functionName: "systemConfig" })).toLowerCase(), config.address);
  }
  assert.equal(
    await client.readContract({
      abi: timelockControllerAbi,
      address: toHex(contracts.timelock),
      functionName: "getMinDelay",
    }),
    3_600n,
  );
});

test("a cluster out of bounds, or a second one of a chain id, is not deployed", async (t) => {
  const { deployer, contracts, client } = await network(t);
  const refused = (e: unknown): boolean => hasCode(e, "DEPLOY_REVERTED");
  await assert.rejects(deployCluster(deployer, contracts, parameters(901, { gasLimit: 1_000 })), refused);
  await deployCluster(deployer, contracts, parameters(901));
  await assert.rejects(deployCluster(deployer, contracts, parameters(901)), refused);
  await assert.rejects(deployCluster({ ...deployer, account: alice }, contracts, parameters(902)), refused);
  assert.equal(
    await client.readContract({
      abi: clusterRegistryAbi,
      address: toHex(contracts.registry),
      functionName: "clusterCount",
    }),
    1n,
  );
});

test("viem's op-stack actions deposit, prove and finalize", async (t) => {
  const net = await network(t);
  const { anvil, chain, deployer, contracts, client, wallet } = net;
  const { contracts: c } = await deployCluster(deployer, contracts, parameters(901));
  const [portal, oracle] = [toHex(c.portal), toHex(c.outputOracle)];
  const cluster = defineChain({
    ...chainConfig,
    id: 901,
    name: "cluster-901",
    nativeCurrency: { name: "Ether", symbol: "ETH", decimals: 18 },
    rpcUrls: { default: { http: [] } },
    contracts: {
      ...chainConfig.contracts,
      portal: { [chain.id]: { address: portal } },
      l2OutputOracle: { [chain.id]: { address: oracle } },
    },
  });
  const l1 = client.extend(publicActionsL1());
  const aliceL1 = wallet(alice).extend(walletActionsL1());
  assert.deepEqual(await l1.getPortalVersion({ targetChain: cluster }), { major: 2, minor: 8, patch: 0 });

  // Before the genesis nothing would derive it.
  const early = client.simulateContract({
    abi: sheafPortalAbi,
    address: portal,
    functionName: "depositTransaction",
    args: [alice.address, 0n, 50_000n, false, "0x"],
    account: alice,
  });
  await assert.rejects(early, /GenesisMissing/);
  await openDeposits(net, c.inbox);

  // In: the event says what derivation will execute.
  const depositHash = await aliceL1.depositTransaction({
    request: { gas: 50_000n, to: alice.address, value: parseEther("3"), mint: parseEther("3") },
    targetChain: cluster,
  });
  const deposit = await client.waitForTransactionReceipt({ hash: depositHash });
  assert.equal(deposit.status, "success");
  assert.equal(await client.getBalance({ address: portal }), parseEther("3"));
  const derived = depositsOfLogs(
    deposit.logs.map((l) => ({
      address: fromHex(l.address),
      topics: l.topics.map(fromHex),
      data: fromHex(l.data),
      logIndex: l.logIndex,
    })),
    fromHex(deposit.blockHash),
  );
  assert.deepEqual(
    derived.map((d) => toHex(d.hash)),
    getL2TransactionHashes(deposit),
  );

  // Out: a message passer that holds one withdrawal, as the cluster would after its block 6.
  const withdrawal: Withdrawal = {
    nonce: 1n << 240n,
    sender: fromHex(alice.address),
    target: fromHex(alice.address),
    valueWei: parseEther("1"),
    gasLimit: 21_000n,
    data: new Uint8Array(0),
  };
  const slot = sentMessageSlot(withdrawalHash(withdrawal));
  const trie = await createMPT({ useKeyHashing: true });
  await trie.put(slot, new Uint8Array([1]));
  const preimage = {
    stateRoot: new Uint8Array(32).fill(1),
    messagePasserStorageRoot: trie.root(),
    blockHash: new Uint8Array(32).fill(2),
  };
  const status = () =>
    l1.getWithdrawalStatus({
      l2BlockNumber: 5n,
      sender: alice.address,
      withdrawalHash: toHex(withdrawalHash(withdrawal)),
      targetChain: cluster,
    });
  await installOnDevnetL1(anvil.rpc);
  assert.equal(await status(), "waiting-to-prove");
  const proposed = await wallet(proposer).writeContract({
    abi: sheafOutputOracleAbi,
    address: oracle,
    functionName: "proposeL2Output",
    args: [toHex(outputRoot(preimage)), 6n, zeroHash, 0n],
  });
  await client.waitForTransactionReceipt({ hash: proposed });
  const output = await l1.getL2Output({ l2BlockNumber: 5n, targetChain: cluster });
  assert.deepEqual([output.outputIndex, output.l2BlockNumber], [0n, 6n]);
  assert.equal(output.outputRoot, toHex(outputRoot(preimage)));
  const next = await l1.getTimeToNextL2Output({ l2BlockNumber: 5n, targetChain: cluster });
  assert.equal(next.seconds, 0);
  assert.equal(await status(), "ready-to-prove");

  const forViem = {
    nonce: withdrawal.nonce,
    sender: alice.address,
    target: alice.address,
    value: withdrawal.valueWei,
    gasLimit: withdrawal.gasLimit,
    data: "0x" as Hex,
    withdrawalHash: toHex(withdrawalHash(withdrawal)),
  };
  const proveHash = await aliceL1.proveWithdrawal({
    l2OutputIndex: output.outputIndex,
    outputRootProof: {
      version: zeroHash,
      stateRoot: toHex(preimage.stateRoot),
      messagePasserStorageRoot: toHex(preimage.messagePasserStorageRoot),
      latestBlockhash: toHex(preimage.blockHash),
    },
    withdrawalProof: (await createMerkleProof(trie, slot)).map(toHex),
    withdrawal: forViem,
    targetChain: cluster,
  });
  assert.equal((await client.waitForTransactionReceipt({ hash: proveHash })).status, "success");
  assert.equal(await status(), "waiting-to-finalize");
  assert.equal((await l1.getTimeToFinalize({ ...forViem, targetChain: cluster })).period, PERIOD_SECONDS);
  await assert.rejects(aliceL1.finalizeWithdrawal({ withdrawal: forViem, targetChain: cluster }));

  await anvil.rpc.call("evm_increaseTime", [PERIOD_SECONDS + 1]);
  await anvil.mine();
  const before = await client.getBalance({ address: portal });
  const finalizeHash = await aliceL1.finalizeWithdrawal({ withdrawal: forViem, targetChain: cluster });
  assert.equal((await client.waitForTransactionReceipt({ hash: finalizeHash })).status, "success");
  assert.equal(await client.getBalance({ address: portal }), before - parseEther("1"));
  assert.equal(await status(), "finalized");
  assert.equal(
    await client.readContract({ abi: sheafPortalAbi, address: portal, functionName: "l2Sender" }),
    "0x000000000000000000000000000000000000dEaD",
  );
});

test("gas estimates of deposits suffice, also through the messenger", async (t) => {
  const net = await network(t);
  const { deployer, contracts, client, wallet } = net;
  const { contracts: c } = await deployCluster(deployer, contracts, parameters(901));
  await openDeposits(net, c.inbox);
  const target: Address = "0x00000000000000000000000000000000000000aa";
  for (const minGasLimit of [21_000, 1_000_000]) {
    const hash = await wallet(alice).writeContract({
      abi: l1CrossDomainMessengerAbi,
      address: toHex(c.l1CrossDomainMessenger),
      functionName: "sendMessage",
      args: [target, `0x${"ab".repeat(1_000)}`, minGasLimit],
      value: 5n,
    });
    const receipt = await client.waitForTransactionReceipt({ hash });
    assert.equal(receipt.status, "success");
    t.diagnostic(`message with ${minGasLimit} gas: ${receipt.gasUsed} gas on L1`);
  }
  assert.equal(await client.getBalance({ address: toHex(c.portal) }), 10n);
});
