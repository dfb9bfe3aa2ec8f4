/**
 * The load generator, a process of its own (started with `fork`): sends prepared JSON-RPC bodies over several keep-alive
 * connections, closed loop or at a stated rate, and watches new heads. It parses answers only as far as counting needs,
 * and fetches the blocks after the clock has stopped.
 */
import { readFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { WebSocket } from "ws";
import type { LoadOrder, LoadReply, LoadResult } from "./load-protocol.ts";
import type { WorkloadFile } from "./workload.ts";

const OPEN_LOOP_CONNECTIONS = 128;

const nowMs = (): number => performance.now();
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** One POST on the agent's connections. */
function post(url: URL, agent: Agent, body: string | Buffer): Promise<string> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        agent,
        hostname: url.hostname,
        port: url.port,
        method: "POST",
        path: "/",
        headers: { "content-type": "application/json", "content-length": Buffer.byteLength(body) },
      },
      (answer) => {
        const chunks: Buffer[] = [];
        answer.on("data", (chunk: Buffer) => chunks.push(chunk));
        answer.on("error", reject);
        answer.on("end", () => resolve(Buffer.concat(chunks).toString("latin1")));
      },
    );
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}

type Head = { readonly number: number; readonly atMs: number };

/** Heads as they are announced. */
class HeadWatch {
  readonly heads: Head[] = [];
  readonly #socket: WebSocket;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
  }

  static async open(wsUrl: string): Promise<HeadWatch> {
    const socket = new WebSocket(wsUrl, { perMessageDeflate: false, maxPayload: 1 << 24 });
    const watch = new HeadWatch(socket);
    await new Promise<void>((resolve, reject) => {
      socket.on("error", reject);
      socket.on("open", () =>
        socket.send('{"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["newHeads"]}', (error) => {
          if (error) reject(error);
        }),
      );
      socket.on("message", (data: Buffer) => {
        const atMs = nowMs();
        const message = JSON.parse(data.toString()) as { id?: number; params?: { result?: { number?: string } } };
        if (message.id === 1) resolve();
        const number = message.params?.result?.number;
        if (number !== undefined) watch.heads.push({ number: Number(number), atMs });
      });
    });
    return watch;
  }

  close(): void {
    this.#socket.terminate();
  }
}

type Sent = { readonly sentMs: number; readonly acceptedMs: number };
type RpcAnswer = { readonly id: number; readonly result?: string; readonly error?: { readonly message: string } };

async function run(order: LoadOrder): Promise<LoadResult> {
  const file = JSON.parse(readFileSync(order.path, "utf8")) as WorkloadFile;
  const bodies = file.lanes.map((lane) => lane.bodies.map(({ body, count }) => ({ body: Buffer.from(body), count })));
  const url = new URL(order.url);
  // An open loop must not wait for a connection: that would hide how long answers take.
  const agent = new Agent({
    keepAlive: true,
    maxSockets: order.ratePerSecond === undefined ? bodies.length : OPEN_LOOP_CONNECTIONS,
  });
  const asking = new Agent({ keepAlive: true, maxSockets: 1 });
  const ask = async (method: string, params: unknown[]): Promise<unknown> =>
    (
      JSON.parse(await post(url, asking, JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }))) as {
        result: unknown;
      }
    ).result;
  const watch = await HeadWatch.open(order.wsUrl);
  const headBefore = Number((await ask("eth_blockNumber", [])) as string);
  const times = new Map<string, Sent>();
  const refused: Record<string, number> = {};
  const answerMs: number[] = [];
  let accepted = 0;
  let sent = 0;

  const send = async (lane: number, index: number, at: number): Promise<void> => {
    const batch = bodies[lane]?.[index] as { body: Buffer; count: number };
    const hashes = file.lanes[lane]?.hashes as readonly string[];
    const sentMs = nowMs();
    sent += batch.count;
    const text = await post(url, agent, batch.body);
    const acceptedMs = nowMs();
    answerMs.push(acceptedMs - sentMs);
    if (!text.includes('"error"')) {
      accepted += batch.count;
      for (let i = 0; i < batch.count; i++) times.set(hashes[at + i] as string, { sentMs, acceptedMs });
      return;
    }
    const parsed = JSON.parse(text) as RpcAnswer | RpcAnswer[];
    const answers = Array.isArray(parsed) ? parsed : [parsed];
    if (answers.length < batch.count) {
      const message = answers[0]?.error?.message ?? "no answer";
      refused[message] = (refused[message] ?? 0) + batch.count;
      return;
    }
    for (const [i, { error }] of answers.entries())
      if (error === undefined) {
        accepted++;
        times.set(hashes[at + i] as string, { sentMs, acceptedMs });
      } else refused[error.message] = (refused[error.message] ?? 0) + 1;
  };

  const cpuBefore = process.cpuUsage();
  const startMs = nowMs();
  const { ratePerSecond } = order;
  await Promise.all(
    bodies.map(async (lane, laneIndex) => {
      const laneRate =
        ratePerSecond === undefined
          ? undefined
          : ((ratePerSecond / 1_000) * (file.lanes[laneIndex]?.hashes.length ?? 0)) / file.count;
      const waiting: Promise<void>[] = [];
      let at = 0;
      for (let index = 0; index < lane.length; index++) {
        const { count } = lane[index] as { count: number };
        if (laneRate === undefined) await send(laneIndex, index, at);
        else {
          // Connections start one after the other within a batch's time, so that a rate is not a volley.
          const offset = (count * laneIndex) / bodies.length;
          const dueMs = startMs + (at + offset) / laneRate;
          if (dueMs > nowMs()) await sleep(dueMs - nowMs());
          waiting.push(send(laneIndex, index, at));
        }
        at += count;
      }
      await Promise.all(waiting);
    }),
  );
  const ingestMs = nowMs() - startMs;

  // Wait for the blocks by counting what each new head holds.
  let counted = 0;
  let seen = 0;
  const deadlineMs = nowMs() + order.sealTimeoutMs;
  while (counted < accepted && nowMs() < deadlineMs) {
    for (; seen < watch.heads.length; seen++) {
      const { number } = watch.heads[seen] as Head;
      if (number <= headBefore) continue;
      const count = Number((await ask("eth_getBlockTransactionCountByNumber", [`0x${number.toString(16)}`])) as string);
      counted += Math.max(0, count - order.perBlockOverhead);
    }
    await sleep(5);
  }
  const cpu = process.cpuUsage(cpuBefore);
  watch.close();

  const acceptToSealedMs: number[] = [];
  const sendToSealedMs: number[] = [];
  const blocks: { number: number; transactions: number; gasUsed: number }[] = [];
  let lastSealMs = startMs;
  for (const { number, atMs } of watch.heads) {
    if (number <= headBefore) continue;
    const block = (await ask("eth_getBlockByNumber", [`0x${number.toString(16)}`, false])) as {
      transactions: string[];
      gasUsed: string;
    };
    let own = 0;
    for (const hash of block.transactions) {
      const time = times.get(hash);
      if (time === undefined) continue;
      own++;
      acceptToSealedMs.push(Math.max(0, atMs - time.acceptedMs));
      sendToSealedMs.push(atMs - time.sentMs);
      lastSealMs = Math.max(lastSealMs, atMs);
    }
    if (own > 0) blocks.push({ number, transactions: own, gasUsed: Number(block.gasUsed) });
  }
  agent.destroy();
  asking.destroy();
  return {
    sent,
    accepted,
    refused,
    ingestMs,
    sealedMs: lastSealMs - startMs,
    sealed: acceptToSealedMs.length,
    firstBlock: blocks[0]?.number ?? 0,
    lastBlock: blocks.at(-1)?.number ?? 0,
    acceptToSealedMs,
    sendToSealedMs,
    answerMs,
    blocks,
    generatorCpuMs: (cpu.user + cpu.system) / 1_000,
  };
}

process.on("message", (order: LoadOrder) => {
  run(order).then(
    (result) => process.send?.({ result } satisfies LoadReply),
    (error: unknown) =>
      process.send?.({
        error: error instanceof Error ? (error.stack ?? error.message) : String(error),
      } satisfies LoadReply),
  );
});
process.on("disconnect", () => process.exit(0));
