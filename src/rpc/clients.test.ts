/** The endpoint as the ecosystem's clients drive it: viem (with op-stack formatters), ethers. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { JsonRpcProvider, Wallet, WebSocketProvider } from "ethers";
import { createPublicClient, createWalletClient, defineChain, http, parseEther, webSocket } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { chainConfig } from "viem/op-stack";
import { toHex } from "../base/bytes.ts";
import { depositOf, GAS_CHECKER, KEYS, LOG_TOPIC, LOGGER, NESTED, REFUNDER, REVERTER } from "./testing/memory-chain.ts";
import { RpcFixture, until } from "./testing/rpc-fixture.ts";

const word = (value: number): `0x${string}` => `0x${value.toString(16).padStart(64, "0")}`;
const keyOf = (i: number): `0x${string}` => toHex(KEYS[i]?.secret as Uint8Array);
const addressOf = (i: number): `0x${string}` => toHex(KEYS[i]?.address as Uint8Array);

let fixture: RpcFixture;
before(async () => {
  fixture = await RpcFixture.create();
  fixture.chain.automine = true;
});
after(() => fixture.close());

function chainOf(url: string) {
  return defineChain({
    ...chainConfig,
    id: 901,
    name: "test",
    nativeCurrency: { name: "Ether", symbol: "ETH", decimals: 18 },
    rpcUrls: { default: { http: [url] } },
  });
}

test("viem sends, estimates, reads receipts and sees the OP fields", async () => {
  const chain = chainOf(fixture.url);
  const client = createPublicClient({ chain, transport: http(fixture.url), pollingInterval: 20 });
  const wallet = createWalletClient({ account: privateKeyToAccount(keyOf(0)), chain, transport: http(fixture.url) });
  const hash = await wallet.sendTransaction({ to: addressOf(1), value: parseEther("1") });
  const receipt = await client.waitForTransactionReceipt({ hash });
  assert.equal(receipt.status, "success");
  assert.equal(receipt.gasUsed, 21_000n);
  assert.ok((receipt.l1Fee ?? 0n) > 0n);
  assert.equal(receipt.l1GasPrice, 7_000_000_000n);
  const block = await client.getBlock({ blockHash: receipt.blockHash, includeTransactions: true });
  assert.equal(block.transactions[0]?.type, "deposit");
  assert.equal(block.transactions[0]?.typeHex, "0x7e");
  assert.equal(block.transactions[1]?.hash, hash);
  assert.equal(block.size > 500n, true);
  const found = await client.getTransaction({ hash });
  assert.equal(found.value, parseEther("1"));
  assert.equal(found.type, "eip1559");
});

test("viem sees deposits with their fields", async () => {
  const chain = chainOf(fixture.url);
  const client = createPublicClient({ chain, transport: http(fixture.url) });
  await fixture.chain.mine([depositOf(KEYS[2]?.address as Uint8Array, 5n, 77)]);
  const block = await client.getBlock({ includeTransactions: true });
  const deposit = block.transactions[1];
  assert.ok(deposit !== undefined && deposit.type === "deposit");
  assert.equal(deposit.mint, 5n);
  assert.equal(deposit.sourceHash, word(77));
  assert.equal(deposit.isSystemTx, false);
  const receipt = await client.getTransactionReceipt({ hash: deposit.hash });
  assert.equal(receipt.status, "success");
  assert.equal(receipt.type, "0x7e");
});

test("viem reads logs by filter, by range and by subscription", async () => {
  const chain = chainOf(fixture.url);
  const client = createPublicClient({ chain, transport: http(fixture.url), pollingInterval: 20 });
  const live = createPublicClient({ chain, transport: webSocket(fixture.gateway.wsUrl) });
  const wallet = createWalletClient({ account: privateKeyToAccount(keyOf(1)), chain, transport: http(fixture.url) });
  const event = { type: "event", name: "Stored", inputs: [] } as const;
  const seen: unknown[] = [];
  const heads: bigint[] = [];
  const unwatchBlocks = live.watchBlocks({ onBlock: (block) => heads.push(block.number) });
  const unwatch = live.watchEvent({ address: toHex(LOGGER), onLogs: (logs) => seen.push(...logs) });
  const filter = await client.createEventFilter({ address: toHex(LOGGER) });
  await new Promise((resolve) => setTimeout(resolve, 50));
  const hash = await wallet.sendTransaction({ to: toHex(LOGGER), data: `${word(3)}${word(42).slice(2)}` });
  const receipt = await client.waitForTransactionReceipt({ hash });
  assert.equal(receipt.logs.length, 1);
  assert.equal(receipt.logs[0]?.topics[0], toHex(LOG_TOPIC));
  const logs = await client.getLogs({ address: toHex(LOGGER), fromBlock: 0n, toBlock: "latest" });
  assert.equal(logs.length, 1);
  assert.equal(logs[0]?.data, word(42));
  assert.equal((await client.getFilterChanges({ filter })).length, 1);
  assert.equal((await client.getFilterChanges({ filter })).length, 0);
  await until(() => seen.length === 1 || undefined);
  await until(() => heads.length >= 1 || undefined);
  unwatch();
  unwatchBlocks();
  assert.equal(await client.getStorageAt({ address: toHex(LOGGER), slot: word(3) }), word(42));
  assert.equal(event.name, "Stored");
  const socket = await live.transport.getRpcClient();
  socket.close();
});

test("viem estimates exactly, also for refunds, nested calls and gas checks", async () => {
  const client = createPublicClient({ chain: chainOf(fixture.url), transport: http(fixture.url) });
  const account = addressOf(3);
  for (const target of [LOGGER, NESTED, REFUNDER, GAS_CHECKER]) {
    const to = toHex(target);
    const data = target === LOGGER ? (`${word(9)}${word(1).slice(2)}` as const) : "0x";
    const gas = await client.estimateGas({ account, to, data });
    await client.call({ account, to, data, gas });
    await assert.rejects(client.call({ account, to, data, gas: gas - 1n }), `${to} succeeds below its estimate ${gas}`);
  }
});

test("viem decodes reverts", async () => {
  const client = createPublicClient({ chain: chainOf(fixture.url), transport: http(fixture.url) });
  await assert.rejects(client.call({ to: toHex(REVERTER) }), /nope/);
  await assert.rejects(client.estimateGas({ account: addressOf(0), to: toHex(REVERTER) }), /nope/);
});

test("ethers sends, waits, reads and subscribes", async () => {
  const provider = new JsonRpcProvider(fixture.url, undefined, {
    polling: true,
    pollingInterval: 20,
    cacheTimeout: -1,
  });
  const wallet = new Wallet(keyOf(4), provider);
  const response = await wallet.sendTransaction({ to: addressOf(5), value: 7n });
  const receipt = await response.wait();
  assert.equal(receipt?.status, 1);
  const block = await provider.getBlock(receipt.blockNumber, true);
  assert.equal(block?.hash, receipt.blockHash);
  const fee = await provider.getFeeData();
  assert.ok((fee.maxFeePerGas ?? 0n) > 0n);
  assert.equal(await provider.getTransactionCount(wallet.address, "pending"), 1);
  assert.equal((await provider.getLogs({ fromBlock: 1 })).length, 1);
  provider.destroy();

  const live = new WebSocketProvider(fixture.gateway.wsUrl);
  const numbers: number[] = [];
  await live.on("block", (number: number) => numbers.push(number));
  // `on` resolves before the subscription is made, so blocks are mined until one is noticed.
  while (numbers.length === 0) {
    await fixture.chain.mine();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await live.destroy();
});
