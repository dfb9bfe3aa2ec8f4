/**
 * Owns the network file: one YAML document that says where L1 is, which clusters stand on it, and which processes run
 * which roles where. It holds names of key files and never keys, so it can be shown, kept in version control and copied
 * to every machine. Everything wrong with it is told at once, with line, path and what to do.
 * Paths in it are relative to it.
 * @see docs/reference/network.md, generated from the descriptions here
 */
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { isNode, LineCounter, parseDocument } from "yaml";
import { z } from "zod";
import { CONFIG_MAPS, type Field } from "../base/config.ts";
import { CodedError, defineErrors } from "../base/error.ts";
import { NAME_PATTERN } from "../link/certificate.ts";
import "./settings.ts";

export const networkError = defineErrors("Network", {
  NETWORK_FILE_MISSING: {
    summary: "The network file cannot be read.",
    action: "Name it with --config; `sheaf init` writes one.",
    retryable: false,
  },
  NETWORK_FILE_INVALID: {
    summary: "The network file does not describe a network.",
    action: "Correct the lines that the message names; docs/reference/network.md describes every field.",
    retryable: false,
  },
  NETWORK_NO_PROCESS: {
    summary: "The network file has no such process, or several that fit.",
    action: "Name one with --name; the message lists them.",
    retryable: false,
  },
  NETWORK_KEY_FILE: {
    summary: "A key file is missing, holds something else, or may be read by others.",
    action: "Make it again, or take the rights of others away (chmod 600).",
    retryable: false,
  },
});

/**
 * What a process may be asked to run. `sequencer` is gateway, lane, orderer, executor, key shard, sealer and a verifier
 * of its own in one; `l1` is a development L1.
 */
export const ROLES = ["l1", "sequencer", "executor", "verifier", "proposer", "publisher"] as const;
export type RoleName = (typeof ROLES)[number];

const PORT_MAX = 65_535;
/** `host:port`; IPv6 hosts in brackets. */
const address = z
  .string()
  .regex(/^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):\d{1,5}$/, "want host:port, as 127.0.0.1:9545")
  .refine((text) => Number(text.slice(text.lastIndexOf(":") + 1)) <= PORT_MAX, "want a port up to 65535");
const name = z.string().regex(NAME_PATTERN, "want up to 63 lower-case letters, digits and -, not starting with -");
const url = z.url("want a URL, as http://127.0.0.1:8545");
const path = z.string().min(1, "want a path");
const variables = z.record(
  z.string().regex(/^SHEAF_[A-Z0-9_]+$/, "want a variable of docs/reference/config.md, as SHEAF_EXECUTORS"),
  z.union([z.string(), z.number(), z.boolean()]),
);

const processSchema = z.strictObject({
  cluster: name.optional().describe("The cluster it works for; not for `l1`."),
  roles: z
    .array(z.enum(ROLES))
    .min(1)
    .describe("What it does. `proposer` needs `verifier` or `sequencer` beside it; `l1` and `executor` stand alone."),
  dataDir: path.optional().describe("Its folder; default: its name, below the network's `dataDir`."),
  links: address.optional().describe("Where other processes reach it; needed by `sequencer` and `verifier`."),
  linksListen: address.optional().describe("Where it listens for them, when that is another address; default `links`."),
  rpc: address.optional().describe("JSON-RPC of a `sequencer` (its gateway) or of a `verifier`; port of an `l1`."),
  verifierRpc: address.optional().describe("JSON-RPC of the verifier inside of a `sequencer`."),
  health: address.optional().describe("/livez, /readyz and /metrics."),
  keys: z
    .strictObject({
      posters: z.array(path).min(1).optional().describe("Key files of the publisher's L1 accounts."),
      proposer: path.optional().describe("Key file of the proposer's L1 account."),
    })
    .optional()
    .describe("Files with one private key each, as hex, for their owner alone (0600)."),
  certificate: path.optional().describe("Its certificate; default `<pki>/<process>.crt`."),
  certificateKey: path.optional().describe("Its key file; default `<pki>/<process>.key`."),
  settings: variables.optional().describe("Settings of this process; they win over the network's."),
});

export const networkSchema = z.strictObject({
  version: z.literal(1).describe("Of this format."),
  network: name.describe("Its name: part of every certificate."),
  dataDir: path.describe("Folder of the processes' folders."),
  pki: path.describe("Folder of certificates: `authority.crt`, and what `sheaf pki issue` writes."),
  l1: z
    .strictObject({
      chainId: z.int().min(1).describe("Of L1."),
      rpc: z.array(url).min(1).describe("JSON-RPC endpoints, in order of preference."),
      beacon: url.describe("Beacon API, for blobs."),
    })
    .describe("The settlement layer."),
  logs: z
    .strictObject({
      servers: z.array(address).min(1).describe("NATS servers with JetStream; the first that answers is used."),
      replicas: z.int().min(1).max(5).optional().describe("Servers that hold each log; default 3."),
      tls: z.boolean().optional().describe("Whether the servers are called with TLS."),
      tokenFile: path.optional().describe("File with the token they ask for, for its owner alone (0600)."),
    })
    .optional()
    .describe("Log servers of all clusters; without them logs are files of each sequencer."),
  clusters: z
    .record(
      name,
      z.strictObject({
        chainId: z.int().min(1).describe("Of the cluster."),
        inbox: z
          .string()
          .regex(/^0x[0-9a-fA-F]{40}$/, "want an address in quotes, 0x and 40 hex digits")
          .describe("Its inbox contract on L1; everything else about it stands in the genesis published there."),
      }),
    )
    .describe("By name."),
  settings: variables.optional().describe("Settings of all processes, as in docs/reference/config.md; no secrets."),
  processes: z.record(name, processSchema).describe("By name."),
});

type Parsed = z.infer<typeof networkSchema>;
export type ProcessSpec = Omit<Parsed["processes"][string], "roles"> & {
  readonly name: string;
  readonly roles: readonly RoleName[];
};
export type Network = Omit<Parsed, "processes"> & {
  /** Folder of the file: what its paths are relative to. */
  readonly folder: string;
  readonly path: string;
  readonly processes: readonly ProcessSpec[];
};

type Problem = { readonly path: readonly PropertyKey[]; readonly message: string };

/** Reads and checks the file. @throws {NetworkError} with everything that is wrong */
export function readNetwork(file: string): Network {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (cause) {
    throw networkError("NETWORK_FILE_MISSING", `${file} cannot be read`, { file }, { cause });
  }
  return parseNetwork(text, resolve(file));
}

/** @throws {NetworkError} NETWORK_FILE_INVALID */
export function parseNetwork(text: string, file: string): Network {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, maxAliasCount: 0 } as never);
  const [broken] = document.errors;
  if (broken !== undefined)
    throw invalid(file, [`line ${broken.linePos?.[0].line ?? "?"}: ${broken.message.split("\n")[0]}`]);
  const lineOf = (at: readonly PropertyKey[]): number => {
    for (let length = at.length; length > 0; length--) {
      const node = document.getIn(at.slice(0, length), true);
      if (isNode(node) && node.range) return lines.linePos(node.range[0]).line;
    }
    return 1;
  };
  const tell = (problems: readonly Problem[]): Error =>
    invalid(
      file,
      problems.map((p) => `line ${lineOf(p.path)}, ${p.path.map(String).join(".") || "the file"}: ${p.message}`),
    );
  const parsed = networkSchema.safeParse(document.toJS());
  if (!parsed.success) throw tell(parsed.error.issues.flatMap(told));
  const problems = contradictions(parsed.data);
  if (problems.length > 0) throw tell(problems);
  const { processes, ...rest } = parsed.data;
  return {
    ...rest,
    path: file,
    folder: dirname(file),
    processes: Object.entries(processes).map(([processName, spec]) => ({ ...spec, name: processName })),
  };
}

function invalid(file: string, problems: readonly string[]): Error {
  return networkError("NETWORK_FILE_INVALID", `${file}:\n${problems.map((p) => `  ${p}`).join("\n")}`, { file });
}

/** zod's words in ours, where they would not say what to do. */
function told(issue: z.core.$ZodIssue): Problem[] {
  if (issue.code === "unrecognized_keys")
    return issue.keys.map((key) => ({ path: [...issue.path, key], message: "is no field; check its spelling" }));
  if (issue.code === "invalid_key")
    return issue.issues.map((inner) => ({ path: issue.path, message: `as a name: ${inner.message}` }));
  if (issue.code === "invalid_type" && issue.input === undefined) return [{ path: issue.path, message: "is missing" }];
  return [{ path: issue.path, message: issue.message }];
}

/** What no schema sees: references, roles that do not go together, settings, ports used twice. */
function contradictions(network: Parsed): Problem[] {
  const problems: Problem[] = [];
  const fields = new Map<string, Field<unknown>>();
  for (const map of CONFIG_MAPS.values()) for (const field of Object.values(map)) fields.set(field.env, field);
  const checkSettings = (at: readonly PropertyKey[], settings: Parsed["settings"]): void => {
    for (const [variable, value] of Object.entries(settings ?? {})) {
      const field = fields.get(variable);
      const wrong =
        field === undefined ? "is not a setting; docs/reference/config.md lists them" : refused(field, value);
      if (wrong !== undefined) problems.push({ path: [...at, "settings", variable], message: wrong });
    }
  };
  checkSettings([], network.settings);
  const taken = new Map<string, string>();
  for (const [processName, spec] of Object.entries(network.processes)) {
    const at = ["processes", processName];
    const has = (role: RoleName): boolean => spec.roles.includes(role);
    const say = (field: string, message: string): void => {
      problems.push({ path: [...at, field], message });
    };
    checkSettings(at, spec.settings);
    if (new Set(spec.roles).size < spec.roles.length) say("roles", "names a role twice");
    for (const alone of ["l1", "executor"] as const)
      if (has(alone) && spec.roles.length > 1) say("roles", `${alone} runs in a process of its own`);
    if (has("l1")) {
      if (spec.cluster !== undefined) say("cluster", "an l1 belongs to no cluster; leave it out");
      if (spec.rpc === undefined) say("rpc", "is missing: where the l1 listens");
    } else if (spec.cluster === undefined) say("cluster", "is missing: which cluster it works for");
    else if (!Object.hasOwn(network.clusters, spec.cluster))
      say("cluster", `there is no cluster ${spec.cluster}; there are ${Object.keys(network.clusters).join(", ")}`);
    if (has("proposer") && !has("verifier") && !has("sequencer"))
      say("roles", "a proposer needs the verifier whose outputs it posts in its process: add verifier");
    if (has("proposer") && spec.keys?.proposer === undefined) say("keys", "is missing `proposer`: its key file");
    if (has("publisher") && spec.keys?.posters === undefined) say("keys", "is missing `posters`: its key files");
    if (!has("proposer") && spec.keys?.proposer !== undefined) say("keys", "has a key for `proposer`, which it is not");
    if (!has("publisher") && spec.keys?.posters !== undefined) say("keys", "has keys for `publisher`, which it is not");
    for (const role of ["sequencer", "verifier"] as const)
      if (has(role)) {
        if (spec.rpc === undefined) say("rpc", `is missing: where the ${role}'s JSON-RPC listens`);
        if (spec.links === undefined) say("links", "is missing: where other processes reach it");
      }
    if (has("sequencer") && has("verifier"))
      say("roles", "a sequencer has a verifier of its own: leave verifier out, `verifierRpc` says where it listens");
    if ((has("executor") || (has("publisher") && !has("sequencer"))) && spec.cluster !== undefined)
      if (!Object.values(network.processes).some((p) => p.cluster === spec.cluster && p.roles.includes("sequencer")))
        say("cluster", `no process is sequencer of ${spec.cluster}`);
    if (spec.cluster !== undefined) for (const problem of sharedRoles(network, processName)) say(...problem);
    for (const field of ["linksListen", "links", "rpc", "verifierRpc", "health"] as const) {
      const value = spec[field];
      if (value === undefined || (field === "links" && spec.linksListen !== undefined)) continue;
      const other = taken.get(value);
      if (other !== undefined) say(field, `${value} is taken by ${other}`);
      taken.set(value, `${processName}'s ${field}`);
    }
  }
  return problems;
}

/**
 * Publishers and proposers of which a cluster has several: who works is settled in a log, and the accounts are shared, so
 * that what two of them send competes for the same nonces. Beside sequencers the one that leads works.
 */
function sharedRoles(network: Parsed, name: string): ["roles" | "keys", string][] {
  const problems: ["roles" | "keys", string][] = [];
  const { cluster, roles, keys } = network.processes[name] as Parsed["processes"][string];
  const others = Object.entries(network.processes).filter(([other, p]) => p.cluster === cluster && other !== name);
  for (const role of ["publisher", "proposer"] as const) {
    const [same] = others.filter(([, p]) => p.roles.includes(role));
    if (!roles.includes(role) || same === undefined) continue;
    const [other, spec] = same;
    if (network.logs === undefined && network.settings?.["SHEAF_LOG"] !== "nats")
      problems.push(["roles", `${other} is ${role} of ${cluster} already; several take log servers: \`logs\``]);
    if (spec.roles.includes("sequencer") !== roles.includes("sequencer"))
      problems.push([
        "roles",
        `a ${role} runs beside sequencers or apart from them, not both: ${other} is the other kind`,
      ]);
    const [own, theirs] = [keys, spec.keys].map((k) => (role === "publisher" ? k?.posters : [k?.proposer])?.join(", "));
    if (own !== theirs) problems.push(["keys", `${other} is ${role} too and has other accounts: ${theirs}`]);
  }
  return problems;
}

function refused(field: Field<unknown>, value: string | number | boolean): string | undefined {
  if (field.secret === true) return "is a secret: set it in the environment of the process";
  try {
    field.parse(String(value));
    return undefined;
  } catch (error) {
    if (error instanceof CodedError) return error.message;
    throw error;
  }
}

/** The process of this name, or the only one with exactly these roles. @throws {NetworkError} NETWORK_NO_PROCESS */
export function findProcess(
  network: Network,
  wanted: { readonly name?: string | undefined; readonly roles: readonly string[] },
): ProcessSpec {
  const same = (p: ProcessSpec): boolean =>
    p.roles.length === wanted.roles.length && p.roles.every((role) => wanted.roles.includes(role));
  const found = network.processes.filter(
    (p) => (wanted.name === undefined || p.name === wanted.name) && (wanted.roles.length === 0 || same(p)),
  );
  const [only] = found;
  if (only !== undefined && found.length === 1) return only;
  const list = network.processes.map((p) => `${p.name} (${p.roles.join(", ")})`).join("; ");
  const asked = [wanted.name, wanted.roles.join(", ")].filter((part) => part !== undefined && part !== "").join(" as ");
  throw networkError(
    "NETWORK_NO_PROCESS",
    `${found.length === 0 ? "no process is" : `${found.length} processes are`} ${asked || "named"}; there are ${list}`,
  );
}

/** Processes of the cluster that have the role, in the order of the file. */
export function processesOf(network: Network, cluster: string, role: RoleName): readonly ProcessSpec[] {
  return network.processes.filter((p) => p.cluster === cluster && p.roles.includes(role));
}

export function hostAndPort(text: string): { readonly host: string; readonly port: number } {
  const at = text.lastIndexOf(":");
  return { host: text.slice(0, at).replace(/^\[|\]$/g, ""), port: Number(text.slice(at + 1)) };
}

/**
 * Environment of a process: its own variables win, then its settings in the file, then the network's. The token of log
 * servers is not in it: see `logTokenOf`.
 */
export function environmentOf(
  network: Network,
  process: ProcessSpec,
  env: Readonly<Record<string, string | undefined>>,
): Record<string, string | undefined> {
  const texts = (settings: Parsed["settings"]): Record<string, string> =>
    Object.fromEntries(Object.entries(settings ?? {}).map(([key, value]) => [key, String(value)]));
  const { logs } = network;
  const log: Record<string, string> =
    logs === undefined
      ? {}
      : {
          SHEAF_LOG: "nats",
          SHEAF_LOG_NATS_SERVERS: logs.servers.map((s) => (logs.tls === true ? `tls://${s}` : s)).join(","),
          ...(logs.replicas === undefined ? {} : { SHEAF_LOG_NATS_REPLICAS: String(logs.replicas) }),
        };
  return { ...log, ...texts(network.settings), ...texts(process.settings), ...env };
}

/** Folder of the process's data. */
export function dataDirOf(network: Network, process: ProcessSpec): string {
  return resolve(network.folder, process.dataDir ?? `${network.dataDir}/${process.name}`);
}
