/** Owns small JSON files that a kill may interrupt: written whole, and read as absent when they are torn. */
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";

export function readJson(path: string): unknown {
  if (!existsSync(path)) return undefined;
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return undefined; // torn by a kill: written anew
  }
}

/** Written whole or not at all. */
export function writeJson(path: string, value: unknown): void {
  writeFileSync(`${path}.tmp`, `${JSON.stringify(value, null, 2)}\n`);
  renameSync(`${path}.tmp`, path);
}
