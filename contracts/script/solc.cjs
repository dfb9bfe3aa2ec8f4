#!/usr/bin/env node
// Lets forge, which wants a native compiler, use the JavaScript one of the npm package `solc`: answers `--version` and
// `--standard-json`, which is all that forge asks. The sources come complete on standard input.
const { readFileSync } = require("node:fs");
const solc = require("solc");

if (process.argv.includes("--version")) {
  console.log(`solc, the solidity compiler commandline interface\nVersion: ${solc.version()}`);
} else if (process.argv.includes("--standard-json")) {
  process.stdout.write(solc.compile(readFileSync(0, "utf8")));
} else {
  console.error("usage: solc.cjs --version | --standard-json");
  process.exitCode = 2;
}
