/** Entry of a worker that keeps its process running by itself, and answers with its process id. */
import { serveParent } from "../serve-parent.ts";

await serveParent((send) => {
  setInterval(() => undefined, 1_000_000);
  return () => send(Buffer.from(String(process.pid)));
});
