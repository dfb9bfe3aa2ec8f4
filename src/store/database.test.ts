/** The database when the disk is full: file sizes are limited by the shell, as a quota would. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { Database } from "./database.ts";

const CHILD = fileURLToPath(new URL("./testing/filling-child.ts", import.meta.url));
const LIMIT_KIB = 6000;

const skip = process.platform === "linux" ? false : "limits file sizes through a Linux shell";
test("a full disk stops writing with a code, keeps reading, and what was flushed is there afterwards", {
  skip,
}, async () => {
  const folder = mkdtempSync(join(tmpdir(), "sheaf-full-"));
  const script = `ulimit -f ${LIMIT_KIB}; exec "${process.execPath}" --import tsx "${CHILD}" "${folder}"`;
  const lines = execFileSync("bash", ["-c", script], { stdio: ["ignore", "pipe", "ignore"] })
    .toString()
    .trim()
    .split("\n");
  assert.deepEqual(lines.slice(-4), ["failed STORE_WRITE_FAILED", "refused STORE_WRITE_FAILED", "read 1500", "closed"]);
  const flushed = Number(lines.findLast((line) => line.startsWith("flushed"))?.split(" ")[1]);
  assert.ok(flushed > 0);
  const database = Database.open(folder);
  const keys = database.table("filled").keys({ start: Uint8Array.of(0) });
  assert.ok(keys.length >= flushed && keys.length % 100 === 0, "whole transactions, no flushed one lost");
  await database.close();
  rmSync(folder, { recursive: true });
});
