/**
 * Owns the presence of nats-server, which tests of replicated logs run three of: installs Debian's package where this
 * user may, and else says so; those tests are skipped then.
 */
import { spawnSync } from "node:child_process";

const run = (command, args) => spawnSync(command, args, { stdio: ["ignore", "pipe", "pipe"], encoding: "utf8" });
const version = () => {
  const { status, stdout } = run("nats-server", ["--version"]);
  return status === 0 ? stdout.trim() : undefined;
};

function install() {
  if (run("apt-get", ["--version"]).status !== 0) return "there is no apt-get here";
  if (process.getuid?.() !== 0) return "apt-get install nats-server needs root";
  // A lock that another installation holds is waited for.
  const options = ["-o", "DPkg::Lock::Timeout=120", "-y", "--no-install-recommends"];
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  let reason;
  for (const args of [["install", ...options, "nats-server"], ["update"], ["install", ...options, "nats-server"]]) {
    const done = spawnSync("apt-get", args, { stdio: ["ignore", "pipe", "pipe"], encoding: "utf8", env });
    if (args[0] === "install" && done.status === 0) return undefined;
    if (args[0] === "install") reason = done.stderr.trim().split("\n").at(-1);
  }
  return reason;
}

if (version() === undefined) {
  console.error("installing nats-server (once) …");
  const reason = install();
  if (version() === undefined)
    console.error(`nats-server is not installed, tests of replicated logs are skipped: ${reason}`);
}
