/** Owns what the tests of key shards share: random blocks of writes, and a state on shards in a folder of its own. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { toHexKey } from "../../base/bytes.ts";
import { silentLog } from "../../base/log.ts";
import { Metrics } from "../../base/metrics.ts";
import { keccak256 } from "../../protocol/keccak.ts";
import { EMPTY_CODE_HASH } from "../../protocol/ordered-trie.ts";
import { type AccountWrite, emptyWrites, type StateWrites } from "../../protocol/state-writes.ts";
import { Database } from "../../store/database.ts";
import { type ShardsIn, shardLink } from "../links.ts";
import { keyshardMetrics } from "../metrics.ts";
import { PartitionedState } from "../partitioned-state.ts";

/** A state on key shards that can be closed and opened again. */
export class Shards {
  readonly folder: string;
  readonly where: ShardsIn;
  database!: Database;
  state!: PartitionedState;
  /** What no waiting heals. */
  failure: unknown;

  constructor(where: ShardsIn, folder: string = mkdtempSync(join(tmpdir(), "sheaf-shards-"))) {
    this.where = where;
    this.folder = folder;
  }

  folderOf(shard: number): string {
    return join(this.folder, `shard-${shard}`);
  }

  async open(shards: number): Promise<PartitionedState> {
    this.database = Database.open(join(this.folder, "chain"));
    this.state = await PartitionedState.open(this.database, {
      shards,
      folderOf: (shard) => this.folderOf(shard),
      linkOf: (folder) => shardLink(this.where, folder),
      log: {
        ...silentLog,
        error: (message, fields) => {
          this.failure = fields?.["err"] ?? message;
        },
      },
      metrics: keyshardMetrics(new Metrics()),
    });
    return this.state;
  }

  async close(): Promise<void> {
    await this.state?.close();
    await this.database?.close();
  }

  /** Makes `writes` the next version; its root. */
  async block(writes: StateWrites): Promise<Uint8Array> {
    const prepared = await this.state.prepare(writes);
    this.database.transaction(() => this.state.commit(this.state.head + 1, prepared));
    return prepared.stateRoot;
  }

  async remove(): Promise<void> {
    await this.close();
    rmSync(this.folder, { recursive: true });
  }
}

/** Addresses whose hashes share first bytes and nibbles, found by trying. */
export const ADDRESSES: readonly Uint8Array[] = (() => {
  const found: Uint8Array[] = [];
  const wanted = new Map<number, number>([
    [0x00, 3],
    [0x01, 2],
    [0x0f, 1],
    [0x40, 2],
    [0x70, 3],
    [0x85, 1],
    [0xf0, 1],
    [0xff, 2],
  ]);
  for (let n = 0; wanted.size > 0; n++) {
    const address = new Uint8Array(20);
    new DataView(address.buffer).setUint32(16, n);
    const byte = keccak256(address)[0] as number;
    const left = wanted.get(byte);
    if (left === undefined) continue;
    found.push(address);
    if (left === 1) wanted.delete(byte);
    else wanted.set(byte, left - 1);
  }
  return found;
})();

export const SLOTS = Array.from({ length: 13 }, (_, n) => new Uint8Array(32).fill(n));
const CODE = Uint8Array.of(1);
const CODE_HASH = keccak256(CODE);

const slotValueArb = fc.oneof(
  fc.constant(new Uint8Array(32)),
  fc.integer({ min: 1, max: 200 }).map((n) => Uint8Array.from({ length: 32 }, (_, i) => (i === 31 ? n : 0))),
  fc.uint8Array({ minLength: 32, maxLength: 32 }),
);

const writeArb: fc.Arbitrary<AccountWrite> = fc.record({
  cleared: fc.nat(7).map((n) => n === 0),
  account: fc.option(
    fc.record({
      nonce: fc.bigInt(1n, 300n),
      balanceWei: fc.bigInt(0n, 2n ** 90n),
      codeHash: fc.constantFrom(EMPTY_CODE_HASH, CODE_HASH),
    }),
    { nil: undefined, freq: 3 },
  ),
  storage: fc
    .array(fc.tuple(fc.nat(SLOTS.length - 1), slotValueArb), { maxLength: 8 })
    .map((entries) => new Map(entries.map(([n, value]) => [toHexKey(SLOTS[n] as Uint8Array), value]))),
});

/** What a block writes. */
export const writesArb: fc.Arbitrary<StateWrites> = fc
  .array(fc.tuple(fc.nat(ADDRESSES.length - 1), writeArb), { maxLength: 8 })
  .map((entries) => {
    const writes = emptyWrites();
    for (const [n, write] of entries) writes.accounts.set(toHexKey(ADDRESSES[n] as Uint8Array), write);
    writes.codes.set(toHexKey(CODE_HASH), CODE);
    return writes;
  });

/** What block `version` of a chain that anybody can compute again writes. */
export function writesOf(version: number): StateWrites {
  const writes = emptyWrites();
  for (let n = 0; n < 60; n++) {
    const address = new Uint8Array(20);
    new DataView(address.buffer).setUint32(8, (version * 7 + n * 13) % 500);
    const value = new Uint8Array(32).fill((version + n) % 5);
    const isGone = (version + n) % 11 === 0;
    writes.accounts.set(toHexKey(address), {
      cleared: isGone,
      account: isGone ? undefined : { nonce: BigInt(version + 1), balanceWei: BigInt(n), codeHash: EMPTY_CODE_HASH },
      storage: isGone ? new Map() : new Map([[toHexKey(SLOTS[n % SLOTS.length] as Uint8Array), value]]),
    });
  }
  return writes;
}

/** Accounts of block 0 in {@link largeWritesOf}: copying them takes long enough to be killed in the middle. */
const LARGE_ACCOUNTS = 20_000;

/** As {@link writesOf}, after a block 0 that writes many accounts, some with storage. */
export function largeWritesOf(version: number): StateWrites {
  if (version > 0) return writesOf(version);
  const writes = emptyWrites();
  for (let n = 0; n < LARGE_ACCOUNTS; n++) {
    const address = new Uint8Array(20);
    new DataView(address.buffer).setUint32(8, n);
    const account = { nonce: 1n, balanceWei: BigInt(n), codeHash: EMPTY_CODE_HASH };
    const storage = new Map(n % 100 === 0 ? SLOTS.slice(1).map((slot) => [toHexKey(slot), slot]) : []);
    writes.accounts.set(toHexKey(address), { cleared: false, account, storage });
  }
  return writes;
}
