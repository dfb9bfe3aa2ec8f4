/** Recovery threads that nobody closed, as after a start that failed: they must not hold the process open. */
import { execFileSync } from "node:child_process";
import { test } from "node:test";

const SCRIPT = `
  import { silentLog } from "./src/base/log.ts";
  import { SenderRecovery } from "./src/gateway/sender-recovery.ts";
  new SenderRecovery(1, silentLog);
  console.log("made");
`;

test("idle recovery threads hold no process open", () => {
  execFileSync(process.execPath, ["--import", "tsx", "--input-type=module", "-e", SCRIPT], {
    cwd: new URL("../..", import.meta.url),
    timeout: 60_000,
    stdio: ["ignore", "ignore", "inherit"],
  });
});
