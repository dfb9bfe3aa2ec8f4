/** `sheaf admin`: what an operator changes on a running node, over the socket in the node's data folder. */
import { existsSync } from "node:fs";
import { request } from "node:http";
import { resolve } from "node:path";
import { type Command, InvalidArgumentError } from "commander";
import { systemClock } from "../base/clock.ts";
import { CodedError, defineErrors } from "../base/error.ts";
import { HAND_OVER, KEY_SHARDS, type KeyShardsView } from "../node/admin-resources.ts";
import { adminError, adminSocketPath } from "../node/admin-socket.ts";
import type { CommandContext } from "./context.ts";

export const adminCommandError = defineErrors("AdminCommand", {
  ADMIN_NO_NODE: {
    summary: "No running node has its admin socket in the folder.",
    action: "Name the data folder of one node (of a devnet: .sheaf/cluster-901), and run as its user.",
    retryable: false,
  },
});

const POLL_MS = 250;

export function addAdminCommand(program: Command, context: CommandContext): void {
  const admin = program
    .command("admin")
    .description("steer a running node, over the socket in its data folder (also: curl --unix-socket)");
  admin
    .command("key-shards")
    .description("how many key shards hold the state; with a number, spread it over as many while blocks go on")
    .argument("<folder>", "data folder of the node")
    .argument("[count]", "key shards from now on", readCount)
    .option("--wait", "until everything is where it is to be")
    .option("--json", "machine-readable output")
    .action(async (folder: string, count: number | undefined, options: { wait?: boolean; json?: boolean }) => {
      let view = (await call(
        folder,
        count === undefined ? "GET" : "PUT",
        KEY_SHARDS,
        count === undefined ? undefined : { count },
      )) as KeyShardsView;
      while (options.wait === true && !view.settled && !context.signal.aborted) {
        await systemClock.sleep(POLL_MS, context.signal);
        view = (await call(folder, "GET", KEY_SHARDS)) as KeyShardsView;
      }
      if (options.json === true) context.out(JSON.stringify(view));
      else
        context.out(
          `${view.shards} key shards hold the state${view.settled ? "" : `, ${view.target} are to: bytes are moving`}`,
        );
    });
  admin
    .command("hand-over")
    .description("give the lead to another node that is ready")
    .argument("<folder>", "data folder of the node that leads")
    .action(async (folder: string) => {
      await call(folder, "POST", HAND_OVER);
      context.out("the lead is handed over");
    });
}

function readCount(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1) throw new InvalidArgumentError("want a whole number above 0");
  return count;
}

/** @throws {AdminCommandError} ADMIN_NO_NODE @throws {AdminError} what the node says */
function call(folder: string, method: string, path: string, body?: object): Promise<unknown> {
  const socketPath = adminSocketPath(resolve(folder));
  if (!existsSync(socketPath)) throw adminCommandError("ADMIN_NO_NODE", `${socketPath} is not there`, { socketPath });
  return new Promise((done, fail) => {
    const refused = (cause: Error): void =>
      fail(adminCommandError("ADMIN_NO_NODE", `${socketPath} does not answer`, { socketPath }, { cause }));
    const sent = request({ socketPath, method, path: `/${path}` }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("error", refused);
      response.on("end", () => {
        try {
          const answer = JSON.parse(text) as { code?: string; message?: string };
          if (response.statusCode === 200) return done(answer);
          const message = answer.message ?? text;
          fail(
            answer.code === "ADMIN_UNKNOWN"
              ? adminError("ADMIN_UNKNOWN", strip(message))
              : adminError("ADMIN_INVALID", strip(message)),
          );
        } catch (error) {
          if (error instanceof CodedError) fail(error);
          else refused(error as Error);
        }
      });
    });
    sent.on("error", refused);
    sent.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

/** A coded error's message begins with its code, which is said again here. */
function strip(message: string): string {
  return message.replace(/^ADMIN_[A-Z]+: /, "");
}
