/**
 * Story: L1 reorganises 1, 3 and 12 blocks deep and drops a deposit and posted segments. The stale deposit leaves the
 * cluster, everything heals by itself, and sequencer and verifier agree on one chain again.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Hex } from "viem";
import { systemClock } from "../../src/base/clock.ts";
import { clientsOf, startDevnet, until } from "./fixture.ts";

for (const depth of [1, 3, 12])
  test(`an L1 reorg of ${depth} blocks that drops a deposit and segments is healed`, async (t) => {
    const devnet = await startDevnet(t);
    const { l1, l2, verifier, account } = clientsOf(devnet.endpoints);
    const lost: Hex = "0x00000000000000000000000000000000000105ed";
    const kept: Hex = "0x0000000000000000000000000000000000c0ffee";
    // Old enough that the reorg does not reach below the deployment.
    await until("L1 has grown", async () => (await l1.getBlockNumber()) > 20n, 120_000);
    await until("safe blocks", async () => (await l2.getBlock({ blockTag: "safe" })).number > 0n, 120_000);

    const transfer = await l2.sendTransaction({ to: kept, value: 5n });
    const sealed = await l2.waitForTransactionReceipt({ hash: transfer });
    assert.equal(sealed.status, "success");
    const request = await l2.buildDepositTransaction({ mint: 9n, to: lost, account: account.address });
    const deposit = await l1.depositTransaction({ ...request, account } as never);
    const included = await l1.waitForTransactionReceipt({ hash: deposit });
    await until("deposited", async () => (await l2.getBalance({ address: lost })) === 9n);
    // Deep enough to take the deposit's block back, whatever was mined since.
    const head = await l1.getBlockNumber();
    const reach = Math.max(depth, Number(head - included.blockNumber) + 1);
    await devnet.l1.call("anvil_reorg", [reach, []]);
    await devnet.l1.call("evm_setTime", [Math.floor(systemClock.nowMs() / 1_000)]);

    await until("the stale deposit is gone", async () => (await l2.getBalance({ address: lost })) === 0n);
    await until("L1 grew past the reorg", async () => (await l1.getBlockNumber()) > head + 2n);
    await until("the transfer is sealed (again)", async () => (await l2.getBalance({ address: kept })) === 5n);
    // The chain goes on and becomes safe; verifier and sequencer agree block by block.
    const target = (await l2.getBlockNumber()) + 2n;
    await until("new blocks are safe", async () => (await l2.getBlock({ blockTag: "safe" })).number >= target, 120_000);
    for (let number = 1n; number <= target; number++) {
      const [a, b] = await Promise.all([
        l2.getBlock({ blockNumber: number }),
        verifier.getBlock({ blockNumber: number }),
      ]);
      assert.equal(a.hash, b.hash, `block ${number}`);
    }
    assert.equal(await verifier.getBalance({ address: lost }), 0n);
    assert.equal(await verifier.getBalance({ address: kept }), 5n);
  });
