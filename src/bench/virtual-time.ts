/**
 * Owns virtual time: sites (threads of a cluster that is not there) run real code, one turn at a time, and what a turn
 * cost decides when its messages leave. Time passes only for turns and messages. Sites share the processors of a machine
 * of one's choice; a message takes latency, bandwidth and processor time of both ends.
 * Invariant: a turn starts when its site is free and a message has arrived, takes all that have arrived by then, and
 * ends after its cost at the speed the busy sites leave it. The same costs give the same schedule.
 */
import { assert } from "../base/assert.ts";

export type Network = {
  /** One way. */
  readonly latencyMicros: number;
  readonly bytesPerMicro: number;
  /** Processor time of whoever sends or receives a message, beyond handling it. */
  readonly messageMicros: number;
};

export type Processors = {
  readonly cores: number;
  /** Speed of a thread while another one is busy too, as a share of its speed alone: shared caches and units cost some. */
  readonly pairedSpeed: number;
};

/** As many cores as there are sites, none of which slows another. */
export const OWN_CORES: Processors = { cores: Number.POSITIVE_INFINITY, pairedSpeed: 1 };

/** Work to be done, and what happens when it is. */
type Segment = { micros: number; readonly after: (() => void) | undefined };
type Delivery = { readonly run: () => void; readonly micros: number };

/** A thread. */
export class Site {
  readonly name: string;
  /** What its turns cost is read off it. */
  readonly clockMicros: () => number;
  /** Its turns go on in callbacks of the event loop. */
  readonly isAsync: boolean;
  /** Processor time used. */
  busyMicros = 0;
  inbox: Delivery[] = [];
  segments: Segment[] = [];

  constructor(name: string, clockMicros: () => number, isAsync: boolean) {
    this.name = name;
    this.clockMicros = clockMicros;
    this.isAsync = isAsync;
  }
}

const EPSILON = 1e-6;

export class VirtualTime {
  readonly #processors: Processors;
  readonly #sites: Site[] = [];
  #arrivals: { readonly atMicros: number; readonly site: Site; readonly delivery: Delivery }[] = [];
  #turn: { readonly site: Site; readonly segments: Segment[]; lastMicros: number; extraMicros: number } | undefined;
  #nowMicros = 0;

  constructor(processors: Processors = OWN_CORES) {
    this.#processors = processors;
  }

  get nowMicros(): number {
    return this.#nowMicros;
  }

  get sites(): readonly Site[] {
    return this.#sites;
  }

  site(name: string, clockMicros: () => number, isAsync = false): Site {
    const site = new Site(name, clockMicros, isAsync);
    this.#sites.push(site);
    return site;
  }

  /** Has `run` take a turn at `site` now, or when it is free. */
  post(site: Site, run: () => void): void {
    site.inbox.push({ run, micros: 0 });
  }

  /** Sends a message from the turn that is running: it leaves when the turn has come this far. */
  send(to: Site, bytes: number, network: Network, run: () => void): void {
    if (this.#turn !== undefined) this.#turn.extraMicros += network.messageMicros;
    this.mark(() => {
      const atMicros = this.#nowMicros + network.latencyMicros + bytes / network.bytesPerMicro;
      this.#arrivals.push({ atMicros, site: to, delivery: { run, micros: network.messageMicros } });
    });
  }

  /** Has `after` happen when the running turn has come this far; at once without one. */
  mark(after?: () => void): void {
    const turn = this.#turn;
    if (turn === undefined) {
      after?.();
      return;
    }
    const now = turn.site.clockMicros();
    turn.segments.push({ micros: now - turn.lastMicros + turn.extraMicros, after });
    turn.lastMicros = now;
    turn.extraMicros = 0;
  }

  /** Lets time pass until `isOver`, or nothing is left to happen. */
  async run(isOver: () => boolean = () => false): Promise<void> {
    for (;;) {
      for (const site of this.#sites) if (site.segments.length === 0 && site.inbox.length > 0) await this.#take(site);
      if (isOver()) return;
      const busy = this.#sites.filter((site) => site.segments.length > 0);
      const speed = this.#speed(busy.length);
      let stepMicros = Number.POSITIVE_INFINITY;
      for (const site of busy) stepMicros = Math.min(stepMicros, (site.segments[0] as Segment).micros / speed);
      for (const { atMicros } of this.#arrivals) stepMicros = Math.min(stepMicros, atMicros - this.#nowMicros);
      if (stepMicros === Number.POSITIVE_INFINITY) return;
      stepMicros = Math.max(0, stepMicros);
      this.#nowMicros += stepMicros;
      for (const site of busy) {
        (site.segments[0] as Segment).micros -= stepMicros * speed;
        site.busyMicros += stepMicros * speed;
      }
      for (const site of busy)
        while (site.segments.length > 0 && (site.segments[0] as Segment).micros <= EPSILON)
          site.segments.shift()?.after?.();
      this.#deliver();
    }
  }

  #deliver(): void {
    const due = this.#arrivals.filter(({ atMicros }) => atMicros <= this.#nowMicros + EPSILON);
    if (due.length === 0) return;
    this.#arrivals = this.#arrivals.filter(({ atMicros }) => atMicros > this.#nowMicros + EPSILON);
    for (const { site, delivery } of due.sort((a, b) => a.atMicros - b.atMicros)) site.inbox.push(delivery);
  }

  async #take(site: Site): Promise<void> {
    const deliveries = site.inbox;
    site.inbox = [];
    const segments: Segment[] = [];
    this.#turn = { site, segments, lastMicros: site.clockMicros(), extraMicros: 0 };
    for (const { run, micros } of deliveries) {
      this.#turn.extraMicros += micros;
      run();
    }
    if (site.isAsync) await settled();
    this.mark();
    this.#turn = undefined;
    site.segments = segments;
  }

  /** Of each of `busy` sites. */
  #speed(busy: number): number {
    const { cores, pairedSpeed } = this.#processors;
    return busy <= 1 ? 1 : (cores > 1 ? pairedSpeed : 1) * Math.min(1, cores / busy);
  }
}

/** Resolves when the callbacks that are due have run, and those that they made due. */
async function settled(): Promise<void> {
  const rounds = 1_000;
  for (let round = 0; round < rounds; round++) {
    await new Promise((resolve) => setImmediate(resolve));
    if (!process.getActiveResourcesInfo().includes("Immediate")) return;
  }
  assert(false, "a turn ends");
}
