/** Entry of a key shard, as a thread or a process. An error ends it; the node opens it again. */
import { assert } from "../base/assert.ts";
import { hostArgument, serveParent } from "../link/serve-parent.ts";
import { ShardHost } from "./host.ts";

await serveParent((send) => {
  const folder = hostArgument();
  assert(folder !== undefined, "a key shard is told its folder");
  const host = new ShardHost(folder, {
    send,
    fail: (error) => {
      setImmediate(() => {
        throw error;
      });
    },
  });
  return (message) => host.receive(message);
});
