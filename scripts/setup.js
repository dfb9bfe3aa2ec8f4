/**
 * Owns the set-up of a fresh clone, in plain JavaScript because nothing is installed yet: installs the packages of the
 * lockfile when node_modules is missing or older than it. Doing nothing costs a few milliseconds.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const NODE_LEAST = [20, 19];

export function setup() {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  if (major < NODE_LEAST[0] || (major === NODE_LEAST[0] && minor < NODE_LEAST[1])) {
    console.error(`Sheaf needs Node >= ${NODE_LEAST.join(".")}; this is ${process.versions.node}.`);
    process.exit(1);
  }
  const stamp = join(root, "node_modules", ".sheaf-setup");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === lockHash()) return;
  if (!existsSync(stamp) && complete()) {
    writeFileSync(stamp, lockHash()); // installed by hand already
    return;
  }
  console.error("installing packages (once) …");
  const npm = process.platform === "win32" ? "npm.cmd" : "npm";
  const run = spawnSync(npm, ["install", "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd: root,
    stdio: ["ignore", 2, 2],
  });
  if (run.status !== 0) {
    console.error("npm install failed; see above. Check the network and the registry, then run the command again.");
    process.exit(1);
  }
  writeFileSync(stamp, lockHash());
}

function lockHash() {
  return createHash("sha256")
    .update(readFileSync(join(root, "package-lock.json")))
    .digest("hex");
}

/** True when every direct dependency is present. */
function complete() {
  const { dependencies, devDependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  return Object.keys({ ...dependencies, ...devDependencies }).every((name) =>
    existsSync(join(root, "node_modules", name, "package.json")),
  );
}

if (process.argv[1] === fileURLToPath(import.meta.url)) setup();
