/** Snapshots of a database that goes on being written: whole, shared between snapshots, refused when anything is off. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { hasCode } from "../base/error.ts";
import { addressOfPrivateKey } from "../protocol/secp256k1.ts";
import { Database } from "../store/database.ts";
import { LmdbChainStore } from "../store/lmdb-chain-store.ts";
import { readManifest } from "./manifest.ts";
import { restoreSnapshot } from "./restore.ts";
import { SnapshotFolder } from "./snapshot-folder.ts";
import { takeSnapshot } from "./take.ts";
import { emptyBlock, GENESIS_HASH } from "./testing/empty-block.ts";

const KEY = new Uint8Array(32).fill(7);
const zero = (length: number): Uint8Array => new Uint8Array(length);

class Rig {
  readonly root: string;
  readonly snapshots: string;
  readonly database: Database;
  readonly chain: LmdbChainStore;
  #restores = 0;

  constructor(t: TestContext) {
    this.root = mkdtempSync(join(tmpdir(), "sheaf-snapshot-"));
    this.snapshots = join(this.root, "snapshots");
    mkdirSync(this.snapshots);
    this.database = Database.open(join(this.root, "db"), { durable: false });
    this.chain = new LmdbChainStore(this.database);
    t.after(async () => {
      await this.database.close();
      rmSync(this.root, { recursive: true });
    });
  }

  /** One block, and entries of its own in a table beside it. */
  append(entries: number): void {
    const number = this.chain.head + 1;
    const table = this.database.table("state");
    this.database.transaction(() => {
      this.chain.append(emptyBlock(number), []);
      for (let i = 0; i < entries; i++) table.put(Buffer.from(`${i * 7919}-${number}`), zero(50).fill(number));
      table.put(Buffer.from("head"), Uint8Array.of(number));
    });
  }

  take() {
    return takeSnapshot({
      chainId: 901,
      genesisHash: GENESIS_HASH,
      sources: [{ name: "sequencer", copyTo: (folderOf) => this.database.copyTo(folderOf("sequencer")) }],
      folder: this.snapshots,
      privateKey: KEY,
      nowMs: 1_700_000_000_000,
    });
  }

  async restore(
    p: { id?: string; trusted?: Uint8Array; chainId?: number; target?: string } = {},
  ): Promise<{ target: string; head: number; state: number }> {
    const target = p.target ?? join(this.root, `restored-${this.#restores++}`);
    await restoreSnapshot({
      folder: this.snapshots,
      id: p.id,
      trusted: [p.trusted ?? addressOfPrivateKey(KEY)],
      chainId: p.chainId ?? 901,
      genesisHash: GENESIS_HASH,
      targetOf: (name) => (name === "sequencer" ? { folder: target, hasChain: true } : undefined),
    });
    const database = Database.open(target);
    const head = new LmdbChainStore(database).head;
    const state = database.table("state").get(Buffer.from("head"))?.[0] as number;
    const entries = database.table("state").range({ start: Uint8Array.of(0) }).length;
    await database.close();
    assert.equal(state, head, "tables are of one transaction");
    assert.equal(entries, (head + 1) * 3000 + 1);
    return { target, head, state };
  }
}

test("a snapshot under writes is one moment, and what a later one shares is stored once", async (t) => {
  const rig = new Rig(t);
  for (let i = 0; i < 5; i++) rig.append(3000);
  const taking = rig.take();
  for (let i = 0; i < 5; i++) {
    rig.append(3000);
    await new Promise((resolve) => setImmediate(resolve));
  }
  const first = await taking;
  const head = first.manifest.databases[0]?.head.number as number;
  assert.ok(head >= 4 && head <= 9);
  assert.equal((await rig.restore()).head, head);

  const second = await rig.take();
  const third = await rig.take();
  assert.equal(third.writtenBytes, 0, "nothing changed, nothing was written");
  assert.equal((await rig.restore()).head, 9);
  const prefix = Buffer.from(first.id).toString("hex").slice(0, 12);
  assert.equal((await rig.restore({ id: prefix })).head, head, "an older one is there still");

  await new SnapshotFolder(rig.snapshots).keep(1);
  const left = await new SnapshotFolder(rig.snapshots).list();
  assert.deepEqual(
    left.map(({ id }) => Buffer.from(id).toString("hex")),
    [second, third].map(({ id }) => Buffer.from(id).toString("hex")).slice(-1),
  );
  assert.equal((await rig.restore()).head, 9, "what a kept one names stays");
});

test("what is not signed by a trusted key, of another chain, or onto data is refused before anything is written", async (t) => {
  const rig = new Rig(t);
  rig.append(3000);
  await assert.rejects(rig.restore(), (error) => hasCode(error, "SNAPSHOT_NONE"));
  await rig.take();
  const target = join(rig.root, "refused");
  await assert.rejects(rig.restore({ target, trusted: zero(20) }), (error) => hasCode(error, "SNAPSHOT_UNTRUSTED"));
  await assert.rejects(rig.restore({ target, chainId: 902 }), (error) => hasCode(error, "SNAPSHOT_OTHER_CHAIN"));
  assert.ok(!existsSync(target));
  await assert.rejects(rig.restore({ target: join(rig.root, "db") }), (error) =>
    hasCode(error, "SNAPSHOT_TARGET_NOT_EMPTY"),
  );
});

test("a changed byte anywhere is found, and nothing of the restore stays", async (t) => {
  const rig = new Rig(t);
  rig.append(3000);
  await rig.take();
  const manifestName = readdirSync(rig.snapshots).find((name) => name.endsWith(".manifest")) as string;
  const manifest = join(rig.snapshots, manifestName);
  const bytes = readFileSync(manifest);
  for (let i = 0; i < bytes.length; i += 7) {
    const changed = Uint8Array.from(bytes);
    changed[i] = (changed[i] as number) ^ 1;
    let signer: Uint8Array | undefined;
    try {
      signer = readManifest(changed).signer;
    } catch (error) {
      assert.ok(hasCode(error, "SNAPSHOT_CORRUPT"), `byte ${i}`);
    }
    assert.ok(signer === undefined || !Buffer.from(signer).equals(addressOfPrivateKey(KEY)), `byte ${i}`);
  }
  const chunkFolder = join(rig.snapshots, "chunks");
  const [folder] = readdirSync(chunkFolder);
  const [name] = readdirSync(join(chunkFolder, folder as string));
  const chunk = join(chunkFolder, folder as string, name as string);
  const good = readFileSync(chunk);
  const target = join(rig.root, "damaged");
  for (const damaged of [good.subarray(0, good.length - 1), Buffer.from("rubbish"), Buffer.alloc(0)]) {
    writeFileSync(chunk, damaged);
    await assert.rejects(rig.restore({ target }), (error) => hasCode(error, "SNAPSHOT_CORRUPT"));
    assert.ok(!existsSync(target));
  }
  writeFileSync(chunk, good);
  assert.equal((await rig.restore({ target })).head, 0);
});
