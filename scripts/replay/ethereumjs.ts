/** Owns the replay of a recorded block on @ethereumjs/vm: the independent opinion where no header was recorded, and the peer of benchmarks. */
import ethKzg from "@crate-crypto/node-eth-kzg";
import { createBlock } from "@ethereumjs/block";
import { Common, Hardfork, Mainnet } from "@ethereumjs/common";
import { createTxFromRLP } from "@ethereumjs/tx";
import { createAccount, createAddressFromString, hexToBytes, type KZG as KZGLibrary } from "@ethereumjs/util";
import { createVM, runTx } from "@ethereumjs/vm";
import { assert } from "../../src/base/assert.ts";
import { fromHex, toHex, toHexKey } from "../../src/base/bytes.ts";
import type { Fork } from "../../src/execution/execution.ts";
import type { Log } from "../../src/protocol/receipt.ts";
import type { RecordedBlock } from "./load.ts";

const HARDFORKS: Record<Fork, Hardfork> = {
  london: Hardfork.London,
  paris: Hardfork.Paris,
  shanghai: Hardfork.Shanghai,
  cancun: Hardfork.Cancun,
  prague: Hardfork.Prague,
  osaka: Hardfork.Osaka,
};

const notNeeded = (): never => {
  throw new Error("replay only verifies proofs");
};
/** What the point evaluation precompile of @ethereumjs/evm asks for. */
const KZG: KZGLibrary = {
  verifyProof: (commitment, z, y, proof) => {
    context ??= ethKzg.DasContextJs.create({ usePrecomp: false });
    return context.verifyKzgProof(fromHex(commitment), fromHex(z), fromHex(y), fromHex(proof));
  },
  blobToKzgCommitment: notNeeded,
  computeBlobProof: notNeeded,
  verifyBlobProofBatch: notNeeded,
  computeCells: notNeeded,
  computeCellsAndProofs: notNeeded,
  recoverCellsAndProofs: notNeeded,
  verifyCellKzgProofBatch: notNeeded,
};
let context: ethKzg.DasContextJs | undefined;

export type PeerReceipt =
  | { readonly included: true; readonly status: 0 | 1; readonly gasUsed: number; readonly logs: readonly Log[] }
  | { readonly included: false; readonly error: string };

/** Receipts of the block, and the milliseconds spent in runTx alone. */
export async function replayOnEthereumjs(
  recorded: RecordedBlock,
): Promise<{ receipts: readonly PeerReceipt[]; elapsedMs: number }> {
  const { env } = recorded;
  const common = new Common({
    chain: Mainnet,
    hardfork: HARDFORKS[env.fork],
    customCrypto: { kzg: KZG },
    params: { [HARDFORKS[env.fork]]: { blobGasPriceUpdateFraction: Number(recorded.blobFeeFraction) } },
  });
  const vm = await createVM({ common });
  const world = recorded.world();
  for (const [address, entry] of world.accounts) {
    const at = createAddressFromString(`0x${address}`);
    await vm.stateManager.putAccount(at, createAccount({ nonce: entry.nonce, balance: entry.balanceWei }));
    const code = world.codes.get(toHexKey(entry.codeHash));
    if (code !== undefined) await vm.stateManager.putCode(at, code);
    for (const [slot, value] of entry.storage) {
      let start = 0;
      while (value[start] === 0) start++;
      await vm.stateManager.putStorage(at, fromHex(slot), value.subarray(start));
    }
  }
  const isMerged = env.fork !== "london";
  const block = createBlock(
    {
      header: {
        coinbase: toHex(env.coinbase) as `0x${string}`,
        gasLimit: BigInt(env.gasLimit),
        number: BigInt(env.number),
        timestamp: BigInt(env.timestamp),
        baseFeePerGas: env.baseFeePerGasWei,
        difficulty: isMerged ? 0n : BigInt(toHex(env.prevRandao)),
        mixHash: isMerged ? env.prevRandao : new Uint8Array(32),
        ...(env.fork === "cancun" || env.fork === "prague" ? { excessBlobGas: recorded.excessBlobGas } : {}),
      },
    },
    { common, skipConsensusFormatValidation: true },
  );
  // BLOCKHASH asks the chain; answer with what was recorded.
  const chain = { getBlock: (n: bigint) => Promise.resolve({ hash: () => world.blockHash(Number(n)) }) };
  Object.assign(vm.evm, { blockchain: { ...chain, putBlock: () => Promise.resolve(), shallowCopy: () => chain } });
  const receipts: PeerReceipt[] = [];
  let elapsedMs = 0;
  for (const input of recorded.txs) {
    const tx = createTxFromRLP(hexToBytes(toHex(input.raw)), { common, freeze: false });
    const sender = createAddressFromString(toHex(input.sender));
    tx.getSenderAddress = () => sender;
    tx.isSigned = () => true;
    const start = performance.now();
    try {
      const result = await runTx(vm, { tx, block, skipHardForkValidation: true, skipBlockGasLimitValidation: true });
      elapsedMs += performance.now() - start;
      const { receipt } = result;
      assert("status" in receipt, "receipts from Byzantium on carry a status");
      receipts.push({
        included: true,
        status: receipt.status === 1 ? 1 : 0,
        gasUsed: Number(result.totalGasSpent),
        logs: receipt.logs.map(([address, topics, data]) => ({ address, topics, data })),
      });
    } catch (error) {
      elapsedMs += performance.now() - start;
      receipts.push({ included: false, error: error instanceof Error ? error.message : String(error) });
    }
  }
  return { receipts, elapsedMs };
}
