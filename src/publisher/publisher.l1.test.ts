/** The publisher against a real L1: restarts, reorgs, reverts, fences; what L1 holds always derives the sealed chain. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { toHexKey } from "../base/bytes.ts";
import { type ConfigOf, readConfig } from "../base/config.ts";
import { CodedError } from "../base/error.ts";
import { silentLog } from "../base/log.ts";
import { Metrics } from "../base/metrics.ts";
import { BeaconBlobs } from "../da/beacon.ts";
import { BlobWriter } from "../da/blob.ts";
import { BlobArchive } from "../da/blob-archive.ts";
import { CalldataWriter } from "../da/calldata.ts";
import { JsonRpcClient } from "../l1/json-rpc.ts";
import { SenderPool } from "../l1/sender-pool.ts";
import {
  allowPoster,
  ROLE_ACCOUNTS,
  type Settlement,
  startSender,
  startSettlement,
  until,
} from "../l1/testing/settlement.ts";
import { decodeSegmentPosted, SEGMENT_POSTED_TOPIC } from "../protocol/inbox-events.ts";
import { publisherConfig } from "./config.ts";
import { publisherMetrics } from "./metrics.ts";
import { Publisher } from "./publisher.ts";
import { type Derived, deriveFromL1, FakeChain } from "./testing/fake-chain.ts";

type Overrides = Partial<ConfigOf<typeof publisherConfig>>;

/** A cluster on its own L1, with a publisher that can be killed and started again. */
class Rig {
  readonly settlement: Settlement;
  readonly chain: FakeChain;
  readonly beacon: BeaconBlobs;
  readonly #archive: BlobArchive;
  readonly #archivePath: string;
  derived: Derived;
  term = 1;
  publisher: Publisher | undefined;
  metrics = new Metrics();
  #kill: (() => Promise<void>) | undefined;

  private constructor(t: TestContext, settlement: Settlement) {
    this.settlement = settlement;
    const folder = mkdtempSync(join(tmpdir(), "sheaf-publisher-"));
    t.after(async () => {
      await this.kill();
      rmSync(folder, { recursive: true, force: true });
    });
    this.#archivePath = join(folder, "blobs");
    this.#archive = new BlobArchive(this.#archivePath);
    this.beacon = new BeaconBlobs({ url: settlement.anvil.beaconUrl });
    this.chain = new FakeChain(settlement.origin, Math.floor(Date.now() / 1000) - 100_000);
    this.derived = {
      safe: { number: 0, hash: this.chain.genesisHash },
      nextIndex: 0,
      l1Derived: settlement.origin,
      waitingEntries: 0,
      consumed: [],
    };
  }

  static async start(t: TestContext, options: Parameters<typeof startSettlement>[1] = {}): Promise<Rig> {
    const settlement = await startSettlement(t, options);
    return new Rig(t, settlement);
  }

  /** Starts a publisher as a new process would: nothing is carried over. */
  run(overrides: Overrides = {}, confirmations = 1, accounts: readonly number[] = [ROLE_ACCOUNTS.poster]): Publisher {
    const { anvil, contracts, l1, origin } = this.settlement;
    const rpc = new JsonRpcClient({ url: anvil.rpcUrl, timeoutMs: 30_000 });
    const started = accounts.map((index) =>
      startSender(this.settlement, index, { confirmations, inFlightMax: 3 }, rpc),
    );
    const sender = new SenderPool({
      name: "posters",
      senders: started.map((s) => s.sender),
      blamesAccount: (error) => error instanceof CodedError && error.data["revert"] === "NotPoster",
      log: silentLog,
    });
    const stop = async (): Promise<void> => void (await Promise.all(started.map((s) => s.stop())));
    const config = { ...readConfig(publisherConfig, {}), pollMs: 20, ageMaxSeconds: 1, ...overrides };
    this.metrics = new Metrics();
    const metrics = publisherMetrics(this.metrics);
    const publisher = new Publisher(config, {
      l1,
      inbox: contracts.inbox,
      chainId: 901,
      genesisOrigin: origin,
      sequencingWindow: 3_600,
      sealed: this.chain,
      derived: () => this.derived,
      sender,
      writers: {
        blobs: new BlobWriter({
          inbox: contracts.inbox,
          sender,
          l1,
          proofs: "blob",
          archive: this.#archive,
          readBackFailures: metrics.readBackFailures,
          log: silentLog,
        }),
        calldata: new CalldataWriter({ inbox: contracts.inbox, sender }),
      },
      term: () => this.term,
      metrics,
      log: silentLog,
    });
    const abort = new AbortController();
    const done = publisher.run(abort.signal);
    this.publisher = publisher;
    this.#kill = async () => {
      abort.abort();
      await Promise.all([done, stop()]);
    };
    return publisher;
  }

  async kill(): Promise<void> {
    await this.#kill?.();
    this.#kill = undefined;
  }

  /** The archive cannot be written any more: its folder is a file. */
  breakArchive(): void {
    writeFileSync(this.#archivePath, "");
  }

  async derive(): Promise<Derived> {
    this.derived = await deriveFromL1(this.settlement, this.beacon, this.chain.genesisHash);
    return this.derived;
  }

  /** Waits until the chain derived from L1 is the sealed chain. */
  async settled(): Promise<Derived> {
    await until(async () => {
      const { safe } = await this.derive();
      const sealed = this.chain.block(this.chain.head);
      return safe.number === this.chain.head && sealed !== undefined && toHexKey(safe.hash) === toHexKey(sealed.hash);
    });
    return this.derived;
  }
}

/** Invariant G: contiguous, each index once, nothing posted twice. */
function assertGapFree(derived: Derived): void {
  let expected = 1;
  for (const [i, segment] of derived.consumed.entries()) {
    assert.equal(segment.index, i);
    assert.equal(segment.firstBlock, expected, `segment ${i} goes on where the one before ended`);
    assert.ok(segment.valid);
    expected = segment.lastBlock + 1;
  }
  assert.equal(derived.waitingEntries, 0);
}

/** Gas spent on reverts is the mark of a publisher that lost its view. */
async function assertNoReverts({ settlement: { anvil } }: Rig): Promise<void> {
  for (let n = 0; n <= (await anvil.blockNumber()); n++) {
    const receipts = (await anvil.rpc.call("eth_getBlockReceipts", [`0x${n.toString(16)}`])) as { status: string }[];
    for (const receipt of receipts) assert.equal(receipt.status, "0x1", `nothing reverts in block ${n}`);
  }
}

test("the sealed chain comes out of L1 unchanged, in calldata", async (t) => {
  const rig = await Rig.start(t);
  rig.chain.seal(30, 2_000);
  const publisher = rig.run({ da: "calldata", calldataTargetBytes: 20_000 });
  const derived = await rig.settled();
  assertGapFree(derived);
  assert.ok(derived.consumed.length >= 3, "several segments");
  await until(() => publisher.status().pendingBlocks === 0);
  assert.equal(publisher.notReady(), undefined);
  assert.equal(publisher.status().postedThrough, 30);
});

test("a backlog goes out in fuller blobs, and every blob but the last segment's is filled", async (t) => {
  const rig = await Rig.start(t);
  rig.chain.seal(50, 30_000);
  rig.run({ inFlightMax: 2, ageMaxSeconds: 3_600 });
  const derived = await rig.settled();
  assertGapFree(derived);
  const text = await rig.metrics.registry.metrics();
  const full = /batch_blob_fill_ratio_bucket\{le="0.75"\} (\d+)/.exec(text)?.[1];
  assert.ok(Number(full) <= 1, "only the last segment may be far from full");
  assert.match(text, /batch_submissions_total\{result="success"\} [1-9]/);
  assert.match(text, /batch_submission_success_rate 1/);
  assert.match(text, /batch_pending_blocks \d/);
});

test("blocks are not posted before they fill a segment or are old enough, unless asked", async (t) => {
  const rig = await Rig.start(t);
  const publisher = rig.run({ da: "calldata", ageMaxSeconds: 86_400 * 3 });
  rig.chain.seal(3);
  await until(() => publisher.status().state === "posting" && publisher.status().openBytes > 0);
  assert.equal((await rig.derive()).consumed.length, 0);
  publisher.flush();
  await rig.settled();
});

test("blocks without transactions wait longer than those with some", async (t) => {
  const rig = await Rig.start(t);
  const publisher = rig.run({ da: "calldata", ageMaxSeconds: 1, idleAgeMaxSeconds: 86_400 * 3 });
  rig.chain.seal(3, 0);
  await until(() => publisher.status().state === "posting" && publisher.status().openBytes > 0);
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.equal((await rig.derive()).consumed.length, 0);
  rig.chain.seal(1, 100);
  const derived = await rig.settled();
  assert.deepEqual(
    derived.consumed.map((s) => [s.firstBlock, s.lastBlock]),
    [[1, 4]],
  );
});

/** Accounts of anvil that no role has. */
const MORE_POSTERS = [5, 6] as const;

async function postersOf({ settlement: { l1, contracts } }: Rig): Promise<Set<string>> {
  const head = await l1.head();
  const logs = await l1.logs({
    fromBlock: 0,
    toBlock: head.number,
    addresses: [contracts.inbox],
    topics: [[SEGMENT_POSTED_TOPIC]],
  });
  return new Set(logs.map((log) => toHexKey(log.topics[3] as Uint8Array)));
}

test("several accounts post side by side, and what they post is one chain", async (t) => {
  const rig = await Rig.start(t);
  for (const index of MORE_POSTERS) await allowPoster(rig.settlement, true, index);
  rig.chain.seal(60, 2_000);
  rig.run({ da: "calldata", calldataTargetBytes: 8_000 }, 1, [ROLE_ACCOUNTS.poster, ...MORE_POSTERS]);
  const derived = await rig.settled();
  assertGapFree(derived);
  assert.ok(derived.consumed.length >= 10);
  assert.equal((await postersOf(rig)).size, 3);
  await assertNoReverts(rig);
});

test("an account that is not registered is left out, and the others post its share", async (t) => {
  const rig = await Rig.start(t);
  await allowPoster(rig.settlement, true, MORE_POSTERS[0]);
  rig.chain.seal(30, 2_000);
  rig.run({ da: "calldata", calldataTargetBytes: 8_000 }, 1, [ROLE_ACCOUNTS.poster, ...MORE_POSTERS]);
  assertGapFree(await rig.settled());
  assert.equal((await postersOf(rig)).size, 2);
  await assertNoReverts(rig);
});

test("the backlog slows admission down before its bound and lets go when it is posted", async (t) => {
  const rig = await Rig.start(t);
  await allowPoster(rig.settlement, false); // nothing can be posted
  const publisher = rig.run({ da: "calldata", backlogMaxBytes: 100_000 });
  await until(() => publisher.status().state !== "starting");
  assert.equal(publisher.admissionShare(0), 1);
  rig.chain.seal(70, 1_000);
  assert.ok(publisher.admissionShare(0) > 0 && publisher.admissionShare(0) < 1, "slower");
  assert.equal(publisher.admissionShare(40_000), 0, "what waits to be sealed counts as well");
  rig.chain.seal(40, 1_000);
  assert.equal(publisher.admissionShare(0), 0);
  await allowPoster(rig.settlement, true);
  await rig.settled();
  await until(() => publisher.admissionShare(0) === 1);
  assert.equal(publisher.status().backlogBytes, 0);
});

for (const accounts of [[ROLE_ACCOUNTS.poster], [ROLE_ACCOUNTS.poster, ...MORE_POSTERS]])
  test(`killed and started again at random moments, indexes stay unique and gap-free (${accounts.length} accounts)`, async (t) => {
    const rig = await Rig.start(t, { blockTimeSeconds: 1 });
    for (const index of accounts.slice(1)) await allowPoster(rig.settlement, true, index);
    const seed = Number(process.env["SHEAF_SEED"] ?? Math.floor(Math.random() * 1e9));
    t.diagnostic(`seed ${seed}`);
    let state = seed;
    const random = (below: number): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
    for (let round = 0; round < 10; round++) {
      rig.chain.seal(1 + random(20), 500 + random(4_000));
      rig.run({ da: "calldata", calldataTargetBytes: 8_000 }, 1, accounts);
      await new Promise((resolve) => setTimeout(resolve, random(700)));
      if (random(3) === 0) await rig.settlement.anvil.mine(1);
      if (random(2) === 0) await rig.derive();
      await rig.kill();
    }
    rig.run({ da: "calldata", calldataTargetBytes: 8_000 }, 1, accounts);
    assertGapFree(await rig.settled());
    await assertNoReverts(rig);
  });

for (const depth of [1, 3, 12])
  test(`a reorg of ${depth} blocks that drops segments heals, running or restarted`, async (t) => {
    const rig = await Rig.start(t);
    const { anvil } = rig.settlement;
    await anvil.mine(15); // the genesis event itself stays out of reach
    rig.chain.seal(6, 1_000);
    rig.run({ da: "calldata", calldataTargetBytes: 2_500 });
    const before = await rig.settled();
    assert.ok(before.consumed.length >= 2);
    await anvil.mine(Math.max(0, depth - before.consumed.length));
    // Deep enough that all segments are gone; the running publisher may have posted some again before we can look.
    await anvil.reorg(Math.max(depth, before.consumed.length));
    const healed = await rig.settled();
    assertGapFree(healed);
    assert.deepEqual(
      healed.consumed.map((s) => [s.firstBlock, s.lastBlock]),
      before.consumed.map((s) => [s.firstBlock, s.lastBlock]),
      "the same segments again",
    );
    // A new process has nothing in flight that would come back by itself: the publisher alone must notice.
    await rig.kill();
    const fresh = rig.run({ da: "calldata", calldataTargetBytes: 2_500 });
    await until(() => fresh.status().state === "posting" && fresh.status().pendingBlocks === 0);
    await anvil.reorg(Math.max(depth, before.consumed.length));
    assertGapFree(await rig.settled());
    // And one that happens while nobody looks.
    await rig.kill();
    await anvil.reorg(1);
    rig.chain.seal(3, 1_000);
    await rig.derive();
    rig.run({ da: "calldata", calldataTargetBytes: 2_500 });
    assertGapFree(await rig.settled());
    await assertNoReverts(rig);
  });

test("a segment in blobs that a reorg drops comes back with the same blobs", async (t) => {
  const rig = await Rig.start(t);
  await rig.settlement.anvil.mine(3);
  rig.chain.seal(4, 20_000);
  rig.run();
  await rig.settled();
  const { anvil, l1, contracts, origin } = rig.settlement;
  const posted = async () => {
    const { number } = await l1.head();
    const where = { fromBlock: origin.number, toBlock: number, addresses: [contracts.inbox] };
    return await l1.logs({ ...where, topics: [[SEGMENT_POSTED_TOPIC]] });
  };
  const [before] = await posted();
  assert.ok(before !== undefined);
  // The publisher goes on meanwhile and may have posted again before we look: what counts is that it is another block.
  await anvil.reorg((await anvil.blockNumber()) - before.blockNumber + 1);
  await until(async () => {
    const [log] = await posted();
    return log !== undefined && toHexKey(log.blockHash) !== toHexKey(before.blockHash);
  });
  assertGapFree(await rig.settled());
  const [after] = await posted();
  assert.ok(after !== undefined);
  assert.deepEqual(decodeSegmentPosted(after)?.hashes, decodeSegmentPosted(before)?.hashes);
});

test("a post that would revert halts posting with the reason, costs nothing, and resumes by itself", async (t) => {
  const rig = await Rig.start(t);
  await allowPoster(rig.settlement, false);
  rig.chain.seal(3);
  const publisher = rig.run({ da: "calldata" });
  await until(() => publisher.status().state === "halted");
  assert.match(publisher.notReady() ?? "", /NotPoster/);
  const spent = await rig.settlement.l1.head();
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.equal((await rig.settlement.l1.head()).number, spent.number, "nothing is sent meanwhile");
  await allowPoster(rig.settlement, true);
  assertGapFree(await rig.settled());
  await until(() => publisher.status().state === "posting");
});

test("in mode auto calldata stands in for blobs that cannot be posted, and the metric says so", async (t) => {
  const rig = await Rig.start(t);
  rig.chain.seal(12, 30_000); // more than calldata takes at once
  rig.breakArchive();
  rig.run({ da: "auto" });
  assertGapFree(await rig.settled());
  assert.match(await rig.metrics.registry.metrics(), /da_fallback_active\{target="calldata"\} 1/);
});

test("a block that calldata cannot carry goes into blobs; one that nothing can carry halts with a code", async (t) => {
  const rig = await Rig.start(t);
  rig.chain.seal(1, 150_000);
  const publisher = rig.run({ da: "calldata" });
  assertGapFree(await rig.settled());
  rig.chain.seal(1, 900_000);
  await until(() => publisher.status().state === "halted");
  assert.match(publisher.notReady() ?? "", /PUBLISHER_TOO_LARGE/);
});

test("a publisher of an older term is fenced off", async (t) => {
  const rig = await Rig.start(t);
  rig.term = 5;
  rig.chain.seal(2);
  rig.run({ da: "calldata" });
  await rig.settled();
  await rig.kill();
  rig.term = 4;
  rig.chain.seal(2);
  const old = rig.run({ da: "calldata" });
  await until(() => old.status().state === "halted");
  assert.match(old.notReady() ?? "", /StaleTerm/);
  await rig.kill();
  rig.term = 6;
  rig.run({ da: "calldata" });
  assertGapFree(await rig.settled());
});

test("when derivation dropped what was posted, posting goes on from the safe head", async (t) => {
  const rig = await Rig.start(t);
  rig.chain.seal(10, 500);
  rig.run({ da: "calldata", calldataTargetBytes: 2_000 });
  await rig.settled();
  // The sequencer rewinds to block 5 and builds another chain: blocks 6 to 10 on L1 are of the old one. Derivation, which
  // knows the old ones as valid, must be told the story of a verifier: safe is 5, everything posted so far is consumed.
  const { consumed } = rig.derived;
  await rig.kill();
  rig.chain.rewind(5);
  rig.chain.seal(6, 400);
  const at = rig.chain.block(5);
  assert.ok(at !== undefined);
  rig.derived = { ...rig.derived, safe: { number: 5, hash: at.hash }, nextIndex: consumed.length };
  const publisher = rig.run({ da: "calldata", calldataTargetBytes: 2_000 });
  await until(() => publisher.status().pendingBlocks === 0 && publisher.status().state === "posting");
  const events = await deriveFromL1(rig.settlement, rig.beacon, rig.chain.genesisHash);
  const fresh = events.consumed.slice(consumed.length);
  assert.equal(fresh[0]?.firstBlock, 6);
  assert.equal(fresh.at(-1)?.lastBlock, 11);
});

test("while the sealed chain differs from the safe chain nothing is posted", async (t) => {
  const rig = await Rig.start(t);
  rig.chain.seal(5);
  rig.derived = { ...rig.derived, safe: { number: 3, hash: new Uint8Array(32).fill(9) } };
  const publisher = rig.run({ da: "calldata" });
  await until(() => publisher.status().state === "waiting");
  assert.equal((await deriveFromL1(rig.settlement, rig.beacon, rig.chain.genesisHash)).consumed.length, 0);
});
