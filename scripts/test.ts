/**
 * `npm test`: builds what is stale, then runs every kind of test in order of cost: unit and property tests, contract
 * tests (forge), tests that need an L1 (anvil), end-to-end stories against a real devnet, fault tests that kill real
 * processes. Tests of replicated logs need nats-server, which is installed where that is possible. `npm test -- unit contracts` runs some kinds, `npm test -- e2e withdraw` those whose path holds a word.
 * Last line: `N passed, N failed, N skipped`.
 */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative, resolve } from "node:path";

const root = resolve(import.meta.dirname, "..");
const KINDS = ["unit", "contracts", "l1", "e2e", "fault"] as const;
type Kind = (typeof KINDS)[number];
/** What runs together: stories and faults mostly wait, for blocks, for L1, for processes. */
const PARTS: readonly (readonly Kind[])[] = [["unit"], ["contracts"], ["l1"], ["e2e", "fault"]];
/** A line of scripts/test-report.js; why a test failed is shown by the reporter for the eye. */
type TestLine =
  | { kind: "test"; file: string; name: string; outcome: "passed" | "failed" | "skipped"; reason: string }
  | { kind: "file"; file: string; seconds: number }
  | { kind: "output"; file: string; text: string };
/** `seconds`: of all its files, side by side or not. */
type Tally = { passed: number; failed: number; skipped: number; seconds: number };

/** A test that hangs fails, with its name, instead of holding up everything. */
const TEST_TIMEOUT_MS = 600_000;
/** Files at a time. */
const CONCURRENCY = 2;
const SLOWEST_SHOWN = 30;
const words = process.argv.slice(2);
const kinds = KINDS.filter((kind) => words.includes(kind));
const filters = words.filter((word) => !KINDS.some((kind) => kind === word));
const wanted: readonly Kind[] = kinds.length > 0 ? kinds : KINDS;

function filesBelow(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    if (name === "node_modules") return [];
    return statSync(path).isDirectory() ? filesBelow(path) : [path];
  });
}

function kindOf(path: string): Kind | undefined {
  if (/\.e2e\.test\.ts$/.test(path)) return "e2e";
  if (/\.fault\.test\.ts$/.test(path)) return "fault";
  if (/\.l1\.test\.ts$/.test(path)) return "l1";
  if (/\.test\.ts$/.test(path)) return "unit";
  return undefined;
}

/** Runs a command with its output shown; resolves to the exit code and, when asked for, the output. */
function run(command: string, args: readonly string[], capture = false): Promise<{ code: number; output: string }> {
  return new Promise((done, fail) => {
    const child = spawn(command, args, { cwd: root, stdio: ["ignore", capture ? "pipe" : "inherit", "inherit"] });
    let output = "";
    child.stdout?.on("data", (chunk: Buffer) => {
      output += chunk.toString();
      process.stdout.write(chunk);
    });
    child.on("error", fail);
    child.on("close", (code) => done({ code: code ?? 1, output }));
  });
}

async function build(): Promise<void> {
  for (const script of ["contracts.ts", "build-vm.ts"]) {
    if (!existsSync(join(root, "scripts", script))) continue;
    const { code } = await run(process.execPath, ["--import", "tsx", join("scripts", script)]);
    if (code !== 0) throw new Error(`scripts/${script} failed`);
  }
  if (wanted.some((kind) => kind !== "contracts")) await run(process.execPath, [join("scripts", "nats-server.js")]);
}

/** Runs the tests of some kinds together, two files at a time; what each kind had is told apart by its files. */
async function nodeTests(together: readonly Kind[]): Promise<ReadonlyMap<Kind, Tally>> {
  const tallies = new Map(together.map((kind) => [kind, { passed: 0, failed: 0, skipped: 0, seconds: 0 }]));
  const files = [join(root, "src"), join(root, "test"), join(root, "scripts"), join(root, "vm")]
    .flatMap(filesBelow)
    .filter((path) => together.some((kind) => kindOf(path) === kind))
    .map((path) => relative(root, path))
    .filter((path) => filters.every((word) => path.includes(word)));
  if (files.length === 0) return tallies;
  const folder = mkdtempSync(join(tmpdir(), "sheaf-test-"));
  const report = join(folder, "report.jsonl");
  const { code } = await run(process.execPath, [
    ...["--import", "tsx", "--test", `--test-concurrency=${CONCURRENCY}`, `--test-timeout=${TEST_TIMEOUT_MS}`],
    ...["--test-reporter=dot", "--test-reporter-destination=stdout"],
    ...["--test-reporter=./scripts/test-report.js", `--test-reporter-destination=${report}`],
    ...files,
  ]);
  const shared = together.at(-1) as Kind;
  const took: { file: string; seconds: number }[] = [];
  let failed = 0;
  for (const text of existsSync(report) ? readFileSync(report, "utf8").split("\n") : []) {
    if (text === "") continue;
    const line = JSON.parse(text) as TestLine;
    // Tests that several files share are told of where they are written: in none of the kinds.
    const tally = tallies.get(kindOf(line.file) ?? shared) as Tally;
    if (line.kind === "file") {
      took.push(line);
      tally.seconds += line.seconds;
    } else if (line.kind === "output") console.log(`\n── what ${line.file} said ──\n${line.text}`);
    else {
      tally[line.outcome]++;
      if (line.outcome === "skipped") console.log(`skipped: ${line.file}: ${line.name}: ${line.reason}`);
      if (line.outcome === "failed") failed++;
    }
  }
  rmSync(folder, { recursive: true });
  if (code !== 0 && failed === 0) {
    console.log(`\nnode --test ended with code ${code}`);
    (tallies.get(shared) as Tally).failed++;
  }
  console.log("\nslowest files, in seconds");
  for (const { file, seconds } of took.sort((a, b) => b.seconds - a.seconds).slice(0, SLOWEST_SHOWN))
    console.log(`${seconds.toFixed(1).padStart(7)}  ${file}`);
  return tallies;
}

async function contractTests(): Promise<Tally> {
  const startMs = performance.now();
  if (filters.length > 0 && !filters.includes("contracts")) return { passed: 0, failed: 0, skipped: 0, seconds: 0 };
  const { code, output } = await run("npm", ["run", "--silent", "contracts:test"], true);
  // forge: "Ran 12 test suites in …: 120 tests passed, 0 failed, 0 skipped (120 total tests)"
  const match = /(\d+) tests? passed, (\d+) failed, (\d+) skipped \(\d+ total/.exec(output);
  const seconds = (performance.now() - startMs) / 1_000;
  if (match === null) return { passed: 0, failed: 1, skipped: 0, seconds };
  const failed = code !== 0 ? Math.max(1, Number(match[2])) : Number(match[2]);
  return { passed: Number(match[1]), failed, skipped: Number(match[3]), seconds };
}

await build();
const startMs = performance.now();
const tallies = new Map<Kind, Tally>();
for (const part of PARTS) {
  const together = part.filter((kind) => wanted.includes(kind));
  if (together.length === 0) continue;
  console.log(`\n── ${together.join(" and ")} tests ──`);
  if (together.includes("contracts")) tallies.set("contracts", await contractTests());
  else for (const [kind, tally] of await nodeTests(together)) tallies.set(kind, tally);
}
console.log("\nkind        passed  failed  skipped  seconds");
const total = { passed: 0, failed: 0, skipped: 0 };
for (const [kind, t] of tallies) {
  total.passed += t.passed;
  total.failed += t.failed;
  total.skipped += t.skipped;
  const cells = [t.passed, t.failed, t.skipped].map((n, i) => String(n).padStart([7, 8, 9][i] ?? 8));
  console.log(`${kind.padEnd(10)} ${cells.join("")}  ${t.seconds.toFixed(1).padStart(7)}`);
}
console.log(`${((performance.now() - startMs) / 60_000).toFixed(1)} minutes`);
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
if (total.failed > 0 || total.passed === 0) process.exitCode = 1;
