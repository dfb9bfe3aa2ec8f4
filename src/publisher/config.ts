/** Owns the publisher's settings: when a segment is worth posting, where to, and how much at a time. */
import { type ConfigOf, defineConfig, int, oneOf } from "../base/config.ts";

export const publisherConfig = defineConfig("publisher", {
  da: oneOf("SHEAF_PUBLISHER_DA", ["blobs", "calldata", "auto"], {
    default: "blobs",
    help: "Where segments go; auto takes what costs less per segment, with hysteresis.",
  }),
  blobsMin: int("SHEAF_PUBLISHER_BLOBS_MIN", {
    default: 1,
    min: 1,
    max: 6,
    help: "Blobs that a segment aims to fill when there is no backlog.",
  }),
  blobsMax: int("SHEAF_PUBLISHER_BLOBS_MAX", {
    default: 6,
    min: 1,
    max: 6,
    help: "Blobs that a segment may grow to while a backlog is posted.",
  }),
  calldataTargetBytes: int("SHEAF_PUBLISHER_CALLDATA_TARGET_BYTES", {
    default: 100_000,
    min: 1_000,
    max: 120_000,
    help: "Size that a segment aims at when it goes into calldata.",
  }),
  ageMaxSeconds: int("SHEAF_PUBLISHER_AGE_MAX_SECONDS", {
    default: 600,
    min: 1,
    max: 86_400,
    help: "A segment is posted, full or not, when its oldest transaction is this old. Keep it far below the sequencing window.",
  }),
  idleAgeMaxSeconds: int("SHEAF_PUBLISHER_IDLE_AGE_MAX_SECONDS", {
    default: 1_800,
    min: 1,
    max: 86_400,
    help: "The same for blocks without sequenced transactions: an idle chain need not pay for blobs. At least the age above.",
  }),
  inFlightMax: int("SHEAF_PUBLISHER_IN_FLIGHT_MAX", {
    default: 4,
    min: 1,
    max: 16,
    help: "Segments on their way at the same time, for each account.",
  }),
  accountsMax: int("SHEAF_PUBLISHER_ACCOUNTS_MAX", {
    default: 4,
    min: 1,
    max: 16,
    help: "Poster accounts that post side by side, of those there are keys for; all must be registered in the inbox.",
  }),
  backlogMaxBytes: int("SHEAF_PUBLISHER_BACKLOG_MAX_BYTES", {
    default: 1_073_741_824,
    min: 1_000_000,
    max: 1_099_511_627_776,
    help: "Bytes of transactions that may wait for L1, in the pool and in sealed blocks. Admission slows down from half of it on.",
  }),
  brotliQuality: int("SHEAF_PUBLISHER_BROTLI_QUALITY", {
    default: 5,
    // The orderer measures with 5 how much a block may hold: the block has to fit when it is posted.
    min: 5,
    max: 11,
    help: "Brotli quality of segments; 5 is within 2% of 11 and 20 times faster.",
  }),
  pollMs: int("SHEAF_PUBLISHER_POLL_MS", {
    default: 1_000,
    min: 10,
    max: 60_000,
    help: "Pause between two looks at L1, in milliseconds.",
  }),
});

export type PublisherConfig = ConfigOf<typeof publisherConfig>;
