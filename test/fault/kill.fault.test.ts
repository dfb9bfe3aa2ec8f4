/**
 * Story: the whole process is killed at random moments under load. After each restart every accepted transaction is in
 * the chain or still waiting, blocks that were seen sealed have the same hashes, safe and finalized are not lower than
 * they were, and at the end nothing is missing.
 * The seed is printed; SHEAF_SEED repeats a run.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fromHex, toHex } from "../../src/base/bytes.ts";
import { systemClock } from "../../src/base/clock.ts";
import { seededRandom } from "../../src/chaos/random.ts";
import type { Endpoints } from "../../src/devnet/devnet.ts";
import { JsonRpcClient } from "../../src/l1/json-rpc.ts";
import { signTransaction } from "../../src/protocol/transaction-codec.ts";
import { NetworkProcess, REQUEST_MAX_MS, until } from "../e2e/fixture.ts";

const KILLS = 6;
const SENDERS = 4;
/** Accepted before each kill, however slow the machine is: the load is a load. */
const ACCEPTED_PER_ROUND = 12;

test("kill -9 at random moments loses no accepted transaction and changes no sealed block", async (t) => {
  const seed = Number(process.env["SHEAF_SEED"] ?? Math.floor(systemClock.nowMs() % 1_000_000));
  t.diagnostic(`seed ${seed}`);
  console.log(`kill test seed ${seed}`);
  const next = seededRandom(seed);
  const network = new NetworkProcess(mkdtempSync(join(tmpdir(), "sheaf-kill-")));
  t.after(async () => {
    await network.stop();
    rmSync(network.dataDir, { recursive: true, force: true });
  });
  const accepted = new Set<string>();
  /** Block hashes seen as latest, by number. */
  const sealed = new Map<number, string>();
  /** The highest that were seen. */
  const heads = { safe: 0, finalized: 0 };
  const nonces = Array.from({ length: SENDERS }, () => 0);
  let endpoints = await network.start(true);
  const keys = endpoints.accounts.slice(0, SENDERS).map((a) => fromHex(a.privateKey));
  const chainId = endpoints.clusters[0]?.chainId as number;
  const raw = (sender: number, nonce: number): { hash: string; raw: string } => {
    const tx = signTransaction(
      {
        type: 2,
        chainId,
        nonce: BigInt(nonce),
        to: new Uint8Array(20).fill(0xdd),
        valueWei: 1n,
        data: new Uint8Array(0),
        gasLimit: 21_000n,
        maxFeePerGasWei: 100_000_000_000n,
        maxPriorityFeePerGasWei: 1n,
      },
      keys[sender] as Uint8Array,
    );
    return { hash: toHex(tx.hash), raw: toHex(tx.raw) };
  };

  for (let round = 0; round < KILLS; round++) {
    const rpc = new JsonRpcClient({
      url: (endpoints.clusters[0] as Endpoints["clusters"][number]).rpcUrl,
      timeoutMs: REQUEST_MAX_MS,
    });
    const acceptedBefore = accepted.size;
    const killAtMs = systemClock.nowMs() + 500 + next() * 3_000;
    const killed = new AbortController();
    const load = async (sender: number): Promise<void> => {
      while (!killed.signal.aborted) {
        const tx = raw(sender, nonces[sender] as number);
        try {
          const hash = await rpc.call("eth_sendRawTransaction", [tx.raw]);
          assert.equal(hash, tx.hash);
          accepted.add(tx.hash);
          nonces[sender] = (nonces[sender] as number) + 1;
        } catch (error) {
          // Already known: it was accepted just before a kill that ate the answer.
          if (/already known|nonce too low/.test(String(error))) {
            accepted.add(tx.hash);
            nonces[sender] = (nonces[sender] as number) + 1;
          } else if (!killed.signal.aborted) await systemClock.sleep(20);
        }
      }
    };
    const watch = async (): Promise<void> => {
      while (!killed.signal.aborted) {
        try {
          const block = (await rpc.call("eth_getBlockByNumber", ["latest", false])) as { number: string; hash: string };
          sealed.set(Number(block.number), block.hash);
          for (const tag of ["safe", "finalized"] as const) {
            const { number } = (await rpc.call("eth_getBlockByNumber", [tag, false])) as { number: string };
            heads[tag] = Math.max(heads[tag], Number(number));
          }
        } catch {
          // being killed
        }
        await systemClock.sleep(50);
      }
    };
    const work = [...keys.map((_, i) => load(i)), watch()];
    await systemClock.sleep(killAtMs - systemClock.nowMs());
    await until("the load is a load", () => accepted.size >= acceptedBefore + ACCEPTED_PER_ROUND);
    await network.kill();
    killed.abort();
    await Promise.all(work);
    endpoints = await network.start(false);
    const after = new JsonRpcClient({
      url: (endpoints.clusters[0] as Endpoints["clusters"][number]).rpcUrl,
      timeoutMs: REQUEST_MAX_MS,
    });
    for (const tag of ["safe", "finalized"] as const) {
      const { number } = (await after.call("eth_getBlockByNumber", [tag, false])) as { number: string };
      assert.ok(Number(number) >= heads[tag], `${tag} was ${heads[tag]} and is ${Number(number)} after kill ${round}`);
    }
    for (const [number, hash] of sealed) {
      const block = (await after.call("eth_getBlockByNumber", [`0x${number.toString(16)}`, false])) as {
        hash: string;
      } | null;
      assert.equal(block?.hash, hash, `block ${number} is the same after kill ${round}`);
    }
    for (const hash of accepted)
      assert.notEqual(
        await after.call("eth_getTransactionByHash", [hash]),
        null,
        `${hash} is known after kill ${round}`,
      );
  }
  const rpc = new JsonRpcClient({
    url: (endpoints.clusters[0] as Endpoints["clusters"][number]).rpcUrl,
    timeoutMs: REQUEST_MAX_MS,
  });
  // The last kill may have eaten answers too: one transaction of each sender is durable or lost, and its client asks.
  for (let sender = 0; sender < SENDERS; sender++) {
    const unanswered = raw(sender, nonces[sender] as number);
    try {
      assert.equal(await rpc.call("eth_sendRawTransaction", [unanswered.raw]), unanswered.hash);
    } catch (error) {
      assert.match(String(error), /already known|nonce too low/);
    }
    accepted.add(unanswered.hash);
    nonces[sender] = (nonces[sender] as number) + 1;
  }
  for (const hash of accepted)
    await until(`${hash} in a block`, async () => {
      const receipt = (await rpc.call("eth_getTransactionReceipt", [hash])) as { status: string } | null;
      return receipt?.status === "0x1";
    });
  const total = nonces.reduce((a, b) => a + b, 0);
  assert.equal(
    BigInt((await rpc.call("eth_getBalance", [toHex(new Uint8Array(20).fill(0xdd)), "latest"])) as string),
    BigInt(total),
    "each transfer happened once",
  );
  console.log(`kill test: ${accepted.size} accepted over ${KILLS} kills, all sealed once`);
});
