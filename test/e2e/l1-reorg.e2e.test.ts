/**
 * Story: L1 reorganises 1, 3 and 12 blocks deep and drops a deposit and posted segments. The stale deposit leaves the
 * cluster each time, everything heals by itself, and sequencer and verifier agree on one chain again.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Hex } from "viem";
import { systemClock } from "../../src/base/clock.ts";
import { clientsOf, startDevnet, until } from "./fixture.ts";

const L1_BLOCK_SECONDS = 1;

test("L1 reorgs that drop a deposit and segments are healed", async (t) => {
  const devnet = await startDevnet(t, { l1BlockTimeSeconds: L1_BLOCK_SECONDS });
  const { l1, l2, verifier, account } = clientsOf(devnet.endpoints);
  const kept: Hex = "0x0000000000000000000000000000000000c0ffee";
  const deployed = await l1.getBlockNumber();
  let given = 0n;
  for (const depth of [1, 3, 12])
    await t.test(`${depth} blocks deep`, async () => {
      const lost: Hex = `0x${depth.toString(16).padStart(40, "5ed")}`;
      // Old enough that the reorg does not reach below the deployment.
      await until("L1 has grown", async () => (await l1.getBlockNumber()) > deployed + BigInt(depth));
      await until("safe blocks", async () => (await l2.getBlock({ blockTag: "safe" })).number > 0n);

      const transfer = await l2.sendTransaction({ to: kept, value: 5n });
      given += 5n;
      const sealed = await l2.waitForTransactionReceipt({ hash: transfer });
      assert.equal(sealed.status, "success");
      const request = await l2.buildDepositTransaction({ mint: 9n, to: lost, account: account.address });
      const deposit = await l1.depositTransaction({ ...request, account } as never);
      const included = await l1.waitForTransactionReceipt({ hash: deposit });
      await until("deposited", async () => (await l2.getBalance({ address: lost })) === 9n);
      // L1 stands still meanwhile, so that the depth is what it takes to reach the deposit's block.
      await devnet.l1.call("evm_setIntervalMining", [0]);
      const head = await l1.getBlockNumber({ cacheTime: 0 });
      const reach = Math.max(depth, Number(head - included.blockNumber) + 1);
      await devnet.l1.call("anvil_reorg", [reach, []]);
      await devnet.l1.call("evm_setTime", [Math.floor(systemClock.nowMs() / 1_000)]);
      await devnet.l1.call("evm_setIntervalMining", [L1_BLOCK_SECONDS]);

      await until("the stale deposit is gone", async () => (await l2.getBalance({ address: lost })) === 0n);
      await until("L1 grew past the reorg", async () => (await l1.getBlockNumber()) > head + 2n);
      await until("the transfer is sealed (again)", async () => (await l2.getBalance({ address: kept })) === given);
      // The chain goes on and becomes safe; verifier and sequencer agree block by block.
      const target = (await l2.getBlockNumber()) + 2n;
      await until("new blocks are safe", async () => (await l2.getBlock({ blockTag: "safe" })).number >= target);
      for (let number = 1n; number <= target; number++) {
        const [a, b] = await Promise.all([
          l2.getBlock({ blockNumber: number }),
          verifier.getBlock({ blockNumber: number }),
        ]);
        assert.equal(a.hash, b.hash, `block ${number}`);
      }
      assert.equal(await verifier.getBalance({ address: lost }), 0n);
      assert.equal(await verifier.getBalance({ address: kept }), given);
    });
});
