/** Settings of a node that shares its logs with others. */
import { type ConfigOf, defineConfig, int, oneOf, text } from "../base/config.ts";

export const nodeConfig = defineConfig("node", {
  standby: oneOf("SHEAF_STANDBY", ["stands", "never"], {
    default: "stands",
    help: "On replicated logs: whether this node leads when nobody else does and it is ready to (stands), or only follows, serves reads and forwards transactions (never).",
  }),
  address: text("SHEAF_NODE_ADDRESS", {
    default: "",
    help: "URL under which other nodes of the cluster reach this one's JSON-RPC while it leads; where it listens when empty.",
  }),
  leader: text("SHEAF_LEADER_ADDRESS", {
    default: "",
    help: "Where transactions are forwarded, instead of the address that the leader's claim names.",
  }),
  progressMs: int("SHEAF_LEADER_PROGRESS_MS", {
    default: 15_000,
    min: 2_000,
    max: 3_600_000,
    help: "A leader that seals no block for this long gives the lead up and stands again only after a pause that grows.",
  }),
  forwardWaitMs: int("SHEAF_FORWARD_WAIT_MS", {
    default: 5_000,
    min: 0,
    max: 60_000,
    help: "How long a transaction waits for a leader before it is refused with NO_LEADER.",
  }),
  forwardTxsMax: int("SHEAF_FORWARD_TXS_MAX", {
    default: 16_384,
    min: 1,
    max: 10_000_000,
    help: "Transactions on their way to a leader at once, those that wait for one included; beyond it they are refused.",
  }),
});

export type NodeConfig = ConfigOf<typeof nodeConfig>;
