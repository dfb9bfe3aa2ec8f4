/**
 * Owns what `npm test` reads of a test run: a reporter of node:test that writes a line of JSON for each test that ended
 * and for each file that is done, and at the end what the files in which something failed had to say.
 * In plain JavaScript: reporters are loaded before anything that reads TypeScript.
 * Source: https://nodejs.org/api/test.html#custom-reporters
 */
import { relative } from "node:path";

/** Of each file's output, the newest. */
const OUTPUT_PARTS_MAX = 400;

export default async function* report(events) {
  const said = new Map();
  const failed = new Set();
  for await (const { type, data } of events) {
    const file = relative(process.cwd(), data.file ?? "");
    if (type === "test:stdout" || type === "test:stderr" || type === "test:diagnostic") {
      const parts = said.get(file) ?? [];
      said.set(file, parts);
      parts.push(type === "test:diagnostic" ? `${data.message}\n` : data.message);
      if (parts.length > OUTPUT_PARTS_MAX) parts.shift();
      continue;
    }
    if (type !== "test:pass" && type !== "test:fail" && type !== "test:complete") continue;
    const { name, skip, details } = data;
    // A file is the parent of its tests; it is told of as a failed test only when it broke outside of them.
    if (type === "test:complete") {
      if (name !== data.file) continue;
      if (details.passed && !failed.has(file)) said.delete(file);
      else failed.add(file);
      yield `${JSON.stringify({ kind: "file", file, seconds: details.duration_ms / 1_000 })}\n`;
      continue;
    }
    const outcome = skip !== undefined ? "skipped" : type === "test:pass" ? "passed" : "failed";
    if (outcome === "failed") failed.add(file);
    const reason = typeof skip === "string" ? skip : "";
    yield `${JSON.stringify({ kind: "test", file, name, outcome, reason })}\n`;
  }
  // What a broken file said last may come after it is told of.
  for (const file of failed)
    yield `${JSON.stringify({ kind: "output", file, text: (said.get(file) ?? []).join("") })}\n`;
}
