/**
 * A process that appends to the log of a directory until it is killed, several appends at a time, and prints every
 * acknowledged sequence number. The kill test of the file log runs it.
 */
import { writeSync } from "node:fs";
import { FileLog } from "../file-log.ts";

const directory = process.argv[2];
if (directory === undefined) throw new Error("a directory is expected");
const log = await FileLog.open(directory, { segmentSizeBytes: 20_000 });
let seq = log.tip.seq;
for (;;) {
  const appends = Array.from({ length: 1 + Math.floor(Math.random() * 8) }, () => {
    const expectedSeq = seq;
    const payloads = Array.from({ length: 1 + Math.floor(Math.random() * 3) }, () => {
      seq++;
      const payload = Buffer.alloc(16 + Math.floor(Math.random() * 300), 0x5a);
      payload.write(`${seq}`.padStart(16, "0"), "latin1");
      return payload;
    });
    return log.append({ expectedSeq, term: 1, payloads });
  });
  for (const append of appends) writeSync(1, `${(await append).seq}\n`);
}
