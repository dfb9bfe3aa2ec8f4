/** Opens one process link to the worker at the URL given, sends it a message, and tells of the answer. */
import { processLink } from "../process-link.ts";

const link = processLink(new URL(process.argv[2] as string), { name: "busy" })({
  received: (message) => console.log(Buffer.from(message).toString()),
  lost: (cause) => console.error(cause),
});
link.send(Buffer.from("who"));
setInterval(() => undefined, 1_000_000);
