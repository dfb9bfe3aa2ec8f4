/**
 * Owns the profile of a running process: attaches to its inspector, profiles the main thread and every worker for the
 * time of a load, and gives the self time of each function to a stage of the pipeline.
 * A function belongs to the nearest frame on its stack that a stage claims: hashing inside of decoding is decoding, a
 * state read inside of the engine is a state read. What no frame claims stays visible as "other".
 */
import { WebSocket } from "ws";

type CallFrame = { readonly functionName: string; readonly url: string; readonly lineNumber: number };
type ProfileNode = { readonly id: number; readonly callFrame: CallFrame; readonly children?: readonly number[] };
export type CpuProfile = {
  readonly nodes: readonly ProfileNode[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
  readonly startTime: number;
  readonly endTime: number;
};
export type ThreadProfile = { readonly thread: string; readonly profile: CpuProfile };

const SAMPLE_US = 250;

type Reply = { id?: number; method?: string; params?: Record<string, unknown>; result?: unknown; error?: unknown };

/** A DevTools session of a process and, through it, of its workers. */
export class Profiler {
  readonly #socket: WebSocket;
  readonly #waiting = new Map<string, (reply: Reply) => void>();
  readonly #workers = new Map<string, string>();
  #nextId = 1;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
  }

  static async attach(url: string): Promise<Profiler> {
    const socket = new WebSocket(url, { perMessageDeflate: false, maxPayload: 1 << 30 });
    await new Promise<void>((resolve, reject) => {
      socket.once("open", () => resolve());
      socket.once("error", reject);
    });
    const profiler = new Profiler(socket);
    socket.on("message", (data: Buffer) => profiler.#receive(JSON.parse(data.toString()) as Reply, ""));
    await profiler.#call("", "NodeWorker.enable", { waitForDebuggerOnStart: false });
    return profiler;
  }

  #receive(reply: Reply, session: string): void {
    if (reply.id !== undefined) {
      const key = `${session}/${reply.id}`;
      this.#waiting.get(key)?.(reply);
      this.#waiting.delete(key);
    } else if (reply.method === "NodeWorker.attachedToWorker") {
      const { sessionId, workerInfo } = reply.params as { sessionId: string; workerInfo: { title: string } };
      this.#workers.set(sessionId, workerInfo.title);
    } else if (reply.method === "NodeWorker.receivedMessageFromWorker") {
      const { sessionId, message } = reply.params as { sessionId: string; message: string };
      this.#receive(JSON.parse(message) as Reply, sessionId);
    } else if (reply.method === "NodeWorker.detachedFromWorker") {
      this.#workers.delete((reply.params as { sessionId: string }).sessionId);
    }
  }

  async #call(session: string, method: string, params: Record<string, unknown> = {}): Promise<unknown> {
    const id = this.#nextId++;
    const reply = await new Promise<Reply>((resolve) => {
      this.#waiting.set(`${session}/${id}`, resolve);
      const message = JSON.stringify({ id, method, params });
      if (session === "") this.#socket.send(message);
      else
        this.#socket.send(
          JSON.stringify({
            id: this.#nextId++,
            method: "NodeWorker.sendMessageToWorker",
            params: { sessionId: session, message },
          }),
        );
    });
    if (reply.error !== undefined) throw new Error(`${method}: ${JSON.stringify(reply.error)}`);
    return reply.result;
  }

  get #sessions(): string[] {
    return ["", ...this.#workers.keys()];
  }

  async start(): Promise<void> {
    for (const session of this.#sessions) {
      await this.#call(session, "Profiler.enable");
      await this.#call(session, "Profiler.setSamplingInterval", { interval: SAMPLE_US });
      await this.#call(session, "Profiler.start");
    }
  }

  async stop(): Promise<ThreadProfile[]> {
    const profiles: ThreadProfile[] = [];
    for (const session of this.#sessions) {
      const { profile } = (await this.#call(session, "Profiler.stop")) as { profile: CpuProfile };
      profiles.push({ thread: session === "" ? "main" : (this.#workers.get(session) ?? session), profile });
    }
    return profiles;
  }

  close(): void {
    this.#socket.terminate();
  }
}

/** Stages in the order of a transaction's way; the first pattern that fits a frame claims it. */
const STAGES: readonly (readonly [stage: string, pattern: RegExp])[] = [
  ["HTTP + JSON-RPC", /src\/rpc\//],
  ["decode", /src\/protocol\/transaction-codec/],
  ["sender recovery", /src\/protocol\/(sender|secp256k1)|node_modules\/secp256k1|src\/gateway\/recovery/],
  ["gateway intake", /src\/gateway\//],
  ["pool", /src\/lane\/pool/],
  ["lane + lane log", /src\/lane\/|src\/log\//],
  ["orderer + order log", /src\/orderer\/|src\/protocol\/cut/],
  ["engine (library)", /node_modules\/@ethereumjs|src\/execution\/wasm|vm\/build|^wasm:/],
  ["engine (ours around it)", /src\/execution\/(ethereumjs|journaled)/],
  ["state reads", /src\/execution\/overlay|src\/state\/(versioned-table|byte-cache|account-record|memtable)/],
  ["trie + state commit", /src\/state\/|src\/keyshard\//],
  ["store", /src\/store\/|node_modules\/(lmdb|msgpackr|weak-lru)/],
  [
    "receipts + block",
    /src\/execution\/block-execution|src\/protocol\/(receipt|bloom|ordered-trie|header|block|l1-fee)/,
  ],
  ["executor + sealer", /src\/executor\/|src\/sealer\/|src\/node\//],
  ["publisher", /src\/publisher\/|src\/da\/|src\/protocol\/(segment|blob|varint)/],
  ["L1 access, KZG", /src\/l1\/|src\/proposer\/|node_modules\/viem|@crate-crypto|undici/],
  ["verifier", /src\/verifier\/|src\/protocol\/derivation/],
  ["metrics + logs", /src\/base\/(metrics|log)|node_modules\/(prom-client|pino)/],
];
/** Claimed only where no frame above is anyone's: the platform's network code serves both sides. */
const WEAK: readonly (readonly [stage: string, pattern: RegExp])[] = [
  ["HTTP + JSON-RPC", /node:_?http|node:net|node:internal\/(stream|http)|node:_stream|node_modules\/ws\//],
];
const ROOTED: readonly (readonly [stage: string, pattern: RegExp])[] = [
  // Whatever runs below these is theirs, engine and trie included: a second execution is not the sequencer's.
  ["verifier", /src\/verifier\//],
  ["publisher", /src\/publisher\//],
];

export const GARBAGE = "garbage collection";
export const OTHER = "other";
const IDLE = new Set(["(idle)", "(root)"]);

export type StageTimes = { readonly stages: ReadonlyMap<string, number>; readonly busyUs: number };

/** Self time by stage in microseconds. */
export function stageTimes(profile: CpuProfile): StageTimes {
  const parents = new Map<number, ProfileNode>();
  const nodes = new Map<number, ProfileNode>();
  for (const node of profile.nodes) {
    nodes.set(node.id, node);
    for (const child of node.children ?? []) parents.set(child, node);
  }
  const stageOf = new Map<number, string | undefined>();
  const classify = (node: ProfileNode): string | undefined => {
    if (stageOf.has(node.id)) return stageOf.get(node.id);
    const { functionName, url } = node.callFrame;
    let stage: string | undefined;
    if (IDLE.has(functionName)) stage = undefined;
    else if (functionName === "(garbage collector)") stage = GARBAGE;
    else {
      const parent = parents.get(node.id);
      const inherited = parent === undefined ? undefined : classify(parent);
      const rooted = ROOTED.find(([name]) => name === inherited)?.[0] ?? ROOTED.find(([, p]) => p.test(url))?.[0];
      stage =
        rooted ??
        STAGES.find(([, p]) => p.test(url))?.[0] ??
        (inherited === OTHER ? undefined : inherited) ??
        WEAK.find(([, p]) => p.test(url))?.[0] ??
        OTHER;
    }
    stageOf.set(node.id, stage);
    return stage;
  };
  const stages = new Map<string, number>();
  let busyUs = 0;
  for (let i = 0; i < profile.samples.length; i++) {
    const node = nodes.get(profile.samples[i] as number);
    if (node === undefined) continue;
    const stage = classify(node);
    if (stage === undefined) continue;
    // A delta is the time up to its sample; what follows the sample belongs to it.
    const us = Math.max(0, profile.timeDeltas[i + 1] ?? 0);
    stages.set(stage, (stages.get(stage) ?? 0) + us);
    busyUs += us;
  }
  return { stages, busyUs };
}

/** The functions with the most self time, with their stage, for finding what to improve. */
export function hottest(profile: CpuProfile, count: number): { readonly name: string; readonly us: number }[] {
  const nodes = new Map(profile.nodes.map((n) => [n.id, n]));
  const times = new Map<string, number>();
  for (let i = 0; i < profile.samples.length; i++) {
    const frame = nodes.get(profile.samples[i] as number)?.callFrame;
    if (frame === undefined || IDLE.has(frame.functionName)) continue;
    const file = frame.url.replace(/^.*\/(src|node_modules)\//, "$1/").replace(/^file:\/\//, "");
    const name = `${frame.functionName || "(anonymous)"} ${file}:${frame.lineNumber + 1}`;
    times.set(name, (times.get(name) ?? 0) + Math.max(0, profile.timeDeltas[i + 1] ?? 0));
  }
  return [...times]
    .map(([name, us]) => ({ name, us }))
    .sort((a, b) => b.us - a.us)
    .slice(0, count);
}
