/**
 * Owns an engine with a bug put in, for tests of what must notice: it answers as the engine it wraps, but for the
 * transactions it is told, whose result is wrong in one respect.
 */
import { bytesEqual } from "../../base/bytes.ts";
import type { AccountWrite, StateWrites } from "../../protocol/state-writes.ts";
import type { BatchResults, Engine, IncludedResult, TxInput, TxResult } from "../execution.ts";

export const FAULTS = ["storage", "balance", "nonce", "gas", "status", "log", "inclusion"] as const;
export type Fault = (typeof FAULTS)[number];

/** Wraps `inner`; transactions that `isHit` says come out with `fault`. */
export function faultyEngine(inner: Engine, fault: Fault, isHit: (tx: TxInput) => boolean): Engine {
  return {
    name: inner.name,
    async executeBatch(env, txs, state, gasAvailable): Promise<BatchResults> {
      const results = await inner.executeBatch(env, txs, state, gasAvailable);
      if (!txs.some(isHit)) return results;
      // A plain list: the net effect of the batch, which some engines add, is made from these results again.
      return results.map((result, i) => {
        const tx = txs[i] as TxInput;
        return result.included && isHit(tx) ? spoiled(result, tx, fault) : result;
      });
    },
    call: (env, call, state) => inner.call(env, call, state),
    close: () => inner.close(),
  };
}

function spoiled(result: IncludedResult, tx: TxInput, fault: Fault): TxResult {
  if (fault === "inclusion") return { included: false, reason: "NONCE_TOO_HIGH" };
  const { status, gasUsed, logs, effectiveGasPriceWei, output, contractAddress, depositNonce, writes } = result;
  const plain = { effectiveGasPriceWei, output, contractAddress, depositNonce };
  return {
    included: true,
    ...plain,
    status: fault === "status" ? (status === 1 ? 0 : 1) : status,
    gasUsed: fault === "gas" ? gasUsed + 1 : gasUsed,
    logs: fault === "log" ? logs.slice(1) : logs,
    writes: spoiledWrites(writes, tx, fault),
  };
}

function spoiledWrites(writes: StateWrites, tx: TxInput, fault: Fault): StateWrites {
  let done = false;
  const accounts = new Map<string, AccountWrite>();
  for (const [address, write] of writes.accounts) {
    const storage = new Map(write.storage);
    let { account } = write;
    const [slot] = storage.keys();
    if (!done && fault === "storage" && slot !== undefined) {
      const value = new Uint8Array(storage.get(slot) as Uint8Array);
      value[31] = (value[31] as number) ^ 1;
      storage.set(slot, value);
      done = true;
    }
    const isSender = bytesEqual(Buffer.from(address, "hex"), tx.sender);
    if (!done && (fault === "balance" || fault === "nonce") && isSender && account !== undefined) {
      const by = fault === "balance" ? { balanceWei: account.balanceWei + 1n } : { nonce: account.nonce + 1n };
      account = { ...account, ...by };
      done = true;
    }
    accounts.set(address, { cleared: write.cleared, account, storage });
  }
  return { accounts, codes: writes.codes };
}
