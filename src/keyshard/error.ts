/** Owns the error codes of key shards. */
import { defineErrors } from "../base/error.ts";

export const keyshardError = defineErrors("KeyShard", {
  KEYSHARD_SOURCE_BEHIND: {
    summary: "A key shard that gives bytes away has not stored what the copy starts from.",
    action: "Nothing: the move is tried again. If it repeats, look at that shard's log.",
    retryable: true,
  },
  KEYSHARD_BEHIND: {
    summary: "A key shard's database lacks blocks that the node no longer holds for it.",
    action: "Its folder was replaced or lost: restore all databases of the node from one snapshot, or derive again.",
    retryable: false,
  },
  KEYSHARD_ROOT: {
    summary: "The key shards together do not hold the state of the stored chain.",
    action: "A folder belongs to another node or is damaged: restore all databases of the node from one snapshot.",
    retryable: false,
  },
  KEYSHARD_COPY: {
    summary: "The copies of the databases of key shards for a snapshot do not belong together: the chain was rewound.",
    action: "Nothing: the snapshot is taken again.",
    retryable: true,
  },
  KEYSHARD_REFUSED: {
    summary: "A key shard refused a request.",
    action: "Read the reason; a move of bytes is tried again.",
    retryable: true,
  },
  KEYSHARD_LOST: {
    summary: "A key shard ended.",
    action: "Nothing: it is opened again and sent what it lacks.",
    retryable: true,
  },
});
