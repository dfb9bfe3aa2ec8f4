/** The sealed chain over a link: whatever seals, rewinds and losses come between, the publisher ends with that chain. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { bytesEqual } from "../base/bytes.ts";
import type { LinkEvents } from "../link/link.ts";
import type { Block, Header } from "../protocol/block.ts";
import type { SealedBlocks } from "./api.ts";
import { decodeDerivedView, encodeDerivedView } from "./derived-link.ts";
import { SealedClient, SealedServer } from "./sealed-link.ts";

const ZERO = new Uint8Array(32);
const HEADER: Header = {
  ...{ parentHash: ZERO, ommersHash: ZERO, coinbase: new Uint8Array(20), stateRoot: ZERO, transactionsRoot: ZERO },
  ...{ receiptsRoot: ZERO, logsBloom: new Uint8Array(256), difficulty: 0n, number: 0, gasLimit: 1, gasUsed: 0 },
  ...{ timestamp: 1, extraData: new Uint8Array(0), prevRandao: ZERO, nonce: new Uint8Array(8), baseFeePerGasWei: 1n },
  ...{ withdrawalsRoot: ZERO, blobGasUsed: 0, excessBlobGas: 0, parentBeaconBlockRoot: ZERO, requestsHash: ZERO },
};

/** A sealed chain that grows and is rewound. */
class Chain implements SealedBlocks {
  readonly blocks: Block[] = [];
  readonly #sealed = new Set<(block: Block) => void>();
  readonly #rewound = new Set<() => void>();
  #salt = 0;

  constructor() {
    this.seal(0);
  }

  get head(): number {
    return this.blocks.length - 1;
  }

  block(number: number): Block | undefined {
    return this.blocks[number];
  }

  seal(sizeBytes: number): void {
    const number = this.blocks.length;
    const parentHash = this.blocks.at(-1)?.hash ?? ZERO;
    const hash = new Uint8Array(
      createHash("sha256")
        .update(parentHash)
        .update(`${this.#salt++}`)
        .digest(),
    );
    const transactions = sizeBytes === 0 ? [] : [new Uint8Array(sizeBytes).fill(2)];
    const senders = transactions.map(() => new Uint8Array(20));
    const header = { ...HEADER, number, parentHash };
    const block = { hash, header, transactions, senders, origin: { number: 1, hash: ZERO }, sequenceNumber: number };
    this.blocks.push(block);
    for (const listener of this.#sealed) listener(block);
  }

  rewind(number: number): void {
    this.blocks.length = number + 1;
    for (const listener of this.#rewound) listener();
  }

  onSeal(listener: (block: Block) => void): () => void {
    this.#sealed.add(listener);
    return () => this.#sealed.delete(listener);
  }

  onRewind = (listener: () => void): (() => void) => {
    this.#rewound.add(listener);
    return () => this.#rewound.delete(listener);
  };
}

/** Joins both ends; what is sent arrives in later turns. @returns what cuts the link */
function join(server: SealedServer, client: SealedClient): () => void {
  let isOpen = true;
  let events: LinkEvents | undefined;
  const later = (deliver: () => void): void => {
    setImmediate(() => {
      if (isOpen) deliver();
    });
  };
  let receive: ((message: Uint8Array) => void) | undefined;
  server.service(1).accept({
    peer: { network: "n", cluster: "c", role: "publisher", process: "p" },
    attach: (given) => {
      events = given;
      return {
        send: (message) => later(() => receive?.(message)),
        close: () => Promise.resolve(),
      };
    },
  });
  receive = client.host((message) => later(() => events?.received(message))) as (message: Uint8Array) => void;
  return () => {
    isOpen = false;
    client.lost();
    events?.lost(new Error("cut"));
  };
}

const turns = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
};

const step = fc.oneof(
  fc.record({ kind: fc.constant("seal" as const), count: fc.integer({ min: 1, max: 40 }), bytes: fc.nat(3_000) }),
  fc.record({ kind: fc.constant("rewind" as const), depth: fc.integer({ min: 1, max: 12 }) }),
  fc.record({ kind: fc.constant("safe" as const), share: fc.double({ min: 0, max: 1, noNaN: true }) }),
  fc.record({ kind: fc.constant("cut" as const) }),
  fc.record({ kind: fc.constant("turns" as const), count: fc.integer({ min: 1, max: 12 }) }),
);

test("a publisher elsewhere ends with the sealed chain from the safe head on, whatever happened before", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const chain = new Chain();
      let safe = 0;
      const server = new SealedServer({
        sealed: chain,
        onRewind: chain.onRewind,
        term: () => 7,
        backlogMaxBytes: 1_000_000,
      });
      const client = new SealedClient(() => safe);
      client.onSeal((block) => assert.equal(client.block(block.header.number)?.hash, block.hash));
      let cut = join(server, client);
      for (const s of steps) {
        if (s.kind === "seal") for (let i = 0; i < s.count; i++) chain.seal(s.bytes);
        else if (s.kind === "rewind") {
          chain.rewind(Math.max(0, chain.head - s.depth));
          safe = Math.min(safe, chain.head);
        } else if (s.kind === "safe") safe = Math.floor(s.share * chain.head);
        else if (s.kind === "cut") {
          cut();
          cut = join(server, client);
        } else await turns(s.count);
        client.report({ postedThrough: safe, windowUsed: 0.25 });
        // What is held is one chain at any moment.
        for (let n = client.head; client.block(n - 1) !== undefined; n--)
          assert.ok(bytesEqual(client.block(n)?.header.parentHash ?? ZERO, client.block(n - 1)?.hash ?? ZERO));
      }
      for (let i = 0; i < 200 && (client.head !== chain.head || client.block(safe) === undefined); i++) {
        await turns(4);
        client.report({ postedThrough: safe, windowUsed: 0.25 });
      }
      await turns(8);
      assert.equal(client.head, chain.head);
      for (let n = safe; n <= chain.head; n++)
        assert.deepEqual(client.block(n)?.hash, chain.blocks[n]?.hash, `block ${n}`);
      assert.equal(client.term(), 7);
      let bytes = 0;
      for (let n = safe + 1; n <= chain.head; n++) bytes += chain.blocks[n]?.transactions[0]?.length ?? 0;
      const expected = Math.min(1, Math.max(0, (1_000_000 - bytes) / 500_000));
      assert.ok(Math.abs(server.admissionShare(0) - expected) < 1e-9, "admission knows what is not posted");
      cut();
    }),
    {
      numRuns: 60,
      // The safe head goes back while the next block is waited for.
      examples: [
        [
          [
            { kind: "seal", count: 2, bytes: 0 },
            { kind: "turns", count: 2 },
            { kind: "safe", share: 0.5 },
            { kind: "safe", share: 0 },
          ],
        ],
      ],
    },
  );
});

test("rubbish from a caller ends its link and nothing else", async () => {
  const chain = new Chain();
  const server = new SealedServer({ sealed: chain, onRewind: chain.onRewind, term: () => 1, backlogMaxBytes: 1_000 });
  let closed = 0;
  let events: LinkEvents | undefined;
  for (const message of [[], [0], [0, 1, 9], [1, 255], [7, 7], [0, 1, 1, 1]]) {
    server.service(1).accept({
      peer: { network: "n", cluster: "c", role: "publisher", process: "p" },
      attach: (given) => {
        events = given;
        return {
          send: () => assert.fail("nothing is answered"),
          close: () => {
            closed++;
            return Promise.resolve();
          },
        };
      },
    });
    events?.received(Uint8Array.from(message));
  }
  assert.equal(closed, 6);
  const client = new SealedClient(() => 0);
  join(server, client);
  chain.seal(10);
  await turns(20);
  assert.equal(client.head, 1);
});

test("a derived view comes out as it went in, before the first look at L1 too", () => {
  const hash = new Uint8Array(32).fill(3);
  for (const number of [-1, 0, 12_345]) {
    const view = { safe: { number: 9, hash }, nextIndex: 4, l1Derived: { number, hash }, waitingEntries: 2 };
    assert.deepEqual(decodeDerivedView(encodeDerivedView(view)), view);
  }
});
