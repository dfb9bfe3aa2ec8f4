/** Story: ETH and an ERC-20 go into a cluster and come back, driven by viem/op-stack as its documentation says. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Address, type Hex, parseAbi, parseEther } from "viem";
import { getL2TransactionHashes, getWithdrawals } from "viem/op-stack";
import { readArtifact } from "../../src/l1/artifacts.ts";
import { clientsOf, startDevnet, until } from "./fixture.ts";

const L2_BRIDGE = "0x4200000000000000000000000000000000000010";
const FACTORY = "0x4200000000000000000000000000000000000012";
const PASSER = "0x4200000000000000000000000000000000000016";
const tokenAbi = parseAbi([
  "function deposit() payable",
  "function approve(address spender, uint256 value) returns (bool)",
  "function balanceOf(address) view returns (uint256)",
]);
const bridgeAbi = parseAbi([
  "function depositERC20(address l1Token, address l2Token, uint256 amount, uint32 minGasLimit, bytes extraData)",
  "function bridgeERC20(address localToken, address remoteToken, uint256 amount, uint32 minGasLimit, bytes extraData)",
  "function withdraw(address l2Token, uint256 amount, uint32 minGasLimit, bytes extraData) payable",
]);
const factoryAbi = parseAbi([
  "function createOptimismMintableERC20(address remoteToken, string name, string symbol) returns (address)",
  "event OptimismMintableERC20Created(address indexed localToken, address indexed remoteToken, address deployer)",
]);

test("ETH and an ERC-20 are deposited, withdrawn, proven and finalized by viem/op-stack", async (t) => {
  const devnet = await startDevnet(t, { challengePeriodSeconds: 3, submissionInterval: 3 });
  const { l1, l2, account, cluster, l2Chain } = clientsOf(devnet.endpoints);
  await until("a first output", () =>
    l1
      .readContract({
        address: cluster.contracts.outputOracle,
        abi: parseAbi(["function latestOutputIndex() view returns (uint256)"]),
        functionName: "latestOutputIndex",
      })
      .then(() => true)
      .catch(() => false),
  );
  const fresh = "0x00000000000000000000000000000000000c0ffe";

  const l2ReceiptOf = async (l1Hash: Hex) => {
    const receipt = await l1.waitForTransactionReceipt({ hash: l1Hash });
    assert.equal(receipt.status, "success");
    const [l2Hash] = getL2TransactionHashes({ logs: receipt.logs });
    assert.ok(l2Hash !== undefined, "the deposit names its L2 transaction");
    return l2.waitForTransactionReceipt({ hash: l2Hash });
  };

  /** Proves and finalizes the withdrawal of an L2 receipt; resolves to the L1 receipt of the finalization. */
  const bringHome = async (l2Receipt: Awaited<ReturnType<typeof l2.waitForTransactionReceipt>>) => {
    const [pending] = getWithdrawals({ logs: l2Receipt.logs });
    assert.ok(pending !== undefined, "the receipt holds a withdrawal");
    const { output, withdrawal } = await l1.waitToProve({ receipt: l2Receipt, targetChain: l2Chain });
    const args = await l2.buildProveWithdrawal({ account, output, withdrawal });
    const proveHash = await l1.proveWithdrawal({ ...args, targetChain: l2Chain } as never);
    assert.equal((await l1.waitForTransactionReceipt({ hash: proveHash })).status, "success");
    // Too early: the challenge period holds it back.
    await assert.rejects(l1.finalizeWithdrawal({ targetChain: l2Chain, withdrawal, account } as never));
    await l1.waitToFinalize({ targetChain: l2Chain, withdrawalHash: withdrawal.withdrawalHash });
    const hash = await until("finalizable", () =>
      l1.finalizeWithdrawal({ targetChain: l2Chain, withdrawal, account } as never).catch(() => undefined),
    );
    const receipt = await l1.waitForTransactionReceipt({ hash });
    assert.equal(receipt.status, "success");
    assert.equal(await l1.getWithdrawalStatus({ receipt: l2Receipt, targetChain: l2Chain }), "finalized");
    return receipt;
  };

  await t.test("ETH in: a deposit mints on L2, under the type 0x7e", async () => {
    const request = await l2.buildDepositTransaction({ mint: parseEther("1"), to: fresh, account: account.address });
    const receipt = await l2ReceiptOf(await l1.depositTransaction({ ...request, account } as never));
    assert.equal(receipt.status, "success");
    assert.equal((await l2.getTransaction({ hash: receipt.transactionHash })).type, "deposit");
    assert.equal(await l2.getBalance({ address: fresh }), parseEther("1"));
    const block = await l2.getBlock({ blockNumber: receipt.blockNumber, includeTransactions: true });
    assert.ok(block.transactions.every((tx) => (tx as { type: string }).type === "deposit"));
  });

  await t.test(
    "ETH out: withdrawn through the message passer, proven, finalized after the challenge period",
    async () => {
      const value = parseEther("0.25");
      const before = await l1.getBalance({ address: fresh });
      const request = await l1.buildInitiateWithdrawal({ account, to: fresh, value } as never);
      const hash = await l2.initiateWithdrawal({ ...(request as object), account } as never);
      const receipt = await l2.waitForTransactionReceipt({ hash });
      assert.equal(await l2.getBalance({ address: PASSER, blockNumber: receipt.blockNumber }), value);
      await bringHome(receipt);
      assert.equal(await l1.getBalance({ address: fresh }), before + value);
    },
  );

  await t.test("ERC-20 both ways through the standard bridge", async () => {
    // Wrapped ether is an ERC-20 like any other.
    const deployed = await l1.sendTransaction({ data: readArtifact("WETH").creationCode } as never);
    const l1Token = (await l1.waitForTransactionReceipt({ hash: deployed })).contractAddress as Address;
    const wrapped = await l1.writeContract({ address: l1Token, abi: tokenAbi, functionName: "deposit", value: 1_000n });
    await l1.waitForTransactionReceipt({ hash: wrapped });
    const created = await l2.writeContract({
      address: FACTORY,
      abi: factoryAbi,
      functionName: "createOptimismMintableERC20",
      args: [l1Token, "Wrapped Ether", "WETH"],
    });
    await l2.waitForTransactionReceipt({ hash: created });
    const [event] = await l2.getContractEvents({
      address: FACTORY,
      abi: factoryAbi,
      eventName: "OptimismMintableERC20Created",
      fromBlock: 0n,
    });
    const l2Token = event?.args.localToken as Address;
    const bridge = cluster.contracts.l1StandardBridge;
    await l1.waitForTransactionReceipt({
      hash: await l1.writeContract({ address: l1Token, abi: tokenAbi, functionName: "approve", args: [bridge, 400n] }),
    });
    const deposit = await l1.writeContract({
      address: bridge,
      abi: bridgeAbi,
      functionName: "depositERC20",
      args: [l1Token, l2Token, 400n, 200_000, "0x"],
    });
    const inReceipt = await l2ReceiptOf(deposit);
    assert.equal(inReceipt.status, "success");
    const balanceOf = (client: typeof l1 | typeof l2, address: Address, of: Address): Promise<bigint> =>
      client.readContract({ address, abi: tokenAbi, functionName: "balanceOf", args: [of] }) as Promise<bigint>;
    assert.equal(await balanceOf(l2, l2Token, account.address), 400n);
    assert.equal(await balanceOf(l1, l1Token, bridge), 400n);

    const out = await l2.writeContract({
      address: L2_BRIDGE,
      abi: bridgeAbi,
      functionName: "withdraw",
      args: [l2Token, 150n, 200_000, "0x"],
    });
    const outReceipt = await l2.waitForTransactionReceipt({ hash: out });
    assert.equal(outReceipt.status, "success");
    assert.equal(await balanceOf(l2, l2Token, account.address), 250n);
    await bringHome(outReceipt);
    assert.equal(await balanceOf(l1, l1Token, account.address), 750n);
    assert.equal(await balanceOf(l1, l1Token, bridge), 250n);
  });
});
