/**
 * Owns `sheaf status --config`: every process of a network file, from whatever machine it is asked: whether it answers
 * and is ready, its heads and how far they are behind, who leads, who of several does the work, and how long its
 * certificate is valid, where it is at hand. Asked over the ports that the file names, all at once.
 */
import { systemClock } from "../base/clock.ts";
import { JsonRpcClient } from "../l1/json-rpc.ts";
import { type Network, type ProcessSpec, readNetwork } from "../node/network-file.ts";
import { certificateFileEndMs } from "../node/pki.ts";
import type { CommandContext } from "./context.ts";
import { renderTable } from "./table.ts";

export type ProcessStatus = {
  readonly process: string;
  readonly cluster: string | undefined;
  readonly roles: readonly string[];
  /** "ready", or why not. */
  readonly state: string;
  /** `leads`, `stands by`, `follows` (and is not ready to lead): of a sequencer; `works`, `stands by`: of a role that one of several does. */
  readonly part: string | undefined;
  readonly latest: number | undefined;
  readonly safe: number | undefined;
  readonly finalized: number | undefined;
  /** Blocks behind the newest of the cluster; of sequencers that follow, order records not replayed too. */
  readonly behindBlocks: number | undefined;
  readonly behindRecords: number | undefined;
  readonly certificateDays: number | undefined;
};

const ASK_MS = 3_000;
const DAY_MS = 86_400_000;
const REASON_CHARACTERS_MAX = 60;

export async function networkStatus(file: string, asJson: boolean, context: CommandContext): Promise<void> {
  const network = readNetwork(file);
  const found = withLag(await Promise.all(network.processes.map((p) => statusOf(network, p))));
  if (asJson) return context.out(JSON.stringify({ network: network.network, processes: found }, null, 2));
  const text = (value: number | undefined): string => (value === undefined ? "" : String(value));
  context.out(
    renderTable(
      ["process", "roles", "part", "latest", "safe", "finalized", "behind", "certificate", "state"],
      found.map((s) => [
        ...[s.process, s.roles.join("+"), s.part ?? "", text(s.latest), text(s.safe), text(s.finalized)],
        s.behindRecords ? `${s.behindBlocks ?? 0} (${s.behindRecords} records)` : text(s.behindBlocks),
        s.certificateDays === undefined ? "" : `${s.certificateDays} days`,
        s.state.slice(0, REASON_CHARACTERS_MAX),
      ]),
    ),
  );
}

async function statusOf(network: Network, p: ProcessSpec): Promise<ProcessStatus> {
  const has = (role: string): boolean => p.roles.some((r) => r === role);
  const rpc = p.rpc === undefined ? undefined : new JsonRpcClient({ url: `http://${p.rpc}`, timeoutMs: ASK_MS });
  const [state, metrics, latest, safe, finalized, standing] = await Promise.all([
    readiness(p, rpc),
    get(p, "metrics"),
    head(rpc, "latest"),
    has("l1") ? undefined : head(rpc, "safe"),
    has("l1") ? undefined : head(rpc, "finalized"),
    has("sequencer") ? (ask(rpc, "sheaf_leader") as Promise<Standing | undefined>) : undefined,
  ]);
  const works = /^sheaf_role_works\{[^}]*\} (\d)$/m.exec(metrics?.text ?? "")?.[1];
  const endMs = p.cluster === undefined ? undefined : certificateFileEndMs(network, p);
  return {
    ...{ process: p.name, cluster: p.cluster, roles: p.roles, state, latest, safe, finalized },
    part:
      standing !== undefined
        ? standing.leads
          ? "leads"
          : standing.stands
            ? "stands by"
            : "follows"
        : works === undefined
          ? undefined
          : works === "1"
            ? "works"
            : "stands by",
    behindBlocks: undefined,
    behindRecords: standing?.behindRecords,
    certificateDays: endMs === undefined ? undefined : Math.floor((endMs - systemClock.nowMs()) / DAY_MS),
  };
}

type Standing = { readonly leads: boolean; readonly stands: boolean; readonly behindRecords?: number };

/** Behind the newest block that any process of the same cluster has. */
function withLag(all: readonly ProcessStatus[]): ProcessStatus[] {
  const newest = new Map<string, number>();
  for (const { cluster, latest } of all)
    if (cluster !== undefined && latest !== undefined)
      newest.set(cluster, Math.max(latest, newest.get(cluster) ?? latest));
  return all.map((s) =>
    s.cluster === undefined || s.latest === undefined
      ? s
      : { ...s, behindBlocks: (newest.get(s.cluster) ?? s.latest) - s.latest },
  );
}

async function readiness(p: ProcessSpec, rpc: JsonRpcClient | undefined): Promise<string> {
  if (p.health === undefined)
    return rpc === undefined || (await ask(rpc, "eth_chainId")) === undefined ? "does not answer" : "answers";
  const answer = await get(p, "readyz");
  if (answer === undefined) return "does not answer";
  return answer.ok ? "ready" : answer.text.trim().split("\n").join("; ");
}

async function get(p: ProcessSpec, path: string): Promise<{ ok: boolean; text: string } | undefined> {
  if (p.health === undefined) return undefined;
  try {
    const answer = await fetch(`http://${p.health}/${path}`, { signal: AbortSignal.timeout(ASK_MS) });
    return { ok: answer.ok, text: await answer.text() };
  } catch {
    return undefined;
  }
}

async function ask(rpc: JsonRpcClient | undefined, method: string, params: readonly unknown[] = []): Promise<unknown> {
  return rpc?.call(method, [...params]).catch(() => undefined);
}

async function head(rpc: JsonRpcClient | undefined, tag: string): Promise<number | undefined> {
  const block = (await ask(rpc, "eth_getBlockByNumber", [tag, false])) as { number: string } | null | undefined;
  return block === undefined || block === null ? undefined : Number(block.number);
}
