/** Owns the error codes of the chain store and of the embedded database. */
import { defineErrors } from "../base/error.ts";

export const storeError = defineErrors("Store", {
  LOG_RESULT_LIMIT: {
    summary: "The log filter matches more logs than one answer may hold.",
    action: "Narrow the block range, the addresses or the topics.",
    retryable: false,
  },
  LOG_SCAN_LIMIT: {
    summary: "The log filter makes the store read more logs than one query may.",
    action: "Narrow the block range, or name an address together with the first topic.",
    retryable: false,
  },
  STORE_BACKLOG: {
    summary: "More writes wait for the disk than memory may hold.",
    action: "Wait: writing goes on in the background. If it lasts, the disk is too slow for the load.",
    retryable: true,
  },
  STORE_WRITE_FAILED: {
    summary: "A write to the database failed, for example because the disk is full.",
    action: "Make room or mend the disk and start the node again: it resumes from what was stored.",
    retryable: false,
  },
  STORE_FORMAT: {
    summary: "The database was written by an incompatible version of the program.",
    action: "Use the program version that wrote it, or delete the data folder and derive the chain again.",
    retryable: false,
  },
});
