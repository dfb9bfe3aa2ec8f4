import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { runCommandLine } from "./cli.ts";

type Answer = { readonly code: number; readonly out: string; readonly err: string };

async function sheaf(args: readonly string[], env: Record<string, string> = {}): Promise<Answer> {
  const out: string[] = [];
  const err: string[] = [];
  const code = await runCommandLine(args, {
    env,
    signal: new AbortController().signal,
    out: (text) => out.push(text),
    err: (text) => err.push(text),
    isTerminal: false,
  });
  return { code, out: out.join("\n"), err: err.join("\n") };
}

test("help names every command and every flag, and is no failure", async () => {
  const general = await sheaf(["--help"]);
  assert.equal(general.code, 0);
  for (const command of ["devnet", "status", "verify", "config", "snapshot"])
    assert.match(general.out, new RegExp(`^  ${command}\\b`, "m"));
  const devnet = await sheaf(["devnet", "--help"]);
  assert.equal(devnet.code, 0);
  for (const flag of [
    "--fresh",
    "--clusters",
    "--ports",
    "--json",
    "--data-dir",
    "--l1-block-time",
    "--sequencing-window",
    "--challenge-period",
    "--shadow",
    "--log-level",
  ])
    assert.ok(devnet.out.includes(flag), flag);
  assert.match(devnet.out, /l1=8545,cluster=9545,verifier=9645,health=9700/, "with the default ports");
  assert.match(devnet.out, /Examples:/);
  const verify = await sheaf(["verify", "--help"]);
  assert.match(verify.out, /--engine <name>.*\n?.*"wasm", "ethereumjs"/);
});

test("wrong usage ends with 2, says what is wrong, and shows the help", async () => {
  const cases: [string[], RegExp][] = [
    [["launch"], /unknown command 'launch'/],
    [["devnet", "--frash"], /unknown option '--frash'[\s\S]*--fresh/],
    [["devnet", "--clusters", "0"], /want an integer from 1 to 16/],
    [["devnet", "--clusters", "17"], /want an integer from 1 to 16/],
    [["devnet", "--clusters", "two"], /want an integer from 1 to 16/],
    [["devnet", "--clusters", "1.5"], /want an integer from 1 to 16/],
    [["devnet", "--clusters"], /argument missing/],
    [["devnet", "--ports", "l1=banana"], /cannot read "l1=banana": want l1=8545/],
    [["devnet", "--ports", "70000"], /cannot read "70000"/],
    [["devnet", "--ports", "l3=1"], /cannot read "l3=1"/],
    [["devnet", "--ports", "1,2,3,4,5"], /cannot read "5"/],
    [["devnet", "--l1-block-time", "0"], /want an integer from 1 to 60/],
    [["devnet", "--sequencing-window", "3"], /want an integer from 4 to 100000/],
    [["devnet", "--challenge-period", "-1"], /want an integer from 1 to 604800/],
    [["devnet", "--shadow", "maybe"], /Allowed choices are off, advisory, required/],
    [["devnet", "--log-level", "loud"], /Allowed choices are debug, info, warn, error, silent/],
    [["verify", "--inbox", `0x${"11".repeat(20)}`], /required option '--l1 <url>' not specified/],
    [["verify", "--l1", "http://x", "--inbox", "0x12"], /want an address: 0x and 40 hex digits/],
    [["verify", "--l1", "http://x", "--inbox", `0x${"11".repeat(20)}`, "--engine", "geth"], /Allowed choices/],
  ];
  for (const [args, expected] of cases) {
    const { code, out, err } = await sheaf(args);
    assert.equal(code, 2, args.join(" "));
    assert.match(err, expected);
    assert.match(err, /Usage: sheaf/, `${args.join(" ")} shows the help`);
    assert.equal(out, "");
  }
});

test("a setting that is unknown or out of range stops the start and is named", async () => {
  const cases: [Record<string, string>, RegExp][] = [
    [{ SHEAF_SHADWO: "required" }, /^error CONFIG_UNKNOWN: SHEAF_SHADWO is not a variable of Sheaf/],
    [{ SHEAF_SHADOW: "maybe" }, /^error CONFIG_INVALID: SHEAF_SHADOW=maybe: want one of off, advisory, required/],
    [{ SHEAF_ENGINE: "geth" }, /^error CONFIG_INVALID: SHEAF_ENGINE=geth: want one of wasm, ethereumjs/],
    [{ SHEAF_BLOCK_TIME_MS: "10" }, /^error CONFIG_INVALID: SHEAF_BLOCK_TIME_MS=10: want an integer from 1000/],
    [{ SHEAF_BLOCK_TIME_MS: "1e3" }, /^error CONFIG_INVALID: SHEAF_BLOCK_TIME_MS=1e3/],
    [{ SHEAF_RPC_ALLOW_UNPROTECTED: "yes" }, /^error CONFIG_INVALID: SHEAF_RPC_ALLOW_UNPROTECTED=yes: want true or/],
  ];
  for (const [env, expected] of cases) {
    const { code, err } = await sheaf(["config"], env);
    assert.equal(code, 1);
    assert.match(err, expected);
    assert.doesNotMatch(err, /\n {4}at /, "no stack for what an operator got wrong");
  }
  assert.equal((await sheaf(["config"], { PATH: "/bin", SHEAF_ENGINE: "" })).code, 0, "empty is not set");
});

test("config shows each setting with the value in force", async () => {
  const { code, out } = await sheaf(["config", "--json"], { SHEAF_SHADOW: "advisory" });
  assert.equal(code, 0);
  const rows = JSON.parse(out) as { variable: string; value: string; default: string; help: string }[];
  const shadow = rows.find((r) => r.variable === "SHEAF_SHADOW");
  assert.deepEqual([shadow?.value, shadow?.default], ["advisory", "off"]);
  assert.ok(rows.length > 50 && rows.every((r) => r.help.length > 0));
});

test("status without a network, or with a file that is none, says so", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "sheaf-cli-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const none = await sheaf(["status", "--data-dir", folder]);
  assert.equal(none.code, 1);
  assert.match(none.err, /^error STATUS_NO_NETWORK/);
  writeFileSync(join(folder, "endpoints.json"), "{ torn");
  const torn = await sheaf(["status", "--data-dir", folder]);
  assert.equal(torn.code, 1);
  assert.match(torn.err, /^error STATUS_NO_NETWORK: .*endpoints\.json is not/);
});

test("verify says that an L1 does not answer", async () => {
  const { code, err } = await sheaf(["verify", "--l1", "http://127.0.0.1:9", "--inbox", `0x${"11".repeat(20)}`]);
  assert.equal(code, 1);
  assert.match(err, /^error L1_/);
  assert.doesNotMatch(err, /\n {4}at /);
});
