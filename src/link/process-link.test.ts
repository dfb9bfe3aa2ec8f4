import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { until } from "../base/testing/until.ts";

const CHILD = fileURLToPath(new URL("./testing/linking-child.ts", import.meta.url));
const WORKER = new URL("./testing/busy-worker.ts", import.meta.url).href;

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

test("a worker's process ends when the one that started it is killed, whatever keeps it busy", async () => {
  const child = spawn(process.execPath, ["--import", import.meta.resolve("tsx"), CHILD, WORKER], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    const [answer] = (await once(child.stdout, "data")) as [Buffer];
    const pid = Number(answer.toString());
    assert.ok(isRunning(pid));
    child.kill("SIGKILL");
    await until("the worker has ended", () => !isRunning(pid));
  } finally {
    child.kill("SIGKILL");
  }
});
