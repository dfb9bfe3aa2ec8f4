/**
 * Owns the victim of the kill test: a process that opens a state on key shards, stores blocks that anybody can compute
 * again as fast as it can, moves bytes between shards all the while, sometimes unwinds, and says where it is. Never ends
 * by itself.
 */
import type { ShardsIn } from "../links.ts";
import { Shards, writesOf } from "./partitioned.ts";

const [folder, where] = process.argv.slice(2) as [string, ShardsIn];
const shards = new Shards(where, folder);
await shards.open(2);
process.stdout.write(`opened ${shards.state.head}\n`);
for (let n = 0; ; n++) {
  if (n % 12 === 0) shards.state.mover.target = (n / 12) % 2 === 0 ? 3 : 2;
  await shards.block(writesOf(shards.state.head + 1));
  if (n % 17 === 16) shards.database.transaction(() => shards.state.rollback(shards.state.head - 2));
  await shards.database.settled();
  process.stdout.write(`at ${shards.state.head}\n`);
}
