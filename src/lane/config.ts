/** How many lanes there are, their order, and the limits of their pools. */
import { bool, type ConfigOf, defineConfig, int, oneOf, text } from "../base/config.ts";
import { ORDERINGS } from "../protocol/ordering.ts";
import { LANES_MAX } from "./lane-of.ts";

export const laneConfig = defineConfig("lane", {
  lanes: int("SHEAF_LANES", {
    default: 1,
    min: 1,
    max: LANES_MAX,
    help: "Lanes that share the senders, each with a pool and a log of its own. Another number takes effect with a restart: what waits moves to its lane.",
  }),
  lanesIn: oneOf("SHEAF_LANES_IN", ["here", "threads", "processes"], {
    default: "here",
    help: "Where lanes run: in the node's own thread, in threads of the node, or in processes of their own.",
  }),
  laneTimeoutMs: int("SHEAF_LANE_TIMEOUT_MS", {
    default: 5_000,
    min: 500,
    max: 600_000,
    help: "Silence after which a lane's thread or process is given up and started again.",
  }),
  ordering: oneOf("SHEAF_ORDERING", ORDERINGS, {
    default: "priority-fee",
    help: "The order within a cut: by effective priority fee, then by time; or by time of acceptance alone.",
  }),
  orderReceiptsMax: int("SHEAF_ORDER_RECEIPTS_MAX", {
    default: 65_536,
    min: 0,
    max: 16_777_216,
    help: "Accepted transactions whose order receipt a lane can still give; 0 gives none.",
  }),
  orderReceiptKey: text("SHEAF_ORDER_RECEIPT_KEY", {
    default: "",
    secret: true,
    help: "Private key (32 bytes, hex) that signs order receipts; when empty, one is made and kept with the node's data.",
  }),
  poolTxsMax: int("SHEAF_POOL_TXS_MAX", {
    default: 65_536,
    min: 16,
    max: 4_194_304,
    help: "Transactions the pool of a lane holds; beyond it new ones are refused (accepted ones are never evicted).",
  }),
  poolSizeMaxBytes: int("SHEAF_POOL_SIZE_MAX_BYTES", {
    default: 268_435_456,
    min: 1_048_576,
    max: 17_179_869_184,
    help: "Bytes of transactions the pool of a lane holds.",
  }),
  senderTxsMax: int("SHEAF_POOL_SENDER_TXS_MAX", {
    default: 4_096,
    min: 1,
    max: 1_048_576,
    help: "Transactions the pool holds of one sender.",
  }),
  nonceGapMax: int("SHEAF_POOL_NONCE_GAP_MAX", {
    default: 64,
    min: 0,
    max: 1_048_576,
    help: "How far above the next executable nonce a held-back transaction may be.",
  }),
  priceBumpPercent: int("SHEAF_POOL_PRICE_BUMP_PERCENT", {
    default: 10,
    min: 1,
    max: 1_000,
    help: "Least increase of both fee caps for a replacement.",
  }),
  minTipWei: int("SHEAF_POOL_MIN_TIP_WEI", {
    default: 0,
    min: 0,
    max: 1_000_000_000_000,
    help: "Least priority fee cap a transaction must offer.",
  }),
  queuedLifetimeSeconds: int("SHEAF_POOL_QUEUED_LIFETIME_SECONDS", {
    default: 10_800,
    min: 1,
    max: 31_536_000,
    help: "How long a transaction behind a nonce gap or below the base fee is kept.",
  }),
  allowUnprotected: bool("SHEAF_POOL_ALLOW_UNPROTECTED", {
    default: true,
    help: "Accept transactions without a chain id (the deterministic deployer needs it).",
  }),
});

export type LaneConfig = ConfigOf<typeof laneConfig>;
