import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { type TestContext, test } from "node:test";
import { freePort } from "./free-port.ts";

const PORTS = 60;
const SCRIPT = `
  import { freePort } from ${JSON.stringify(new URL("./free-port.ts", import.meta.url).href)};
  const ports = await Promise.all(Array.from({ length: ${PORTS} }, () => freePort()));
  process.stdout.write(JSON.stringify(ports) + "\\n");
  process.stdin.resume(); // until the test ends it
`;

/** Ports that another process found; it goes on living. */
async function portsElsewhere(t: TestContext): Promise<number[]> {
  const child = spawn(process.execPath, ["--import", import.meta.resolve("tsx"), "--input-type=module", "-e", SCRIPT], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  t.after(async () => {
    const gone = once(child, "exit");
    child.kill("SIGKILL");
    await gone;
  });
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  return JSON.parse(line.toString()) as number[];
}

test("no port is given out twice, by this process or by others that live", async (t) => {
  const own = await Promise.all(Array.from({ length: PORTS }, () => freePort()));
  const all = [...own, ...(await portsElsewhere(t)), ...(await portsElsewhere(t))];
  assert.equal(all.length, 3 * PORTS);
  assert.equal(new Set(all).size, all.length);
});
