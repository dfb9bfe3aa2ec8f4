/** Owns the start of a server: it listens, or says why it cannot. */
import type { Server } from "node:net";

/** `port` 0 takes a free one. @throws what the system says, EADDRINUSE for a port that somebody has */
export function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.removeListener("error", reject);
      resolve();
    });
  });
}
