/**
 * Owns bringing build products up to date before a start: compiled contracts and the VM. Each script knows by content
 * hash whether there is anything to do, so a warm start pays a fraction of a second.
 */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { defineErrors } from "../base/error.ts";

export const buildError = defineErrors("Build", {
  BUILD_FAILED: {
    summary: "A build script of the repository failed.",
    action: "Read its output above; run it alone with npm run contracts or npm run build:vm.",
    retryable: false,
  },
});

const SCRIPTS = ["contracts.ts", "build-vm.ts"];

/** Runs the build scripts side by side. @throws {BuildError} BUILD_FAILED */
export async function buildStale(): Promise<void> {
  await Promise.all(
    SCRIPTS.map((name) => fileURLToPath(new URL(`../../scripts/${name}`, import.meta.url)))
      .filter((path) => existsSync(path))
      .map(
        (path) =>
          new Promise<void>((resolve, reject) => {
            const child = spawn(process.execPath, ["--import", "tsx", path], {
              stdio: ["ignore", "ignore", "inherit"],
            });
            child.once("error", reject);
            child.once("close", (code) =>
              code === 0 ? resolve() : reject(buildError("BUILD_FAILED", `${path} ended with ${code}`, { path })),
            );
          }),
      ),
  );
}
