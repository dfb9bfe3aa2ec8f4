/** Entry of a recovery thread: packed signatures in, packed senders out, one message each. */
import { parentPort } from "node:worker_threads";
import { recoverPacked } from "./recovery-codec.ts";
import type { RecoveryAnswer, RecoveryRequest } from "./sender-recovery.ts";

parentPort?.on("message", ({ id, signatures }: RecoveryRequest) => {
  const senders = recoverPacked(signatures);
  const answer: RecoveryAnswer = { id, senders };
  parentPort?.postMessage(answer, [senders.buffer as ArrayBuffer]);
});
