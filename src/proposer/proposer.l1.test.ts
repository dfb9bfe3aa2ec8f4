/** The proposer against a real oracle: schedule, restarts, reorgs, divergence. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { type TestContext, test } from "node:test";
import { encodeFunctionData } from "viem";
import { silentLog } from "../base/log.ts";
import { Metrics } from "../base/metrics.ts";
import { sheafOutputOracleAbi } from "../l1/abi/sheaf-output-oracle.ts";
import { readOracle, readOutput } from "../l1/output-oracle.ts";
import {
  callAs,
  ROLE_ACCOUNTS,
  type Settlement,
  startSender,
  startSettlement,
  until,
} from "../l1/testing/settlement.ts";
import type { L1Origin } from "../protocol/block.ts";
import type { Divergence, VerifiedHead } from "../verifier/api.ts";
import { proposerMetrics } from "./metrics.ts";
import { Proposer, type ProposerDeps } from "./proposer.ts";

/** Stands for a verifier: the test says how far it derived, and from which L1 block. */
class ScriptedVerifier {
  safe = 0;
  finalized = 0;
  l1Derived: L1Origin;
  diverged: Divergence | undefined;
  fork = "a";

  constructor(origin: L1Origin) {
    this.l1Derived = origin;
  }

  root(number: number): Uint8Array {
    return new Uint8Array(createHash("sha256").update(`${this.fork}:${number}`).digest());
  }

  head(number: number): VerifiedHead {
    return { number, hash: this.root(number), timestamp: number, originNumber: 0 };
  }

  api(): ProposerDeps["verifier"] {
    return {
      safeHead: () => this.head(this.safe),
      finalizedHead: () => this.head(this.finalized),
      divergence: () => this.diverged,
      outputRootAt: (number) =>
        number > this.safe
          ? undefined
          : {
              outputRoot: this.root(number),
              proof: {
                stateRoot: new Uint8Array(32),
                messagePasserStorageRoot: new Uint8Array(32),
                blockHash: new Uint8Array(32),
              },
            },
      status: () => ({
        safe: this.head(this.safe),
        finalized: this.head(this.finalized),
        l1Derived: this.l1Derived,
        l1HeadNumber: this.l1Derived.number,
        nextIndex: 0,
        waitingEntries: 0,
        divergence: this.diverged,
        notReady: undefined,
      }),
    };
  }
}

class Rig {
  readonly settlement: Settlement;
  readonly verifier: ScriptedVerifier;
  #kill: (() => Promise<void>) | undefined;

  constructor(t: TestContext, settlement: Settlement) {
    this.settlement = settlement;
    this.verifier = new ScriptedVerifier(settlement.origin);
    t.after(() => this.kill());
  }

  run(basis: "safe" | "finalized" = "safe"): Proposer {
    const { sender, stop } = startSender(this.settlement, ROLE_ACCOUNTS.proposer);
    const proposer = new Proposer(
      { basis, pollMs: 20 },
      {
        l1: this.settlement.l1,
        oracle: this.settlement.contracts.outputOracle,
        verifier: this.verifier.api(),
        sender,
        metrics: proposerMetrics(new Metrics()),
        log: silentLog,
      },
    );
    const abort = new AbortController();
    const done = proposer.run(abort.signal);
    this.#kill = async () => {
      abort.abort();
      await Promise.all([done, stop()]);
    };
    return proposer;
  }

  async kill(): Promise<void> {
    await this.#kill?.();
    this.#kill = undefined;
  }

  /** The verifier derives up to `safe` from the L1 head; one more L1 block follows, as it does on a live chain. */
  async derive(safe: number): Promise<void> {
    this.verifier.safe = safe;
    await this.follow();
  }

  async follow(): Promise<void> {
    this.verifier.l1Derived = await this.settlement.l1.head();
    // Let the proposer see derivation here before L1 moves on.
    await new Promise((resolve) => setTimeout(resolve, 80));
    await this.settlement.anvil.mine(1);
  }

  async outputs(): Promise<{ block: number; right: boolean }[]> {
    const { l1, contracts } = this.settlement;
    const { length } = await readOracle(l1, contracts.outputOracle, "latest");
    const out: { block: number; right: boolean }[] = [];
    for (let i = 0; i < length; i++) {
      const { blockNumber, outputRoot } = await readOutput(l1, contracts.outputOracle, i, "latest");
      out.push({ block: blockNumber, right: Buffer.compare(outputRoot, this.verifier.root(blockNumber)) === 0 });
    }
    return out;
  }

  async outputsReach(block: number): Promise<void> {
    await until(async () => ((await this.outputs()).at(-1)?.block ?? 0) >= block);
  }
}

const start = async (t: TestContext): Promise<Rig> => new Rig(t, await startSettlement(t, { submissionInterval: 5 }));

test("outputs follow the schedule, skip what was missed, and are never proposed twice across restarts", async (t) => {
  const rig = await start(t);
  rig.run();
  await rig.derive(4);
  await rig.derive(7);
  await rig.outputsReach(5);
  await rig.kill();
  rig.run();
  await rig.derive(23);
  await rig.outputsReach(20);
  await rig.kill();
  rig.run();
  await rig.derive(24);
  await rig.derive(25);
  await rig.outputsReach(25);
  assert.deepEqual(await rig.outputs(), [
    { block: 5, right: true },
    { block: 20, right: true },
    { block: 25, right: true },
  ]);
});

test("on finalized basis nothing is proposed before it is final", async (t) => {
  const rig = await start(t);
  const proposer = rig.run("finalized");
  await rig.derive(12);
  await until(() => proposer.status().state === "proposing");
  assert.deepEqual(await rig.outputs(), []);
  rig.verifier.finalized = 6;
  await rig.follow();
  await rig.outputsReach(5);
  assert.deepEqual(await rig.outputs(), [{ block: 5, right: true }]);
});

test("a reorg that drops a proposal is healed, also when the chain behind it changed", async (t) => {
  const rig = await start(t);
  rig.run();
  await rig.derive(6);
  await rig.outputsReach(5);
  const { anvil, l1 } = rig.settlement;
  const depth = (await l1.head()).number - rig.verifier.l1Derived.number + 1;
  await anvil.reorg(depth);
  rig.verifier.fork = "b";
  rig.verifier.safe = 0;
  rig.verifier.l1Derived = (await l1.block(rig.verifier.l1Derived.number - 1)) ?? rig.settlement.origin;
  await rig.derive(11);
  await rig.outputsReach(5);
  await until(async () => (await rig.outputs()).every((o) => o.right));
  assert.ok((await rig.outputs()).length >= 1);
});

test("while the verifier reports a divergence settlement stops, and it goes on afterwards", async (t) => {
  const rig = await start(t);
  rig.verifier.diverged = {
    kind: "block",
    blockNumber: 3,
    field: "stateRoot",
    transactionIndex: 1,
    transactionHash: undefined,
    sealedHash: new Uint8Array(32),
    derivedHash: new Uint8Array(32),
  };
  const proposer = rig.run();
  await rig.derive(9);
  await until(() => proposer.status().state === "halted");
  assert.match(proposer.notReady() ?? "", /stateRoot/);
  await rig.follow();
  assert.deepEqual(await rig.outputs(), []);
  rig.verifier.diverged = undefined;
  await rig.follow();
  await rig.outputsReach(5);
});

test("an output on L1 that differs from the derived one halts proposing", async (t) => {
  const rig = await start(t);
  const { anvil, contracts } = rig.settlement;
  await callAs(
    anvil,
    ROLE_ACCOUNTS.proposer,
    contracts.outputOracle,
    encodeFunctionData({
      abi: sheafOutputOracleAbi,
      functionName: "proposeL2Output",
      args: [`0x${"42".repeat(32)}`, 5n, `0x${"00".repeat(32)}`, 0n],
    }),
  );
  const proposer = rig.run();
  await rig.derive(30);
  await until(() => proposer.status().state === "halted");
  assert.match(proposer.notReady() ?? "", /0x4242/);
  assert.equal((await rig.outputs()).length, 1);
});

test("an account that may not propose halts with the contract's own reason and pays nothing", async (t) => {
  const rig = await start(t);
  const { contracts } = rig.settlement;
  const { sender, stop } = startSender(rig.settlement, 7);
  t.after(stop);
  const proposer = new Proposer(
    { basis: "safe", pollMs: 20 },
    {
      l1: rig.settlement.l1,
      oracle: contracts.outputOracle,
      verifier: rig.verifier.api(),
      sender,
      metrics: proposerMetrics(new Metrics()),
      log: silentLog,
    },
  );
  const abort = new AbortController();
  const done = proposer.run(abort.signal);
  t.after(async () => {
    abort.abort();
    await done;
  });
  await rig.derive(9);
  await until(() => proposer.status().state === "halted");
  assert.match(proposer.notReady() ?? "", /NotProposer/);
  assert.deepEqual(await rig.outputs(), []);
});
