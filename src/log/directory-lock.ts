/**
 * Owns exclusive use of a directory on one machine: a file that names its owner. A dead owner's lock is taken over;
 * on Linux a process is known by its start time too, so that a reused id does not look alive.
 * The lock keeps mistakes apart; it does not fence: terms do (DESIGN D6).
 */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { logError } from "./record.ts";

/** Start time of a process in clock ticks since boot; empty where the system does not tell. */
function startTicks(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The command name is in brackets and may hold spaces: fields count from behind it.
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "";
  } catch {
    return "";
  }
}

function isAlive(owner: string): boolean {
  const [pidText = "", ticks = ""] = owner.split(" ");
  const pid = Number(pidText);
  if (!Number.isSafeInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM: it lives and belongs to somebody else.
    if ((error as NodeJS.ErrnoException).code !== "EPERM") return false;
  }
  return startTicks(pid) === ticks;
}

/** @returns what releases the lock. @throws {LogError} LOG_LOCKED */
export function lockDirectory(directory: string): () => void {
  const path = join(directory, "lock");
  const self = `${process.pid} ${startTicks(process.pid)}`;
  for (let attempt = 0; ; attempt++) {
    try {
      writeFileSync(path, self, { flag: "wx" });
      return () => rmSync(path, { force: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
    let owner = "";
    try {
      owner = readFileSync(path, "utf8");
    } catch {
      // Released in between.
    }
    if (isAlive(owner) || attempt > 3)
      throw logError("LOG_LOCKED", `${directory} is in use by process ${owner}`, { directory, owner });
    rmSync(path, { force: true });
  }
}

/** Releases a lock that a thread of this process held when it ended; another process's lock stays. */
export function releaseOwnLock(directory: string): void {
  const path = join(directory, "lock");
  try {
    if (readFileSync(path, "utf8") === `${process.pid} ${startTicks(process.pid)}`) rmSync(path, { force: true });
  } catch {
    // There is none.
  }
}
