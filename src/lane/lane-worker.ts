/** Entry of a lane, as a thread or a process. An error ends it; the node starts another one on the same log. */
import { serveParent } from "../link/serve-parent.ts";
import { LaneHost } from "./lane-host.ts";

await serveParent((send) => LaneHost.serve(send));
