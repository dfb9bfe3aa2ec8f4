/**
 * Owns the methods by which the nodes of a cluster find who leads it and forward transactions to it. A forwarded call is
 * never forwarded again: a node that does not lead says so, and the caller looks for the leader anew.
 */
import { RpcError, rejectionError } from "./errors.ts";
import { type Method, method } from "./method.ts";
import { arrayOf, data, required } from "./params.ts";

export const LEADER_METHODS: readonly Method[] = [
  method({
    name: "sheaf_leader",
    summary:
      "Who leads the cluster as this node knows it, whether this one would, and how far this node is behind the order.",
    params: [],
    result: "{leads, ready, reason?, stands, notStanding?, leader?: {holder, address, term}, behindRecords, head}",
    run: (s) => {
      const { latest } = s.chain.heads();
      const alone = {
        leads: s.pool !== undefined,
        reason: undefined,
        leader: undefined,
        notStanding: undefined,
        behind: 0,
      };
      const status = s.standing?.() ?? alone;
      return {
        leads: status.leads,
        ready: status.reason === undefined,
        ...(status.reason === undefined ? {} : { reason: status.reason }),
        stands: status.notStanding === undefined,
        ...(status.notStanding === undefined ? {} : { notStanding: status.notStanding }),
        ...(status.leader === undefined ? {} : { leader: status.leader }),
        behindRecords: status.behind,
        head: latest,
      };
    },
  }),
  method({
    name: "sheaf_submitRawTransactions",
    summary:
      "Takes signed transactions that a node of the cluster forwards to the leader; answers when they are durable, for each null or why it is refused. NO_LEADER when this node does not lead.",
    params: [required("transactions", arrayOf(data, 2_000))],
    result: "Array of null or {reason, message}",
    run: async (s, [raws]) => {
      if (s.ingest === undefined || s.pool === undefined || s.pool.leads === false) {
        const body = rejectionError("NO_LEADER", "");
        throw new RpcError("LIMIT_EXCEEDED", body.message, body.data);
      }
      const outcomes = await s.ingest.submit(raws);
      return outcomes.map((o) => (o.accepted ? null : { reason: o.reason, message: o.message }));
    },
  }),
];
