/** A whole `sheaf bench --quick`: that every part runs, the shape of what it says, and that nothing differs. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { BenchReport } from "../bench/bench.ts";
import { renderComparison } from "./bench-report.ts";
import { runCommandLine } from "./cli.ts";

async function run(args: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  const out: string[] = [];
  const err: string[] = [];
  const code = await runCommandLine(args, {
    env: {},
    signal: new AbortController().signal,
    out: (text) => out.push(text),
    err: (text) => err.push(text),
    isTerminal: false,
  });
  return { code, out: out.join("\n"), err: err.join("\n") };
}

test("bench --quick measures, holds virtual time against it, and draws or says why not", async () => {
  const folder = mkdtempSync(join(tmpdir(), "sheaf-bench-test-"));
  try {
    const plot = join(folder, "plot.svg");
    const { code, out, err } = await run(["bench", "--quick", "--json", "-", "--plot", plot]);
    assert.equal(code, 0, err);
    const report = JSON.parse(out) as BenchReport;
    assert.equal(report.version, 1);
    assert.ok(report.machine.cores > 0);
    const [workload] = report.workloads;
    assert.ok(workload !== undefined);
    assert.equal(workload.name, "M1");
    assert.deepEqual(
      workload.real.map(({ executors, isDeciding, isEqualToSerial }) => [executors, isDeciding, isEqualToSerial]),
      [
        [1, false, true],
        [2, false, true],
        [2, true, true],
      ],
    );
    for (const row of workload.real) {
      assert.ok(row.txPerSecond > 0 && row.mgasPerSecond > 0);
      assert.ok(row.speedup.min <= row.speedup.median && row.speedup.median <= row.speedup.max);
    }
    const { bounds } = workload;
    assert.ok(bounds !== undefined);
    assert.ok(bounds.parallelism >= 1 && bounds.parallelism <= bounds.byLongest + 1e-9);
    assert.ok(bounds.withoutDeltas <= bounds.parallelism + 1e-9);
    assert.deepEqual(
      workload.reproduction.map(({ executors }) => executors),
      [1, 2],
    );
    // Whether it is reproduced is the machine's affair; that nothing is drawn when it is not is ours.
    assert.equal(
      workload.isReproduced,
      workload.reproduction.every(({ error }) => Math.abs(error) <= 0.1),
    );
    assert.equal(workload.isReproduced, workload.refusal === undefined);
    assert.equal(workload.simulated.length, workload.isReproduced ? report.options.simulated.length : 0);
    for (const { waits, meanUse } of workload.simulated)
      assert.ok(Math.min(waits.start, waits.batches, waits.end, meanUse) >= 0 && waits.start + waits.end <= 1);
    assert.match(readFileSync(plot, "utf8"), /^<svg [\s\S]*<\/svg>\n$/);
    const compared = renderComparison(report, { ...report, workloads: [{ ...workload, simulated: [] }] });
    assert.match(compared, /M1 +serial +1\.00/);
    assert.match(compared, /M1 +2 real, deciding +1\.00 +1\.00/);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("bench refuses what it cannot read, and what leaves nothing to do", async () => {
  assert.equal((await run(["bench", "--executors", "0"])).code, 2);
  assert.equal((await run(["bench", "--workloads", "M9"])).code, 2);
  assert.equal((await run(["bench", "--rtt", "fast"])).code, 2);
  assert.equal((await run(["bench", "--txs", "1.5"])).code, 2);
  const rubbish = await run(["bench", "--compare", import.meta.filename]);
  assert.equal(rubbish.code, 1);
  assert.match(rubbish.err, /BENCH_OPTIONS/);
  const nothing = await run(["bench", "--workloads", "none"]);
  assert.equal(nothing.code, 1);
  assert.match(nothing.err, /BENCH_OPTIONS/);
});
