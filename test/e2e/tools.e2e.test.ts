/** Story: the tools people have (viem, ethers, cast) meet an ordinary Ethereum chain. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createBlockHeaderFromRPC } from "@ethereumjs/block";
import { Common, Hardfork, Mainnet } from "@ethereumjs/common";
import { createMPT } from "@ethereumjs/mpt";
import { RLP } from "@ethereumjs/rlp";
import { bytesToHex, hexToBytes } from "@ethereumjs/util";
import { JsonRpcProvider, Wallet } from "ethers";
import { createPublicClient, type Hex, keccak256, parseAbi, parseEther, webSocket } from "viem";
import { cast, clientsOf, startDevnet, until } from "./fixture.ts";

const WETH = "0x4200000000000000000000000000000000000006";
const wethAbi = parseAbi([
  "function deposit() payable",
  "function transfer(address to, uint256 value) returns (bool)",
  "function balanceOf(address) view returns (uint256)",
  "event Transfer(address indexed from, address indexed to, uint256 value)",
]);

test("wallets, scripts and explorers find an ordinary Ethereum chain", async (t) => {
  const devnet = await startDevnet(t, { clusters: 2 });
  const { l2, account, cluster, l2Chain, verifier } = clientsOf(devnet.endpoints);
  const other = devnet.endpoints.accounts[1]?.address as Hex;

  await t.test("viem: transfer, receipt, contract calls, logs, historical state", async () => {
    const before = await l2.getBalance({ address: other });
    const hash = await l2.sendTransaction({ to: other, value: parseEther("1.5") });
    const receipt = await l2.waitForTransactionReceipt({ hash });
    assert.equal(receipt.status, "success");
    assert.equal(await l2.getBalance({ address: other }), before + parseEther("1.5"));
    assert.equal(await l2.getBalance({ address: other, blockNumber: receipt.blockNumber - 1n }), before);
    for (const [functionName, args, value] of [
      ["deposit", [], parseEther("2")],
      ["transfer", [other, 7n], 0n],
    ] as const) {
      const tx = await l2.writeContract({ address: WETH, abi: wethAbi, functionName, args, value } as never);
      assert.equal((await l2.waitForTransactionReceipt({ hash: tx })).status, "success");
    }
    assert.equal(await l2.readContract({ address: WETH, abi: wethAbi, functionName: "balanceOf", args: [other] }), 7n);
    const logs = await l2.getContractEvents({
      address: WETH,
      abi: wethAbi,
      eventName: "Transfer",
      args: { to: other },
      fromBlock: 0n,
    });
    assert.deepEqual(
      logs.map((l) => l.args.value),
      [7n],
    );
    assert.ok(
      (await l2.estimateContractGas({
        address: WETH,
        abi: wethAbi,
        functionName: "transfer",
        args: [other, 1n],
        account,
      })) > 21_000n,
    );
    assert.equal((await l2.getFeeHistory({ blockCount: 4, rewardPercentiles: [50] })).gasUsedRatio.length, 4);
    assert.ok(
      (
        await l2.multicall({ contracts: [{ address: WETH, abi: wethAbi, functionName: "balanceOf", args: [other] }] })
      )[0]?.status === "success",
    );
  });

  await t.test("viem over WebSocket: new heads and logs are pushed", async () => {
    const ws = createPublicClient({ chain: l2Chain, transport: webSocket(cluster.wsUrl) });
    const heads: bigint[] = [];
    const transfers: bigint[] = [];
    const stopHeads = ws.watchBlocks({ onBlock: (b) => heads.push(b.number) });
    const stopLogs = ws.watchContractEvent({
      address: WETH,
      abi: wethAbi,
      eventName: "Transfer",
      onLogs: (logs) => transfers.push(...logs.map((l) => l.args.value ?? 0n)),
    });
    await until("subscriptions", () => heads.length > 0);
    const hash = await l2.writeContract({ address: WETH, abi: wethAbi, functionName: "transfer", args: [other, 11n] });
    await l2.waitForTransactionReceipt({ hash });
    await until("pushed", () => transfers.includes(11n) && heads.length >= 2);
    stopHeads();
    stopLogs();
    (await ws.transport.getRpcClient()).close();
  });

  await t.test("confirmations: a receipt and a stream before the seal, then the same in the block", async () => {
    const ws = createPublicClient({ chain: l2Chain, transport: webSocket(cluster.wsUrl) });
    type Flashblock = { payload_id: string; base?: object; diff: { transactions: Hex[]; block_hash: Hex } };
    const flashblocks: Flashblock[] = [];
    const { unsubscribe } = await ws.transport.subscribe({
      params: ["newFlashblocks"] as never,
      onData: (message) => flashblocks.push(message.result as Flashblock),
    });
    const request = await l2.prepareTransactionRequest({ to: other, value: 1n });
    const serializedTransaction = await l2.signTransaction(request);
    const early = await l2.sendRawTransactionSync({ serializedTransaction, timeout: 20_000 });
    assert.equal(early.status, "success");
    const sealed = await l2.waitForTransactionReceipt({ hash: early.transactionHash });
    assert.deepEqual([sealed.blockNumber, sealed.gasUsed], [early.blockNumber, early.gasUsed]);
    const last = await until("the seal in the stream", () =>
      flashblocks.find(({ diff }) => diff.block_hash === sealed.blockHash),
    );
    const block = await l2.getBlock({ blockHash: sealed.blockHash });
    const own = flashblocks.filter(({ payload_id }) => payload_id === last.payload_id);
    assert.ok(own[0]?.base !== undefined);
    assert.deepEqual(
      own.flatMap(({ diff }) => diff.transactions.map((raw) => keccak256(raw))),
      block.transactions,
    );
    await unsubscribe();
    (await ws.transport.getRpcClient()).close();
  });

  await t.test("access lists: the sequencer's of a block is the one the verifier makes", async () => {
    const hash = await l2.writeContract({ address: WETH, abi: wethAbi, functionName: "transfer", args: [other, 1n] });
    const { blockNumber } = await l2.waitForTransactionReceipt({ hash });
    const params = [`0x${blockNumber.toString(16)}`];
    const request = { method: "debug_getRawBlockAccessList", params } as never;
    const own: Hex = await l2.request(request);
    assert.ok(own.includes(WETH.slice(2).toLowerCase()) && own.includes(account.address.slice(2).toLowerCase()));
    await until("the block is derived", async () => (await verifier.getBlockNumber({ cacheTime: 0 })) >= blockNumber);
    assert.equal(await verifier.request(request), own);
  });

  await t.test("ethers: balance, transfer, receipt", async () => {
    const provider = new JsonRpcProvider(cluster.rpcUrl, cluster.chainId, {
      staticNetwork: true,
      pollingInterval: 100,
    });
    const wallet = new Wallet(devnet.endpoints.accounts[2]?.privateKey as string, provider);
    const sent = await wallet.sendTransaction({ to: other, value: 5n });
    const receipt = await sent.wait();
    assert.equal(receipt?.status, 1);
    assert.equal((await provider.getTransaction(sent.hash))?.value, 5n);
    provider.destroy();
  });

  await t.test("cast: chain, send, receipt, call, logs, proof", async () => {
    const url = cluster.rpcUrl;
    const key = devnet.endpoints.accounts[3]?.privateKey as string;
    assert.equal(await cast(url, "chain-id"), "901");
    const receipt = JSON.parse(await cast(url, "send", other, "--value", "3gwei", "--private-key", key, "--json")) as {
      status: string;
      transactionHash: string;
    };
    assert.equal(receipt.status, "0x1");
    assert.match(await cast(url, "tx", receipt.transactionHash, "value"), /^3000000000/);
    assert.match(await cast(url, "call", WETH, "symbol()(string)"), /WETH/);
    assert.equal(await cast(url, "nonce", other), "0");
    const proof = JSON.parse(await cast(url, "proof", WETH, "--json")) as { accountProof: string[] };
    assert.ok(proof.accountProof.length > 0);
    assert.match(await cast(url, "block", "finalized", "--field", "number"), /^\d+$/);
  });

  await t.test("cast: a contract is created, a legacy and an access-list transaction pass", async () => {
    const key = devnet.endpoints.accounts[4]?.privateKey as string;
    const code = "0x6001600c60003960016000f360"; // a contract of the one byte that follows this constructor
    const created = JSON.parse(
      await cast(cluster.rpcUrl, "send", "--private-key", key, "--json", "--create", code),
    ) as {
      contractAddress: string;
      status: string;
    };
    assert.equal(created.status, "0x1");
    assert.equal(await cast(cluster.rpcUrl, "code", created.contractAddress), "0x60");
    const legacy = JSON.parse(
      await cast(cluster.rpcUrl, "send", other, "--value", "1", "--legacy", "--private-key", key, "--json"),
    ) as { type: string };
    assert.equal(legacy.type, "0x0");
    const hash = await l2.sendTransaction({
      to: WETH,
      type: "eip2930",
      accessList: [{ address: WETH, storageKeys: [] }],
      gasPrice: (await l2.getGasPrice()) * 2n,
    } as never);
    assert.equal((await l2.waitForTransactionReceipt({ hash })).type, "eip2930");
  });

  await t.test("an independent client recomputes header hash, transaction root and receipt root", async () => {
    const common = new Common({ chain: { ...Mainnet, chainId: 901 }, hardfork: Hardfork.Prague });
    const head = Number(await l2.getBlockNumber());
    for (let n = 1; n <= head; n++) {
      const rpc = (method: string, ...params: unknown[]) => l2.request({ method, params } as never) as Promise<unknown>;
      const block = (await rpc("eth_getBlockByNumber", `0x${n.toString(16)}`, false)) as {
        hash: Hex;
        transactionsRoot: Hex;
        receiptsRoot: Hex;
        transactions: Hex[];
      };
      const header = createBlockHeaderFromRPC(block as never, { common, setHardfork: false });
      assert.equal(bytesToHex(header.hash()), block.hash);
      const transactions = await createMPT();
      for (const [i, hash] of block.transactions.entries())
        await transactions.put(RLP.encode(i), hexToBytes((await rpc("eth_getRawTransactionByHash", hash)) as Hex));
      assert.equal(bytesToHex(transactions.root()), block.transactionsRoot);
      const receipts = (await rpc("eth_getBlockReceipts", `0x${n.toString(16)}`)) as {
        type: Hex;
        status: Hex;
        cumulativeGasUsed: Hex;
        logsBloom: Hex;
        logs: { address: Hex; topics: Hex[]; data: Hex }[];
        depositNonce?: Hex;
        depositReceiptVersion?: Hex;
      }[];
      const trie = await createMPT();
      for (const [i, r] of receipts.entries()) {
        const integer = (hex: Hex): Uint8Array =>
          BigInt(hex) === 0n
            ? new Uint8Array(0)
            : hexToBytes(
                `0x${BigInt(hex)
                  .toString(16)
                  .padStart(2 * Math.ceil(BigInt(hex).toString(16).length / 2), "0")}`,
              );
        const body = RLP.encode([
          integer(r.status),
          integer(r.cumulativeGasUsed),
          hexToBytes(r.logsBloom),
          r.logs.map((l) => [hexToBytes(l.address), l.topics.map((topic) => hexToBytes(topic)), hexToBytes(l.data)]),
          ...(r.depositNonce === undefined ? [] : [integer(r.depositNonce), integer(r.depositReceiptVersion ?? "0x1")]),
        ]);
        const type = Number(r.type);
        await trie.put(RLP.encode(i), type === 0 ? body : Uint8Array.of(type, ...body));
      }
      assert.equal(bytesToHex(trie.root()), block.receiptsRoot);
    }
  });

  await t.test("two clusters are two chains", async () => {
    const second = clientsOf(devnet.endpoints, 1);
    assert.equal(await second.l2.getChainId(), 902);
    const hash = await second.l2.sendTransaction({ to: other, value: 1n });
    assert.equal((await second.l2.waitForTransactionReceipt({ hash })).status, "success");
    await assert.rejects(l2.getTransaction({ hash }));
    assert.notEqual(
      (await second.l2.getBlock({ blockNumber: 1n })).hash,
      (await l2.getBlock({ blockNumber: 1n })).hash,
    );
  });
});
