/**
 * Owns finding a TCP port for a server that is started later, or again: below the range that outgoing connections take
 * theirs from, so that none of them sits on it meanwhile, and never one that another process gives out. A process gives
 * ports out of blocks of its own: it listens on the first port of a block for as long as it lives, which no other
 * process can do then, and which ends with the process however it ends.
 */
import { createServer, type Server } from "node:net";
import { listen } from "./listen.ts";

const FIRST = 10_000;
const BLOCKS = 400;
const BLOCK_PORTS = 50;
let next = 0;
let end = 0;
/** One caller at a time: two must not be given the same port. */
let turn: Promise<unknown> = Promise.resolve();

/** A port of loopback that nobody listens on, and that this process alone gives out. */
export function freePort(): Promise<number> {
  const found = turn.then(find);
  turn = found.catch(() => undefined);
  return found;
}

async function find(): Promise<number> {
  for (;;) {
    if (next === end) await claimBlock();
    const port = next++;
    const server = await take(port);
    if (server === undefined) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
}

/** Blocks of before stay claimed: their ports are in use. */
async function claimBlock(): Promise<void> {
  const start = Math.floor(Math.random() * BLOCKS);
  for (let i = 0; i < BLOCKS; i++) {
    const first = FIRST + ((start + i) % BLOCKS) * BLOCK_PORTS;
    const server = await take(first);
    if (server === undefined) continue;
    server.unref(); // it is no reason to live on
    next = first + 1;
    end = first + BLOCK_PORTS;
    return;
  }
  throw new Error(`no free TCP ports from ${FIRST} to ${FIRST + BLOCKS * BLOCK_PORTS}`);
}

/** A server on `port`; undefined when somebody has it. */
async function take(port: number): Promise<Server | undefined> {
  const server = createServer((socket) => socket.destroy());
  try {
    await listen(server, port, "127.0.0.1");
    return server;
  } catch {
    return undefined;
  }
}
