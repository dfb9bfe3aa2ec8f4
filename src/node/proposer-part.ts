/** Owns joining a proposer with its account and the verifier whose outputs it posts. */
import type { Clock } from "../base/clock.ts";
import { readConfig } from "../base/config.ts";
import type { Log } from "../base/log.ts";
import type { Metrics } from "../base/metrics.ts";
import type { Service } from "../base/service.ts";
import { sheafOutputOracleAbi } from "../l1/abi/sheaf-output-oracle.ts";
import { l1Config, senderOptions } from "../l1/config.ts";
import type { L1Connection } from "../l1/connect-l1.ts";
import { L1Sender } from "../l1/l1-sender.ts";
import { localSigner } from "../l1/l1-signer.ts";
import { senderMetrics } from "../l1/metrics.ts";
import { proposerConfig } from "../proposer/config.ts";
import { proposerMetrics } from "../proposer/metrics.ts";
import { Proposer } from "../proposer/proposer.ts";
import type { Genesis } from "../protocol/genesis.ts";
import type { VerifierApi } from "../verifier/api.ts";

/** The proposer and its account, as services. */
export function openProposer(p: {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly l1: Pick<L1Connection, "rpc" | "reader">;
  readonly l1ChainId: number;
  readonly genesis: Genesis;
  readonly key: Uint8Array;
  readonly verifier: VerifierApi;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly clock: Clock;
}): readonly Service[] {
  const { clock } = p;
  const { rpc, reader: l1 } = p.l1;
  const log = p.log.child({ role: "proposer" });
  const metrics = p.metrics.withLabels({ role: "proposer" });
  const account = new L1Sender({
    name: "proposer account",
    rpc,
    reader: l1,
    signer: localSigner(p.key),
    options: senderOptions(readConfig(l1Config, p.env), p.l1ChainId),
    abis: [sheafOutputOracleAbi],
    metrics: senderMetrics(metrics, "proposer"),
    log,
    clock,
  });
  const proposer = new Proposer(readConfig(proposerConfig, p.env), {
    l1,
    oracle: p.genesis.contracts.outputOracle,
    verifier: p.verifier,
    sender: account,
    metrics: proposerMetrics(metrics),
    log,
    clock,
  });
  return [account, proposer];
}
