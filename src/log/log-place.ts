/** Owns opening a log by where it is: said in words that can go to another process. */
import type { Clock } from "../base/clock.ts";
import { readConfig } from "../base/config.ts";
import { hasCode } from "../base/error.ts";
import type { Log } from "../base/log.ts";
import { jetStreamSettings, logConfig } from "./config.ts";
import { FileLog } from "./file-log.ts";
import { JetStream } from "./jetstream.ts";
import { JetStreamLog } from "./jetstream-log.ts";
import type { AppendLog } from "./log.ts";

export type LogPlace =
  | { readonly store: "file"; readonly folder: string; readonly name: string }
  | { readonly store: "nats"; readonly stream: string };

/** The owner before may be on its way out. */
const LOCKED_WAIT_MS = 15_000;

/** Opens the log with a connection of its own where it needs one; `env` says how to reach the servers. */
export async function openLogAt(
  place: LogPlace,
  p: { readonly env: Readonly<Record<string, string | undefined>>; readonly log: Log; readonly clock: Clock },
): Promise<AppendLog> {
  if (place.store === "nats") {
    const config = readConfig(logConfig, p.env);
    const js = await JetStream.connect(jetStreamSettings(config), p.log, p.clock);
    return JetStreamLog.open(js, place.stream, { replicas: config.replicas, log: p.log, clock: p.clock });
  }
  const startMs = p.clock.nowMs();
  for (;;) {
    try {
      return await FileLog.open(place.folder, { name: place.name });
    } catch (error) {
      if (!hasCode(error, "LOG_LOCKED") || p.clock.nowMs() - startMs > LOCKED_WAIT_MS) throw error;
      await p.clock.sleep(50);
    }
  }
}
