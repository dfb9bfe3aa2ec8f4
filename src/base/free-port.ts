/**
 * Owns finding a TCP port for a server that is started later, or again: below the range that outgoing connections take
 * theirs from, so that none of them sits on it meanwhile, and never the same one twice in a process.
 */
import { createServer } from "node:net";

const FIRST = 10_000;
const COUNT = 20_000;
const given = new Set<number>();

/** A port of loopback that nobody listens on. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = FIRST + Math.floor(Math.random() * COUNT);
    if (given.has(port)) continue;
    const probe = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      probe.once("error", () => resolve(false));
      probe.listen(port, "127.0.0.1", () => resolve(true));
    });
    if (!isFree) continue;
    await new Promise((resolve) => probe.close(resolve));
    given.add(port);
    return port;
  }
}
