/** Entry of a key shard that validates epochs, as a thread or a process. An error ends it; it is replaced. */
import { serveParent } from "../../link/serve-parent.ts";
import { shardHost } from "./shard-links.ts";

await serveParent(shardHost);
