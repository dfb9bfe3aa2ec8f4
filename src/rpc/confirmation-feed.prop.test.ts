/** Whoever listens, from whenever on, can put every block together from the stream, transaction by transaction. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { toHex } from "../base/bytes.ts";
import type { Block } from "../protocol/block.ts";
import { keccak256 } from "../protocol/keccak.ts";
import type { Receipt } from "../protocol/receipt.ts";
import type { ChainEvents, ChainView, PendingBlock } from "./chain-view.ts";
import { ConfirmationFeed } from "./confirmation-feed.ts";

type Flashblock = {
  payload_id: string;
  index: number;
  base?: { block_number: string; parent_hash: string };
  diff: { block_hash: string; gas_used: string; transactions: string[] };
  metadata: { block_number: number; receipts: Record<string, unknown> };
};

const hashOf = (n: number): Uint8Array => keccak256(Uint8Array.of(n >> 8, n));
const ZERO_HASH = toHex(new Uint8Array(32));

class Chain {
  events: ChainEvents = {};
  transactions: Uint8Array[] = [];
  receipts: Receipt[] = [];
  parent = 0;
  number = 1;
  #salt = 0;

  view(): ChainView {
    return {
      pending: () => this.#pending(),
      subscribe: (events: ChainEvents) => {
        this.events = events;
        return () => undefined;
      },
    } as unknown as ChainView;
  }

  #pending(): PendingBlock {
    const env = {
      number: this.number,
      timestamp: 1,
      gasLimit: 1,
      baseFeePerGasWei: 1n,
      coinbase: new Uint8Array(20),
      prevRandao: new Uint8Array(32),
    };
    return {
      env,
      parentHash: hashOf(this.parent),
      parentBeaconBlockRoot: new Uint8Array(32),
      transactions: this.transactions,
      receipts: this.receipts,
    } as unknown as PendingBlock;
  }

  execute(type: number): void {
    this.#salt++;
    this.transactions.push(Uint8Array.of(type, this.#salt >> 8, this.#salt));
    this.receipts.push({
      type,
      status: 1,
      cumulativeGasUsed: this.receipts.length + 1,
      logs: [],
    } as unknown as Receipt);
  }

  open(deposits: number): void {
    this.transactions = [];
    this.receipts = [];
    for (let i = 0; i < deposits; i++) this.execute(0x7e);
  }

  seal(): Block {
    const header = {
      number: this.number,
      parentHash: hashOf(this.parent),
      stateRoot: hashOf(1),
      receiptsRoot: hashOf(2),
      coinbase: new Uint8Array(20),
      prevRandao: new Uint8Array(32),
      parentBeaconBlockRoot: new Uint8Array(32),
      gasLimit: 1,
      timestamp: 1,
      baseFeePerGasWei: 1n,
    };
    this.parent = ++this.#salt;
    const block = { hash: hashOf(this.parent), header, transactions: this.transactions } as unknown as Block;
    this.number++;
    this.events.block?.(block, this.receipts);
    return block;
  }
}

const stepArb = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant("confirm" as const), count: fc.integer({ min: 1, max: 4 }) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("seal" as const), deposits: fc.integer({ min: 1, max: 3 }) }) },
  { weight: 1, arbitrary: fc.constant({ kind: "listen" as const }) },
  // Executed ahead of what is confirmed.
  { weight: 1, arbitrary: fc.constant({ kind: "execute" as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: "rewind" as const }) },
);

test("each listener gets every transaction of a block once and in order, base first, and the seal last", () => {
  fc.assert(
    fc.property(fc.array(stepArb, { maxLength: 40 }), (steps) => {
      const chain = new Chain();
      const feed = new ConfirmationFeed(chain.view());
      chain.open(1);
      const streams: Flashblock[][] = [];
      const listen = (): void => {
        const stream: Flashblock[] = [];
        streams.push(stream);
        feed.listen((text) => stream.push(JSON.parse(text) as Flashblock));
      };
      listen();
      let ahead = 0;
      for (const step of steps) {
        if (step.kind === "listen") listen();
        else if (step.kind === "execute") {
          chain.execute(2);
          ahead++;
        } else if (step.kind === "confirm") {
          for (let i = ahead; i < step.count; i++) chain.execute(2);
          const hashes = Array.from({ length: step.count }, () => new Uint8Array(32));
          ahead = Math.max(0, ahead - step.count);
          chain.events.confirmed?.(hashes);
        } else if (step.kind === "rewind") {
          chain.parent += 1_000;
          chain.open(1);
          ahead = 0;
          chain.events.reorg?.(chain.number - 1, []);
        } else {
          const { transactions } = chain;
          const block = chain.seal();
          for (const stream of streams) {
            const last = stream.at(-1);
            assert.equal(last?.diff.block_hash, toHex(block.hash));
            const own = stream.filter(({ payload_id }) => payload_id === last.payload_id);
            assert.ok(own[0]?.base !== undefined && own.slice(1).every(({ base }) => base === undefined));
            assert.deepEqual(
              own.flatMap(({ diff }) => diff.transactions),
              transactions.map((raw) => toHex(raw)),
            );
            assert.deepEqual(
              own.flatMap(({ metadata }) => Object.keys(metadata.receipts)),
              transactions.map((raw) => toHex(keccak256(raw))),
            );
            assert.ok(own.slice(0, -1).every(({ diff }) => diff.block_hash === ZERO_HASH));
            const [first] = own;
            assert.deepEqual(
              own.map(({ index }) => index),
              own.map((_, i) => (first?.index ?? 0) + i),
            );
            assert.equal(Number(last.diff.gas_used), transactions.length);
          }
          chain.open(step.deposits);
          ahead = 0;
        }
      }
    }),
  );
});
