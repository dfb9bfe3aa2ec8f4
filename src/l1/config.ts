/**
 * Owns the settings of L1 access: how many endpoints must agree, how transactions are paid for and when they count.
 * Endpoints themselves come from the topology.
 */
import { bool, type ConfigOf, defineConfig, int, oneOf } from "../base/config.ts";
import { type L1SenderOptions, SENDER_DEFAULTS } from "./l1-sender.ts";

const GWEI = 1_000_000_000n;

export const l1Config = defineConfig("l1", {
  quorum: int("SHEAF_L1_QUORUM", {
    default: 0,
    min: 0,
    max: 16,
    help: "L1 endpoints that must agree before an L1 block enters the chain; 0: the majority of those configured.",
  }),
  timeoutMs: int("SHEAF_L1_TIMEOUT_MS", {
    default: 10_000,
    min: 100,
    max: 120_000,
    help: "How long an L1 endpoint may take to answer, in milliseconds; then another one is asked and it rests.",
  }),
  checkHeaders: bool("SHEAF_L1_CHECK_HEADERS", {
    default: true,
    help: "Refuse L1 headers that do not hash to themselves. Off only while L1 has header fields that this version does not know.",
  }),
  confirmations: int("SHEAF_L1_CONFIRMATIONS", {
    default: 1,
    min: 1,
    max: 64,
    help: "L1 blocks, its own included, after which a transaction of ours counts. Deeper reorgs are healed as well.",
  }),
  pollMs: int("SHEAF_L1_SENDER_POLL_MS", {
    default: 500,
    min: 10,
    max: 60_000,
    help: "Pause between two looks at transactions in flight, in milliseconds.",
  }),
  replaceAfterMs: int("SHEAF_L1_REPLACE_AFTER_MS", {
    default: 36_000,
    min: 100,
    max: 3_600_000,
    help: "A transaction not included after this long is sent again with higher fees.",
  }),
  adoptTimeoutMs: int("SHEAF_L1_ADOPT_TIMEOUT_MS", {
    default: 60_000,
    min: 100,
    max: 3_600_000,
    help: "How long a start waits for transactions of an earlier run before it replaces them with empty ones.",
  }),
  feeCapGwei: int("SHEAF_L1_FEE_CAP_GWEI", {
    default: 500,
    min: 1,
    max: 1_000_000,
    help: "Most that a transaction offers per gas, in gwei; above it posting waits.",
  }),
  blobFeeCapGwei: int("SHEAF_L1_BLOB_FEE_CAP_GWEI", {
    default: 500,
    min: 1,
    max: 1_000_000,
    help: "Most that a transaction offers per blob gas, in gwei; above it posting waits.",
  }),
  tipMinWei: int("SHEAF_L1_TIP_MIN_WEI", {
    default: 1_000_000,
    min: 0,
    max: 1_000_000_000_000,
    help: "Least tip per gas, in wei; the endpoint's suggestion is taken when it is higher.",
  }),
  blobProofs: oneOf("SHEAF_L1_BLOB_PROOFS", ["cell", "blob"], {
    default: "cell",
    help: "Proofs that travel with blobs: cell (EIP-7594, L1s since Osaka) or blob (EIP-4844, before).",
  }),
});

export const developmentL1Config = defineConfig("devnet", {
  blockSeconds: int("SHEAF_DEVNET_L1_BLOCK_SECONDS", {
    default: 2,
    min: 1,
    max: 60,
    help: "Time between blocks of a development L1 (role `l1` of a network file), in seconds.",
  }),
});

/** Options of a sender by configuration. */
export function senderOptions(config: ConfigOf<typeof l1Config>, chainId: number): L1SenderOptions {
  return {
    ...SENDER_DEFAULTS,
    chainId,
    caps: {
      maxFeePerGasWei: BigInt(config.feeCapGwei) * GWEI,
      maxFeePerBlobGasWei: BigInt(config.blobFeeCapGwei) * GWEI,
    },
    tipMinWei: BigInt(config.tipMinWei),
    confirmations: config.confirmations,
    pollMs: config.pollMs,
    replaceAfterMs: config.replaceAfterMs,
    adoptTimeoutMs: config.adoptTimeoutMs,
    blobProofs: config.blobProofs,
  };
}
