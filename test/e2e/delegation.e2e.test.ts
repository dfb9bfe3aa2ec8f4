/** Story: an ordinary account acts with a contract's code (EIP-7702), sent with viem, seen in receipts and traces. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Hex, keccak256, pad, parseGwei } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { clientsOf, startDevnet } from "./fixture.ts";

/** Stores its caller in slot 0. */
const NOTES_CALLER = "0x335f5500";
const DEPLOY_IT = "0x63335f55005f526004601cf3";

type Answer = { result?: unknown; error?: { code: number; message: string; data?: { reason: string } } };
type Call = { from: Hex; to: Hex; gasUsed: Hex; type: string };
type Diff = Record<"pre" | "post", Record<Hex, { code?: Hex; nonce?: number; storage?: Record<Hex, Hex> }>>;

test("accounts delegate, act delegated and take it back; each step can be traced", async (t) => {
  const devnet = await startDevnet(t);
  const { l2, account, cluster, l2Chain } = clientsOf(devnet.endpoints);
  const wallet = privateKeyToAccount(devnet.endpoints.accounts[1]?.privateKey as Hex);
  const self = wallet.address.toLowerCase() as Hex;
  const ask = async <T>(method: string, ...params: unknown[]): Promise<T> =>
    (await l2.request({ method, params } as never)) as T;
  const post = async (calls: readonly (readonly [string, ...unknown[]])[]): Promise<Answer[]> => {
    const body = calls.map(([method, ...params], id) => ({ jsonrpc: "2.0", id, method, params }));
    const headers = { "content-type": "application/json" };
    const response = await fetch(cluster.rpcUrl, { method: "POST", headers, body: JSON.stringify(body) });
    return (await response.json()) as Answer[];
  };
  const deployed = await l2.waitForTransactionReceipt({ hash: await l2.sendTransaction({ data: DEPLOY_IT }) });
  const contract = deployed.contractAddress as Hex;
  assert.equal(await l2.getCode({ address: contract }), NOTES_CALLER);

  await t.test("a relayer brings the authorization", async () => {
    const authorization = await l2.signAuthorization({ account: wallet, contractAddress: contract });
    const request = { account, to: wallet.address, authorizationList: [authorization] } as const;
    // The authorization and the code it makes run both count.
    const gas = await l2.estimateGas(request);
    assert.ok(gas > 21_000n + 25_000n, String(gas));
    const hash = await l2.sendTransaction({ ...request, gas });
    const receipt = await l2.waitForTransactionReceipt({ hash });
    assert.deepEqual([receipt.status, receipt.type], ["success", "eip7702"]);
    const sent = await l2.getTransaction({ hash });
    assert.equal(sent.type, "eip7702");
    assert.deepEqual(
      sent.authorizationList?.map(({ address, chainId, nonce, r, s, yParity }) => ({
        address,
        chainId,
        nonce,
        r,
        s,
        yParity,
      })),
      [
        {
          address: contract,
          chainId: l2Chain.id,
          nonce: 0,
          r: authorization.r,
          s: authorization.s,
          yParity: authorization.yParity,
        },
      ],
    );
    assert.equal(await l2.getCode({ address: wallet.address }), `0xef0100${contract.slice(2)}`);
    assert.equal(
      await l2.getStorageAt({ address: wallet.address, slot: "0x0" }),
      pad(account.address.toLowerCase() as Hex),
    );

    const call = await ask<Call>("debug_traceTransaction", hash, { tracer: "callTracer" });
    assert.deepEqual([call.type, call.to, BigInt(call.gasUsed)], ["CALL", self, receipt.gasUsed]);
    const { pre, post: after } = await ask<Diff>("debug_traceTransaction", hash, {
      tracer: "prestateTracer",
      tracerConfig: { diffMode: true },
    });
    assert.equal(pre[self]?.code, undefined);
    assert.deepEqual([after[self]?.code, after[self]?.nonce], [`0xef0100${contract.slice(2)}`, 1]);
    const { structLogs } = await ask<{ structLogs: { op: string }[] }>("debug_traceTransaction", hash);
    assert.deepEqual(
      structLogs.map(({ op }) => op),
      ["CALLER", "PUSH0", "SSTORE", "STOP"],
    );
  });

  await t.test("a delegated account has one transaction at a time", async () => {
    const base = {
      chainId: l2Chain.id,
      to: account.address,
      value: 1n,
      gas: 21_000n,
      maxFeePerGas: parseGwei("10"),
      maxPriorityFeePerGas: parseGwei("1"),
    } as const;
    const raws = await Promise.all([1, 2].map((nonce) => wallet.signTransaction({ ...base, type: "eip1559", nonce })));
    const answers = await post(raws.map((raw) => ["eth_sendRawTransaction", raw] as const));
    assert.equal(answers[0]?.result, keccak256(raws[0] as Hex));
    assert.equal(answers[1]?.error?.data?.reason, "DELEGATED_LIMIT");
    assert.match(answers[1]?.error?.message ?? "", /^in-flight transaction limit reached for delegated accounts/);
    await l2.waitForTransactionReceipt({ hash: keccak256(raws[0] as Hex) });
    const second = await l2.sendRawTransaction({ serializedTransaction: raws[1] as Hex });
    assert.equal((await l2.waitForTransactionReceipt({ hash: second })).status, "success");
  });

  await t.test("it takes the delegation back itself", async () => {
    const authorization = await l2.signAuthorization({
      account: wallet,
      contractAddress: "0x0000000000000000000000000000000000000000",
      executor: "self",
    });
    const hash = await l2.sendTransaction({ account: wallet, to: wallet.address, authorizationList: [authorization] });
    assert.equal((await l2.waitForTransactionReceipt({ hash })).status, "success");
    assert.equal(await l2.getCode({ address: wallet.address }), undefined);
    assert.equal(await l2.getTransactionCount({ address: wallet.address }), 5);
  });

  await t.test("transactions with blobs, and authorizations of nobody, are refused by name", async () => {
    const blob = await account.signTransaction({
      type: "eip4844",
      chainId: l2Chain.id,
      nonce: 9,
      to: wallet.address,
      gas: 21_000n,
      maxFeePerGas: parseGwei("10"),
      maxFeePerBlobGas: 1n,
      blobVersionedHashes: [`0x01${"00".repeat(31)}`],
    });
    // The body alone, and what clients send: the body with blobs, commitments and proofs.
    const sent = await post([blob, "0x03f8c6c0" as Hex].map((raw) => ["eth_sendRawTransaction", raw] as const));
    for (const { error } of sent) {
      assert.deepEqual([error?.code, error?.data?.reason], [-32000, "BLOB_TRANSACTION"]);
      assert.match(error?.message ?? "", /^transaction type not supported/);
    }
    const nobody = await account.signTransaction({
      type: "eip7702",
      chainId: l2Chain.id,
      nonce: 9,
      to: wallet.address,
      gas: 60_000n,
      maxFeePerGas: parseGwei("10"),
      authorizationList: [],
    });
    const [answer] = await post([["eth_sendRawTransaction", nobody]]);
    assert.equal(answer?.error?.code, -32602);
  });
});
