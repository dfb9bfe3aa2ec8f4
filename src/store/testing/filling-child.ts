/**
 * Owns the victim of the full-disk test: fills a database until a write fails, then prints the code of the error, that
 * of the next transaction, and whether the first key is still read.
 */
import { CodedError } from "../../base/error.ts";
import { Database } from "../database.ts";

const database = Database.open(process.argv[2] as string);
const table = database.table("filled");
const codeOf = (error: unknown): string => (error instanceof CodedError ? error.code : String(error));
let written = 0;

function fill(): void {
  for (let i = 0; i < 100; i++) {
    const key = new Uint8Array(4);
    new DataView(key.buffer).setUint32(0, ++written);
    table.put(key, new Uint8Array(1500).fill(written));
  }
}

try {
  for (;;) {
    database.transaction(fill);
    await database.flushed();
    process.stdout.write(`flushed ${written}\n`);
  }
} catch (error) {
  process.stdout.write(`failed ${codeOf(error)}\n`);
}
try {
  database.transaction(fill);
} catch (error) {
  process.stdout.write(`refused ${codeOf(error)}\n`);
}
process.stdout.write(`read ${table.get(Uint8Array.of(0, 0, 0, 1))?.length}\n`);
await database.close();
process.stdout.write("closed\n");
