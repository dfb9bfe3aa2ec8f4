/**
 * Owns the victim of the kill test of moves: a process that opens a state with one number of key shards after the other,
 * so that all of it moves, stores some blocks that anybody can compute again, and says what it does. Never ends by
 * itself.
 */
import { join } from "node:path";
import { silentLog } from "../../base/log.ts";
import { Metrics } from "../../base/metrics.ts";
import { Database } from "../../store/database.ts";
import { openState } from "../open-state.ts";
import { largeWritesOf } from "./partitioned.ts";

const [folder] = process.argv.slice(2) as [string];
for (let n = 0; ; n++) {
  const count = [1, 2, 1, 3][n % 4] as number;
  process.stdout.write(`moving to ${count}\n`);
  const database = Database.open(join(folder, "chain"));
  const { state, close } = await openState(database, {
    env: { SHEAF_KEY_SHARDS: String(count) },
    folderOf: (shard) => join(folder, `shard-${shard}`),
    log: silentLog,
    metrics: new Metrics(),
  });
  for (let i = 0; i < 3; i++) {
    const prepared = await state.prepare(largeWritesOf(state.head + 1));
    database.transaction(() => state.commit(state.head + 1, prepared));
  }
  await close();
  await database.close();
}
