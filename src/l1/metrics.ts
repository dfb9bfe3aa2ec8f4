/**
 * Owns the metrics of L1 senders. Fees and balances carry the same labels, so that one divided by the other gives the
 * runway of an account (alert SubmitterRunway).
 */
import type { CounterHandle, GaugeHandle, Metrics } from "../base/metrics.ts";

export type SenderMetrics = {
  readonly gasSpent: CounterHandle;
  readonly blobGasSpent: CounterHandle;
  readonly feesSpentEth: CounterHandle;
  readonly balanceEth: GaugeHandle;
  readonly inFlight: GaugeHandle;
  readonly replacements: CounterHandle;
  readonly resent: CounterHandle;
};

/** `account` names the sender for people ("publisher"), not by its address. */
export function senderMetrics(metrics: Metrics, account: string): SenderMetrics {
  const own = metrics.withLabels({ account });
  const fees = own.counter("l1_fees_spent_eth", "Fees of our L1 transactions, blob fees included, in ETH");
  fees.inc(0); // a rate needs the series from the start
  return {
    gasSpent: metrics.counter("l1_gas_spent", "Gas of the receipts of our L1 senders", ["purpose"]),
    blobGasSpent: metrics.counter("l1_blob_gas_spent", "Blob gas of the receipts of our L1 senders", ["purpose"]),
    feesSpentEth: fees,
    balanceEth: own.gauge("l1_account_balance_eth", "Balance of an L1 sender in ETH"),
    inFlight: own.gauge("l1_transactions_in_flight", "L1 transactions sent and not yet confirmed"),
    replacements: own.counter("l1_transaction_replacements_total", "L1 transactions sent again with higher fees"),
    resent: own.counter("l1_transactions_resent_total", "L1 transactions sent again unchanged because L1 lost them"),
  };
}

/** Wei as a float of ETH, for metrics only. */
export function weiToEth(wei: bigint): number {
  return Number(wei) / 1e18;
}
