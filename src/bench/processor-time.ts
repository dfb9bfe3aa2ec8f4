/** CPU time of a process by thread, from the kernel's accounts: nothing is missed that a profiler does not see. */
import { readdirSync, readFileSync } from "node:fs";

/** Kernel ticks a second; 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

export type ThreadTimes = ReadonlyMap<string, { readonly name: string; readonly ms: number }>;

/** User and system time of each thread so far; empty where there is no /proc. */
export function threadTimes(pid: number): ThreadTimes {
  const times = new Map<string, { name: string; ms: number }>();
  let ids: string[];
  try {
    ids = readdirSync(`/proc/${pid}/task`);
  } catch {
    return times;
  }
  for (const id of ids)
    try {
      const text = readFileSync(`/proc/${pid}/task/${id}/stat`, "utf8");
      const name = text.slice(text.indexOf("(") + 1, text.lastIndexOf(")"));
      const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
      const ticks = Number(fields[11]) + Number(fields[12]);
      times.set(id, { name: id === String(pid) ? "main" : name, ms: (ticks * 1_000) / TICKS_PER_SECOND });
    } catch {
      // the thread ended meanwhile
    }
  return times;
}

/** What each thread used between two looks; threads of one name together. */
export function usedMs(before: ThreadTimes, after: ThreadTimes): Map<string, number> {
  const used = new Map<string, number>();
  for (const [id, { name, ms }] of after) {
    const spent = ms - (before.get(id)?.ms ?? 0);
    if (spent > 0) used.set(name, (used.get(name) ?? 0) + spent);
  }
  return used;
}

export function memoryBytes(pid: number): number | undefined {
  try {
    const match = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
    return match === null ? undefined : Number(match[1]) * 1_024;
  } catch {
    return undefined;
  }
}

/** Nanoseconds the scheduler gave to what `path` (a schedstat file) stands for, as ms; undefined where it is not there. */
function scheduledMs(path: string): number | undefined {
  try {
    return Number(readFileSync(path, "utf8").split(" ")[0]) / 1e6;
  } catch {
    return undefined;
  }
}

const pause = new Int32Array(new SharedArrayBuffer(4));

/**
 * Time this thread was on a processor so far, to the microsecond; wall time where the system does not tell. The kernel
 * brings a running thread's account up to date only every few milliseconds, or when it leaves the processor: so it does.
 */
export function threadMs(): number {
  Atomics.wait(pause, 0, 0, 0.01);
  return scheduledMs("/proc/self/schedstat") ?? performance.now();
}

/** The same over all threads of another process. */
export function processorMs(pid: number): number {
  let ids: string[];
  try {
    ids = readdirSync(`/proc/${pid}/task`);
  } catch {
    return performance.now();
  }
  return ids.reduce((sum, id) => sum + (scheduledMs(`/proc/${pid}/task/${id}/schedstat`) ?? 0), 0);
}

/** Microseconds this process has used of processors so far, to the microsecond. */
export function processMicros(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

/**
 * Time of each thread of this process so far, on a processor and waiting for one, by thread id; to the microsecond for
 * those that are not running.
 */
export function scheduledByThread(): Map<number, { readonly ranMs: number; readonly waitedMs: number }> {
  const times = new Map<number, { ranMs: number; waitedMs: number }>();
  try {
    for (const id of readdirSync("/proc/self/task")) {
      const [ran, waited] = readFileSync(`/proc/self/task/${id}/schedstat`, "utf8").split(" ");
      times.set(Number(id), { ranMs: Number(ran) / 1e6, waitedMs: Number(waited) / 1e6 });
    }
  } catch {
    // no such accounts on this system
  }
  return times;
}

/** Time all processors of the machine were busy so far, and what a hypervisor took; undefined where it is not told. */
export function machineBusyMs(): number | undefined {
  try {
    const [, user, nice, system, , , irq, softirq, steal] = (
      readFileSync("/proc/stat", "utf8").split("\n")[0] as string
    ).split(/\s+/);
    const ticks = [user, nice, system, irq, softirq, steal].reduce((sum, x) => sum + Number(x ?? 0), 0);
    return (ticks * 1_000) / TICKS_PER_SECOND;
  } catch {
    return undefined;
  }
}
