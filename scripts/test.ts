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
type Tally = { passed: number; failed: number; skipped: number; seconds: number };

/** A test that hangs fails, with its name, instead of holding up everything. */
const TEST_TIMEOUT_MS = 600_000;
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

async function nodeTests(kind: Kind): Promise<Omit<Tally, "seconds">> {
  const files = [join(root, "src"), join(root, "test"), join(root, "scripts"), join(root, "vm")]
    .flatMap(filesBelow)
    .filter((path) => kindOf(path) === kind)
    .map((path) => relative(root, path))
    .filter((path) => filters.every((word) => path.includes(word)));
  if (files.length === 0) return { passed: 0, failed: 0, skipped: 0 };
  const folder = mkdtempSync(join(tmpdir(), "sheaf-test-"));
  const tap = join(folder, "report.tap");
  const concurrency = kind === "unit" || kind === "l1" ? 2 : 1;
  const { code } = await run(process.execPath, [
    ...["--import", "tsx", "--test", `--test-concurrency=${concurrency}`, `--test-timeout=${TEST_TIMEOUT_MS}`],
    ...["--test-reporter=dot", "--test-reporter-destination=stdout"],
    ...["--test-reporter=tap", `--test-reporter-destination=${tap}`],
    ...files,
  ]);
  const report = existsSync(tap) ? readFileSync(tap, "utf8") : "";
  rmSync(folder, { recursive: true });
  const count = (name: string): number => Number(new RegExp(`^# ${name} (\\d+)$`, "m").exec(report)?.[1] ?? 0);
  for (const line of report.split("\n")) {
    if (/^\s*not ok /.test(line)) console.log(line.trim());
    if (/ # SKIP /.test(line)) console.log(`skipped: ${line.replace(/^\s*ok \d+ - /, "").replace(" # SKIP", ":")}`);
  }
  const failed = count("fail") + count("cancelled");
  if (code !== 0 && failed === 0) console.log(report.split("\n").slice(-60).join("\n"));
  if (failed > 0) console.log(failureDetails(report));
  return { passed: count("pass"), failed: failed + (code !== 0 && failed === 0 ? 1 : 0), skipped: count("skipped") };
}

/** The error blocks of a TAP report, for the eye. */
function failureDetails(report: string): string {
  const lines = report.split("\n");
  const out: string[] = [];
  for (const [i, line] of lines.entries())
    if (/^\s*not ok /.test(line) && !/subtestsFailed/.test(lines.slice(i, i + 8).join("\n")))
      out.push(...lines.slice(i, i + 40), "");
  return out.slice(0, 400).join("\n");
}

async function contractTests(): Promise<Omit<Tally, "seconds">> {
  if (filters.length > 0 && !filters.includes("contracts")) return { passed: 0, failed: 0, skipped: 0 };
  const { code, output } = await run("npm", ["run", "--silent", "contracts:test"], true);
  // forge: "Ran 12 test suites in …: 120 tests passed, 0 failed, 0 skipped (120 total tests)"
  const match = /(\d+) tests? passed, (\d+) failed, (\d+) skipped \(\d+ total/.exec(output);
  if (match === null) return { passed: 0, failed: 1, skipped: 0 };
  const failed = Number(match[2]);
  return { passed: Number(match[1]), failed: code !== 0 && failed === 0 ? 1 : failed, skipped: Number(match[3]) };
}

await build();
const tallies: [Kind, Tally][] = [];
for (const kind of wanted) {
  console.log(`\n── ${kind} tests ──`);
  const start = performance.now();
  const counts = kind === "contracts" ? await contractTests() : await nodeTests(kind);
  tallies.push([kind, { ...counts, seconds: (performance.now() - start) / 1_000 }]);
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
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
if (total.failed > 0 || total.passed === 0) process.exitCode = 1;
