/**
 * Story: a cluster whose order and lane logs are on three log servers. The server that leads the order log is killed
 * under load, then the whole network, and the machine's own database is lost: what was accepted is in the chain, and the
 * chain is the same one, because the logs hold it.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { Hash } from "viem";
import { systemClock } from "../../src/base/clock.ts";
import { NatsCluster, natsMissing } from "../../src/log/nats-cluster.ts";
import { clientsOf, NetworkProcess, until } from "../e2e/fixture.ts";

test("a cluster on replicated logs loses nothing with a log server, nor with its own disk", {
  skip: natsMissing(),
}, async (t) => {
  const token = "a-token-of-this-test";
  const servers = await NatsCluster.start({ config: `authorization { token: "${token}" }`, credentials: { token } });
  t.after(() => servers.stop());
  const folder = mkdtempSync(join(tmpdir(), "sheaf-replicated-"));
  const network = new NetworkProcess(join(folder, "network"), [], {
    SHEAF_LOG: "nats",
    SHEAF_LOG_NATS_SERVERS: servers.servers.join(","),
    SHEAF_LOG_NATS_TOKEN: token,
    SHEAF_LOG_NATS_REQUEST_TIMEOUT_MS: "1000",
  });
  t.after(async () => {
    await network.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  let clients = clientsOf(await network.start(true));
  const accepted: Hash[] = [];
  let nonce = 0;
  /** Sends each until it is accepted: while the servers have no leader it waits, or is told to come again. */
  const send = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      const own = nonce++;
      const hash = await until("a transfer is accepted", () =>
        clients.l2
          .sendTransaction({
            to: "0x00000000000000000000000000000000000000dd",
            value: 1n,
            nonce: own,
            gas: 21_000n,
          })
          .catch((error: unknown) => {
            assert.match(String(error), /no sequencer leads at the moment/);
            return undefined;
          }),
      );
      accepted.push(hash);
    }
  };
  const sealedIn = (hash: Hash): Promise<bigint | undefined> =>
    clients.l2
      .getTransactionReceipt({ hash })
      .then((receipt) => receipt.blockNumber)
      .catch(() => undefined);

  await send(5);
  const js = await servers.connect();
  t.after(() => js.close());
  const [orderLog] = (await js.streamNames()).filter((name) => name.endsWith("-order"));
  assert.ok(orderLog !== undefined, "the order log is a stream");
  const { leader } = await js.streamServers(orderLog);
  assert.ok(leader !== undefined);
  const killedMs = systemClock.nowMs();
  await servers.kill(leader);
  // Answered when the servers have a leader again.
  await send(5);
  t.diagnostic(`accepted again ${systemClock.nowMs() - killedMs} ms after the log's leader was killed`);
  servers.restart(leader);
  const last = await until("what was accepted is sealed", () => sealedIn(accepted.at(-1) as Hash));
  const hashes = new Map<bigint, Hash>();
  for (let number = 0n; number <= last; number++)
    hashes.set(number, (await clients.l2.getBlock({ blockNumber: number })).hash as Hash);

  await send(3);
  await network.kill();
  rmSync(join(network.dataDir, clients.cluster.name, "sequencer"), { recursive: true });
  clients = clientsOf(await network.start(false));
  for (const [number, hash] of hashes)
    assert.equal((await clients.l2.getBlock({ blockNumber: number })).hash, hash, `block ${number} is the same`);
  await send(1);
  for (const hash of accepted) await until("every accepted transaction is in the chain", () => sealedIn(hash));
  assert.equal(
    await clients.l2.getBalance({ address: "0x00000000000000000000000000000000000000dd" }),
    BigInt(accepted.length),
    "each once",
  );
});
