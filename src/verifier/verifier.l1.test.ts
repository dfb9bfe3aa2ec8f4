/** The verifier on a real L1: contracts, blobs from the beacon API, calldata, deposits, outputs, reorgs. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { encodeFunctionData } from "viem";
import { fromHex, toHex } from "../base/bytes.ts";
import { systemClock } from "../base/clock.ts";
import { silentLog } from "../base/log.ts";
import { Metrics } from "../base/metrics.ts";
import { BeaconBlobs } from "../da/beacon.ts";
import { BlobWriter } from "../da/blob.ts";
import { BlobArchive } from "../da/blob-archive.ts";
import { BlobSources } from "../da/blob-sources.ts";
import { CalldataWriter } from "../da/calldata.ts";
import { EthereumjsEngine } from "../execution/ethereumjs-engine.ts";
import { sheafPortalAbi } from "../l1/abi/sheaf-portal.ts";
import { callAs, ROLE_ACCOUNTS, type Settlement, startSender, startSettlement } from "../l1/testing/settlement.ts";
import { VerifierNode } from "../node/verifier-node.ts";
import type { Genesis } from "../protocol/genesis.ts";
import { encodeGenesis } from "../protocol/genesis-codec.ts";
import { testGenesis } from "./testing/l1-world.ts";
import { TestSequencer } from "./testing/test-sequencer.ts";

const recipient = fromHex("00000000000000000000000000000000000000d0");

async function start(t: TestContext) {
  let genesis: Genesis | undefined;
  const settlement = await startSettlement(t, {
    genesis: (contracts) => {
      genesis = testGenesis({ contracts, maxDriftSeconds: 100_000 });
      return encodeGenesis(genesis);
    },
  });
  assert.ok(genesis !== undefined);
  const engine = new EthereumjsEngine();
  const sequencer = new TestSequencer(genesis, settlement.origin, settlement.l1, engine);
  const { sender, stop } = startSender(settlement, ROLE_ACCOUNTS.poster);
  t.after(stop);
  const folder = mkdtempSync(join(tmpdir(), "sheaf-verifier-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const { inbox } = settlement.contracts;
  const beacon = new BeaconBlobs({ url: settlement.anvil.beaconUrl });
  const blobWriter = new BlobWriter({
    inbox,
    sender,
    l1: settlement.l1,
    proofs: "blob",
    archive: new BlobArchive(join(folder, "blobs")),
    readBack: beacon,
    readBackFailures: { inc: () => undefined },
    log: silentLog,
  });
  const writers = { blobs: blobWriter, calldata: new CalldataWriter({ inbox, sender }) };
  let index = 0;
  /** Posts the sealed blocks from `first` on. */
  const post = async (first: number, kind: keyof typeof writers): Promise<void> => {
    const lastBlock = sequencer.head.header.number;
    const bytes = sequencer.segment(first, lastBlock);
    await writers[kind].post({ index: index++, term: 1, firstBlock: first, lastBlock, bytes });
  };
  const open = async (name: string): Promise<VerifierNode> =>
    await VerifierNode.open({
      path: join(folder, name),
      l1: settlement.l1,
      blobs: new BlobSources({ sources: [beacon], log: silentLog }),
      inbox,
      engine,
      env: {},
      log: silentLog,
      metrics: new Metrics(),
      clock: systemClock,
    });
  return { settlement, sequencer, post, open };
}

async function deposit(settlement: Settlement, valueWei: bigint): Promise<void> {
  const data = encodeFunctionData({
    abi: sheafPortalAbi,
    functionName: "depositTransaction",
    args: [toHex(recipient), valueWei, 100_000n, false, "0x"],
  });
  const { anvil, contracts } = settlement;
  const from = (await anvil.rpc.call("eth_accounts", [])) as string[];
  const value = `0x${valueWei.toString(16)}`;
  const transaction = { from: from[5], to: toHex(contracts.portal), data, value, gas: "0x1e8480" };
  const hash = await anvil.rpc.call("eth_sendTransaction", [transaction]);
  let receipt: { status: string } | null = null;
  while (receipt === null) {
    receipt = (await anvil.rpc.call("eth_getTransactionReceipt", [hash])) as { status: string } | null;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.equal(receipt.status, "0x1");
}

test("a chain posted to a real L1 is rebuilt from it, and follows its reorgs", async (t) => {
  const { settlement, sequencer, post, open } = await start(t);
  const { anvil, l1 } = settlement;
  const node = await open("db");
  t.after(() => node.close());
  const { verifier } = node;
  const buildUpTo = async (l1Number: number): Promise<void> => {
    while (sequencer.head.origin.number < l1Number)
      await sequencer.build({ advance: true, txs: [sequencer.transfer(0), sequencer.transfer(1)] });
  };

  await deposit(settlement, 7n);
  await buildUpTo((await l1.head()).number);
  await post(1, "blobs");
  const second = sequencer.head.header.number + 1;
  await buildUpTo((await l1.head()).number);
  await sequencer.build({ txs: [sequencer.transfer(2)] });
  await post(second, "calldata");
  await verifier.catchUp();
  assert.deepEqual(verifier.safeHead()?.hash, sequencer.head.hash);
  assert.equal(verifier.notReady(), undefined);

  assert.equal(node.view.heads().safe, sequencer.head.header.number);
  assert.equal(node.view.stateAt(sequencer.head.header.number).account(recipient)?.balanceWei, 7n);

  // A deposit and a segment that use it, then L1 takes both back.
  const before = { number: (await l1.head()).number, head: sequencer.head };
  await deposit(settlement, 1_000n);
  const third = sequencer.head.header.number + 1;
  await buildUpTo((await l1.head()).number);
  await post(third, "blobs");
  await verifier.catchUp();
  assert.deepEqual(verifier.safeHead()?.hash, sequencer.head.hash);
  assert.equal(node.view.stateAt(sequencer.head.header.number).account(recipient)?.balanceWei, 1_007n);
  const depth = (await l1.head()).number - before.number;
  await anvil.reorg(depth);
  await verifier.catchUp();
  assert.deepEqual(verifier.safeHead()?.hash, before.head.hash);
  assert.equal(node.view.stateAt(before.head.header.number).account(recipient)?.balanceWei, 7n);

  // A restart and a fresh one agree with it.
  await node.close();
  for (const name of ["db", "fresh"]) {
    const again = await open(name);
    await again.verifier.catchUp();
    assert.deepEqual(again.verifier.safeHead()?.hash, before.head.hash);
    await again.close();
  }
});

test("a wrong output on L1 is found", async (t) => {
  const { settlement, sequencer, post, open } = await start(t);
  const { sheafOutputOracleAbi } = await import("../l1/abi/sheaf-output-oracle.ts");
  for (let n = 0; n < 6; n++) await sequencer.build();
  await post(1, "calldata");
  const node = await open("db");
  t.after(() => node.close());
  await node.verifier.catchUp();
  assert.equal(node.verifier.safeHead()?.number, 6);
  const { l1, contracts, anvil } = settlement;
  const next = BigInt(
    toHex(
      await l1.call({
        to: contracts.outputOracle,
        data: fromHex(encodeFunctionData({ abi: sheafOutputOracleAbi, functionName: "nextBlockNumber" })),
        at: "latest",
      }),
    ),
  );
  assert.ok(next <= 6n, `the oracle wants block ${next}`);
  const data = encodeFunctionData({
    abi: sheafOutputOracleAbi,
    functionName: "proposeL2Output",
    args: [toHex(new Uint8Array(32).fill(9)), next, toHex(new Uint8Array(32)), 0n],
  });
  await callAs(anvil, ROLE_ACCOUNTS.proposer, contracts.outputOracle, data);
  await node.verifier.catchUp();
  const divergence = node.verifier.divergence();
  assert.equal(divergence?.kind, "output");
  assert.equal(divergence?.blockNumber, Number(next));
});
