/**
 * Senders on a simulated L1 whose mempool loses, delays and refuses, whose chain reorganises and whose endpoint fails,
 * with processes that are killed: whatever the order of events, each index is included once; and while a process lives,
 * nothing of one index is in flight with two contents and no gas is spent for nothing. A failing seed is printed.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { silentLog } from "../base/log.ts";
import { Metrics } from "../base/metrics.ts";
import { keccak256 } from "../protocol/keccak.ts";
import type { ProvenBlob } from "./kzg.ts";
import { L1Sender, SENDER_DEFAULTS } from "./l1-sender.ts";
import { localSigner } from "./l1-signer.ts";
import { senderMetrics } from "./metrics.ts";
import type { SendRequest } from "./sender.ts";
import { SenderPool } from "./sender-pool.ts";
import { SimulatedL1 } from "./testing/simulated-l1.ts";

const CAPS = { maxFeePerGasWei: 400_000_000_000n, maxFeePerBlobGasWei: 400_000_000_000n };
const INBOX = new Uint8Array(20).fill(0x11);
const keyOf = (account: number): Uint8Array => keccak256(Uint8Array.of(0xac, account));
/** Stands for a blob: the simulation does not look inside. */
const PROVEN: ProvenBlob = {
  blob: Uint8Array.of(1),
  commitment: Uint8Array.of(2),
  versionedHash: new Uint8Array(32).fill(1),
  proofs: [Uint8Array.of(3)],
};

/** One process: posts every index that is neither on the chain nor pending, as a publisher does. */
class Poster {
  readonly #l1: SimulatedL1;
  readonly #pool: SenderPool;
  readonly #sent = new Set<number>();
  readonly #abort = new AbortController();
  readonly #done: Promise<void>;
  readonly #blobs: boolean;

  constructor(l1: SimulatedL1, accounts: number, blobs: boolean) {
    this.#l1 = l1;
    this.#blobs = blobs;
    const senders = Array.from(
      { length: accounts },
      (_, i) =>
        new L1Sender({
          name: `account ${i}`,
          rpc: l1,
          reader: l1.reader,
          signer: localSigner(keyOf(i)),
          options: {
            ...SENDER_DEFAULTS,
            chainId: l1.chainId,
            caps: CAPS,
            pollMs: 1_000,
            replaceAfterMs: 10_000,
            adoptTimeoutMs: 40_000,
            inFlightMax: 3,
          },
          abis: [],
          metrics: senderMetrics(new Metrics(), `account ${i}`),
          log: silentLog,
          clock: l1.clock,
          prove: async () => PROVEN,
        }),
    );
    this.#pool = new SenderPool({ name: "pool", senders, log: silentLog, clock: l1.clock });
    this.#done = this.#pool.run(this.#abort.signal);
  }

  step(wanted: number): void {
    if (!this.#pool.recovered) return;
    const { byIndex } = this.#l1.included();
    for (let index = 0; index < wanted; index++) {
      const what = `segment ${index}`;
      if (byIndex.has(index) || this.#sent.has(index) || this.#pool.isPending(what)) continue;
      this.#sent.add(index);
      const request: SendRequest = {
        purpose: "batch",
        what,
        place: index,
        to: INBOX,
        data: new TextEncoder().encode(`${index}:attempt ${this.#l1.attempts++}`),
        ...(this.#blobs ? { blobs: [PROVEN] } : {}),
      };
      this.#pool.send(request).then(
        () => this.#sent.delete(index),
        () => this.#sent.delete(index),
      );
    }
  }

  async kill(): Promise<void> {
    this.#abort.abort();
    await this.#l1.advance(0);
    await this.#done;
  }
}

type Event =
  | { readonly kind: "mine"; readonly count: number }
  | { readonly kind: "wait"; readonly ms: number }
  | { readonly kind: "fee"; readonly percent: number }
  | { readonly kind: "reorg"; readonly depth: number; readonly returns: boolean }
  | { readonly kind: "drop"; readonly pick: number }
  | { readonly kind: "down"; readonly calls: number }
  | { readonly kind: "lose" | "mute"; readonly sends: number }
  | { readonly kind: "kill" };

const event = (kills: boolean): fc.Arbitrary<Event> =>
  fc.oneof(
    { weight: 6, arbitrary: fc.record({ kind: fc.constant("mine" as const), count: fc.integer({ min: 0, max: 4 }) }) },
    {
      weight: 4,
      arbitrary: fc.record({ kind: fc.constant("wait" as const), ms: fc.integer({ min: 0, max: 30_000 }) }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ kind: fc.constant("fee" as const), percent: fc.integer({ min: 50, max: 300 }) }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant("reorg" as const),
        depth: fc.integer({ min: 1, max: 3 }),
        returns: fc.boolean(),
      }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("drop" as const), pick: fc.nat(20) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("down" as const), calls: fc.integer({ min: 1, max: 12 }) }) },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constantFrom("lose" as const, "mute" as const),
        sends: fc.integer({ min: 1, max: 3 }),
      }),
    },
    { weight: kills ? 1 : 0, arbitrary: fc.constant({ kind: "kill" as const }) },
  );

async function play(events: readonly Event[], accounts: number, blobs: boolean): Promise<void> {
  const l1 = new SimulatedL1();
  let poster = new Poster(l1, accounts, blobs);
  const wanted = 9;
  try {
    for (const e of events) {
      poster.step(wanted);
      if (e.kind === "mine") l1.mine(e.count);
      else if (e.kind === "wait") await l1.advance(e.ms);
      else if (e.kind === "fee") {
        const next = (l1.baseFeeWei * BigInt(e.percent)) / 100n;
        l1.baseFeeWei = next < 7n ? 7n : next > 100_000_000_000n ? 100_000_000_000n : next;
      } else if (e.kind === "reorg") l1.reorg(e.depth, e.returns);
      else if (e.kind === "drop") l1.drop(e.pick);
      else if (e.kind === "down") l1.downCalls += e.calls;
      else if (e.kind === "lose") l1.loseSends += e.sends;
      else if (e.kind === "mute") l1.muteSends += e.sends;
      else {
        await poster.kill();
        poster = new Poster(l1, accounts, blobs);
      }
      await l1.advance(500);
      for (const { tx } of l1.pooled()) {
        assert.ok(tx.maxFeePerGasWei <= CAPS.maxFeePerGasWei && tx.maxFeePerBlobGasWei <= CAPS.maxFeePerBlobGasWei);
      }
    }
    // The storm is over: everything comes through.
    l1.downCalls = 0;
    l1.loseSends = 0;
    l1.muteSends = 0;
    l1.baseFeeWei = 7n;
    for (let i = 0; i < 400 && l1.included().byIndex.size < wanted; i++) {
      poster.step(wanted);
      await l1.advance(1_000);
      l1.mine(8);
    }
    const { byIndex, reverted } = l1.included();
    assert.deepEqual(
      [...byIndex.keys()].sort((a, b) => a - b),
      Array.from({ length: wanted }, (_, i) => i),
    );
    // What a killed process left behind a gap of its nonces shows nowhere: it may meet the new one in the inbox, which
    // takes one of the two. Without kills that cannot happen.
    if (events.some((e) => e.kind === "kill")) return;
    assert.deepEqual(l1.violations, []);
    assert.equal(reverted, 0, "no gas is spent for nothing");
  } finally {
    await poster.kill();
  }
}

for (const accounts of [1, 3])
  for (const blobs of [false, true])
    for (const kills of [false, true]) {
      const what = `${accounts} account${accounts === 1 ? "" : "s"}, ${blobs ? "blobs" : "no blobs"}`;
      test(`each index is included once through faults${kills ? " and kills" : ""}: ${what}`, async () => {
        await fc.assert(
          fc.asyncProperty(fc.array(event(kills), { minLength: 5, maxLength: 60 }), (events) =>
            play(events, accounts, blobs),
          ),
          { numRuns: 25 },
        );
      });
    }
