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

export type EndpointMetrics = {
  readonly requests: CounterHandle;
  readonly serving: GaugeHandle;
  readonly up: GaugeHandle;
  readonly headNumber: GaugeHandle;
  readonly headAgeSeconds: GaugeHandle;
  readonly headBackwards: CounterHandle;
  readonly divergences: CounterHandle;
  readonly diverging: GaugeHandle;
  readonly quorumFailures: CounterHandle;
  readonly quorumHead: GaugeHandle;
};

export function endpointMetrics(metrics: Metrics): EndpointMetrics {
  const quorumFailures = metrics.counter(
    "l1_quorum_failures_total",
    "Questions to L1 on which too few endpoints agreed.",
  );
  quorumFailures.inc(0);
  const of = ["endpoint"];
  return {
    requests: metrics.counter("l1_endpoint_requests_total", "Calls to an L1 endpoint, by result: ok or fault.", [
      "endpoint",
      "result",
    ]),
    serving: metrics.gauge("l1_endpoint_serving", "1 for the L1 endpoint that served the last call made to one.", of),
    up: metrics.gauge("l1_endpoint_up", "0 while an L1 endpoint rests after a fault.", of),
    headNumber: metrics.gauge("l1_endpoint_head_number", "Newest block number that an L1 endpoint showed.", of),
    headAgeSeconds: metrics.gauge(
      "l1_endpoint_head_age_seconds",
      "Time since the head of an L1 endpoint last advanced, as of its last answer.",
      of,
    ),
    headBackwards: metrics.counter(
      "l1_endpoint_head_backwards_total",
      "Times that an L1 endpoint showed a lower head than before.",
      of,
    ),
    divergences: metrics.counter(
      "l1_endpoint_divergences_total",
      "Answers of an L1 endpoint that contradict what the quorum agreed on.",
      of,
    ),
    diverging: metrics.gauge(
      "l1_endpoint_diverging",
      "1 while an L1 endpoint is on other blocks than the quorum and is asked last (alert L1EndpointDiverges: for a minute).",
      of,
    ),
    quorumFailures,
    quorumHead: metrics.gauge("l1_quorum_head_number", "Newest L1 block that a quorum of endpoints agrees on."),
  };
}
