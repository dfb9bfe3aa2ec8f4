/**
 * Owns noticing that the leader's process is gone sooner than by its silence: a connection to the address in its claim
 * is held, and when it ends the address is called again. A call that is refused says that nobody listens there: the
 * process has died, and whoever is ready may claim at once. Anything else (no answer, a reset by something between, an
 * address that cannot be reached) says nothing; then the lease decides.
 * It is a hint and never more: who leads is settled in the log, and a claim that was made too early costs a change of
 * leaders. A leader that ends in order resigns before its port closes.
 */
import { connect, type Socket } from "node:net";
import type { Clock } from "../base/clock.ts";

/** Pause before the address is called again when a call told nothing. */
const RETRY_MS = 500;
/** The same after a connection that ended as soon as it was made: of a process that is just going. */
const AGAIN_MS = 50;
const CALL_MS = 2_000;

export type LineLeader = { readonly address: string; readonly term: number };

export class LeaderLine {
  readonly #leader: () => LineLeader | undefined;
  readonly #clock: Clock;
  /** The leadership whose process was found gone. */
  #goneTerm = 0;
  #onGone: (() => void) | undefined;

  constructor(leader: () => LineLeader | undefined, clock: Clock) {
    this.#leader = leader;
    this.#clock = clock;
  }

  /** True when the process of the leader as it is known now is gone. */
  get isGone(): boolean {
    const leader = this.#leader();
    return leader !== undefined && leader.term === this.#goneTerm;
  }

  /** Calls `listener` when a leader's process is found gone; one at a time. */
  onGone(listener: (() => void) | undefined): void {
    this.#onGone = listener;
  }

  /** Watches whoever leads until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    let wasConnected = 0;
    while (!signal.aborted) {
      const leader = this.#leader();
      const at = leader === undefined ? undefined : hostAndPortOf(leader.address);
      if (leader === undefined || at === undefined || leader.term === this.#goneTerm) {
        await this.#clock.sleep(RETRY_MS, signal);
        continue;
      }
      const startMs = this.#clock.nowMs();
      const ended = await hold(
        at,
        () => this.#leader()?.term !== leader.term,
        this.#clock,
        signal,
        () => {
          wasConnected = leader.term;
        },
      );
      if (signal.aborted) return;
      // Nobody ever answered there: an address for others, or one that is wrong.
      if (ended === "refused" && wasConnected === leader.term && this.#leader()?.term === leader.term) {
        this.#goneTerm = leader.term;
        this.#onGone?.();
      } else if (ended !== "closed") await this.#clock.sleep(RETRY_MS, signal);
      else if (this.#clock.nowMs() - startMs < RETRY_MS) await this.#clock.sleep(AGAIN_MS, signal);
    }
  }
}

function hostAndPortOf(address: string): { readonly host: string; readonly port: number } | undefined {
  if (!URL.canParse(address)) return undefined;
  const { hostname, port, protocol } = new URL(address);
  return { host: hostname.replace(/^\[|\]$/g, ""), port: Number(port) || (protocol === "https:" ? 443 : 80) };
}

/** Holds a connection until it ends, `isOver` says that it is of no use any more, or `signal` aborts. */
function hold(
  at: { readonly host: string; readonly port: number },
  isOver: () => boolean,
  clock: Clock,
  signal: AbortSignal,
  onConnected: () => void,
): Promise<"refused" | "closed" | "failed"> {
  return new Promise((resolve) => {
    const stop = new AbortController();
    const socket: Socket = connect({ ...at, noDelay: true });
    const end = (how: "refused" | "closed" | "failed"): void => {
      signal.removeEventListener("abort", onAbort);
      stop.abort();
      socket.destroy();
      resolve(how);
    };
    const onAbort = (): void => end("failed");
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) return end("failed");
    let isConnected = false;
    socket.unref();
    socket.on("error", (error: NodeJS.ErrnoException) => {
      if (isConnected) return end("closed");
      end(error.code === "ECONNREFUSED" ? "refused" : "failed");
    });
    socket.on("close", () => end(isConnected ? "closed" : "failed"));
    socket.once("connect", () => {
      isConnected = true;
      onConnected();
    });
    void (async () => {
      let ms = 0;
      while (!stop.signal.aborted) {
        await clock.sleep(RETRY_MS, stop.signal);
        ms += RETRY_MS;
        if (isOver() || (!isConnected && ms >= CALL_MS)) end("failed");
      }
    })();
  });
}
