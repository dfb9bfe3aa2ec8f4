/**
 * Owns the connection to NATS servers and the few JetStream requests that logs need: streams, publishing behind an
 * expected sequence, reading single messages and runs of them. One connection serves all logs of a process; it comes
 * back by itself. Publishing compares with the *stream's* last sequence: the comparison by subject has lost races.
 * What a request says of itself is not believed beyond this: `jetstream-log.ts` checks terms and links.
 * @see https://docs.nats.io/reference/reference-protocols/nats_api_reference
 */
import { connect, headers, nkeyAuthenticator } from "@nats-io/transport-node";
import type { Clock } from "../base/clock.ts";
import { CodedError } from "../base/error.ts";
import type { Log } from "../base/log.ts";
import { logError } from "./record.ts";

type Connection = Awaited<ReturnType<typeof connect>>;
type Incoming = Awaited<ReturnType<Connection["request"]>>;

export type JetStreamSettings = {
  /** `host:port`, or URLs; `tls://` asks for TLS. */
  readonly servers: readonly string[];
  readonly token?: string;
  /** Seed of an Ed25519 key ("SU…") that the servers list as a user. */
  readonly nkeySeed?: string;
  /** Files in PEM. A certificate of our own is for servers that verify clients. */
  readonly tls?: { readonly caFile?: string; readonly certFile?: string; readonly keyFile?: string };
  /** How long a start may wait for the servers. */
  readonly openTimeoutMs: number;
  /** After this long without an answer a request is repeated. */
  readonly requestTimeoutMs: number;
  /** False keeps to the servers given, whatever the cluster says of itself (they are behind proxies). */
  readonly discover?: boolean;
};

export type StreamState = { readonly firstSeq: number; readonly lastSeq: number };
export type StoredMessage = { readonly seq: number; readonly bytes: Uint8Array };

/** What JetStream answers instead of what was asked for. */
export class JetStreamRefusal extends Error {
  readonly code: number;
  constructor(code: number, description: string) {
    super(`JetStream refuses: ${description} (${code})`);
    this.code = code;
  }
}

export const JS_STREAM_NOT_FOUND = 10059;
const JS_NO_MESSAGE = 10037;
const JS_STREAM_EXISTS = 10058;
/** A run of messages is delivered by a consumer that the server forgets after this long without use. */
const CONSUMER_IDLE_MS = 60_000;
/** A pull that has nothing yet to say is renewed this often. */
const PULL_MS = 5_000;
const HEARTBEAT_MS = 5_000;

type StreamInfo = {
  readonly config: Readonly<Record<string, unknown>>;
  readonly state: { readonly first_seq: number; readonly last_seq: number };
  readonly cluster?: {
    readonly leader?: string;
    readonly replicas?: readonly { readonly name: string; readonly current: boolean; readonly offline?: boolean }[];
  };
};

export class JetStream {
  readonly #connection: Connection;
  readonly #settings: JetStreamSettings;
  readonly #clock: Clock;
  /** Told when the connection is lost: what was asked on it is not answered any more. */
  readonly #onLost = new Set<() => void>();
  #inboxes = 0;
  #probing = false;

  private constructor(connection: Connection, settings: JetStreamSettings, log: Log, clock: Clock) {
    this.#connection = connection;
    this.#settings = settings;
    this.#clock = clock;
    void this.#watch(log);
  }

  /** @throws {LogError} LOG_UNAVAILABLE, LOG_REFUSED */
  static async connect(settings: JetStreamSettings, log: Log, clock: Clock): Promise<JetStream> {
    const startMs = clock.nowMs();
    for (;;) {
      try {
        const encoder = new TextEncoder();
        const connection = await connect({
          servers: [...settings.servers],
          name: "sheaf",
          ...(settings.token === undefined ? {} : { token: settings.token }),
          ...(settings.nkeySeed === undefined
            ? {}
            : { authenticator: nkeyAuthenticator(encoder.encode(settings.nkeySeed)) }),
          ...(settings.tls === undefined ? {} : { tls: { ...settings.tls } }),
          ignoreClusterUpdates: settings.discover === false,
          maxReconnectAttempts: -1,
          ignoreAuthErrorAbort: true,
          reconnectTimeWait: 100,
          reconnectJitter: 100,
          timeout: Math.max(1_000, settings.requestTimeoutMs),
          pingInterval: HEARTBEAT_MS,
          maxPingOut: 2,
          noAsyncTraces: true,
        });
        return new JetStream(connection, settings, log, clock);
      } catch (error) {
        const cause = error as Error & { code?: string };
        const servers = settings.servers.join(", ");
        if (
          cause.name === "AuthorizationError" ||
          /certificate|self-signed|tls|ssl|seed|nkey|prefix/i.test(`${cause.message} ${cause.code ?? ""}`)
        )
          throw logError("LOG_REFUSED", `${servers}: ${cause.message}`, { servers }, { cause });
        if (clock.nowMs() - startMs >= settings.openTimeoutMs)
          throw logError("LOG_UNAVAILABLE", `no answer from ${servers}: ${cause.message}`, { servers }, { cause });
        await clock.sleep(200);
      }
    }
  }

  async #watch(log: Log): Promise<void> {
    for await (const status of this.#connection.status()) {
      if (status.type === "disconnect") {
        for (const tell of [...this.#onLost]) tell();
        log.warn("connection to the log server is lost", { server: status.server });
      } else if (status.type === "reconnect") log.info("connected to a log server", { server: status.server });
      else if (status.type === "error") log.warn("the log server reports an error", { err: status.error });
    }
  }

  /** Largest message that the servers take. */
  get messageSizeMaxBytes(): number {
    return this.#connection.info?.max_payload ?? 1 << 20;
  }

  get serverVersion(): string {
    return this.#connection.info?.version ?? "unknown";
  }

  get closed(): boolean {
    return this.#connection.isClosed();
  }

  async close(): Promise<void> {
    await this.#connection.close();
  }

  /** Makes the stream when there is none, checks it when there is. @throws {LogError} LOG_MISCONFIGURED, LOG_UNAVAILABLE */
  async openStream(name: string, replicas: number): Promise<StreamState> {
    const wanted: Record<string, unknown> = {
      name,
      subjects: [name],
      num_replicas: replicas,
      storage: "file",
      retention: "limits",
      discard: "new",
      max_msgs: -1,
      max_bytes: -1,
      max_age: 0,
      deny_delete: true,
    };
    return this.#asked(name, async () => {
      const info = await this.#info(name).catch(async (error: unknown) => {
        if (!isRefusal(error, JS_STREAM_NOT_FOUND)) throw error;
        return await this.#api<StreamInfo>(`STREAM.CREATE.${name}`, wanted);
      });
      for (const [key, value] of Object.entries(wanted)) {
        if (key === "deny_delete" || JSON.stringify(info.config[key] ?? value) === JSON.stringify(value)) continue;
        throw logError(
          "LOG_MISCONFIGURED",
          `stream ${name}: ${key} is ${JSON.stringify(info.config[key])}, a log needs ${JSON.stringify(value)}`,
          { stream: name, key },
        );
      }
      return stateOf(info);
    });
  }

  /** Whether there is a stream of this name. @throws {LogError} LOG_UNAVAILABLE */
  hasStream(name: string): Promise<boolean> {
    return this.#asked(name, () =>
      this.#info(name).then(
        () => true,
        (error: unknown) => {
          if (isRefusal(error, JS_STREAM_NOT_FOUND)) return false;
          throw error;
        },
      ),
    );
  }

  /** Asks again until there is an answer, as long as a start may wait. */
  async #asked<T>(name: string, ask: () => Promise<T>): Promise<T> {
    const startMs = this.#clock.nowMs();
    for (;;) {
      try {
        return await ask();
      } catch (error) {
        if (error instanceof CodedError) throw error;
        if (isRefusal(error, JS_STREAM_EXISTS)) continue;
        if (this.#clock.nowMs() - startMs >= this.#settings.openTimeoutMs)
          throw logError("LOG_UNAVAILABLE", `stream ${name} cannot be opened: ${(error as Error).message}`, {}, {
            cause: error,
          } as ErrorOptions);
        await this.#clock.sleep(200);
      }
    }
  }

  /** Names of all streams, up to the 1024 that the servers tell at once. */
  async streamNames(): Promise<readonly string[]> {
    return (await this.#api<{ streams: readonly string[] | null }>("STREAM.NAMES", {})).streams ?? [];
  }

  async streamState(name: string): Promise<StreamState> {
    return stateOf(await this.#info(name));
  }

  /** Who leads the stream, if anybody, and which of its other servers do not hold all of it. */
  async streamServers(name: string): Promise<{ leader: string | undefined; behind: readonly string[] }> {
    const { cluster } = await this.#info(name);
    const behind = (cluster?.replicas ?? []).filter((r) => !r.current || r.offline === true).map((r) => r.name);
    return { leader: cluster?.leader === "" ? undefined : cluster?.leader, behind };
  }

  #info(name: string): Promise<StreamInfo> {
    return this.#api<StreamInfo>(`STREAM.INFO.${name}`, undefined);
  }

  /**
   * Stores a message as number `expectedSeq + 1` of the stream, or throws; after a throw it may still be stored,
   * then or later, but nowhere else.
   */
  async publish(stream: string, message: Uint8Array, expectedSeq: number): Promise<void> {
    const h = headers();
    h.set("Nats-Expected-Last-Sequence", String(expectedSeq));
    h.set("Nats-Expected-Stream", stream);
    const ack = parse(await this.#request(stream, message, h)) as { seq: number };
    if (ack.seq !== expectedSeq + 1)
      throw new Error(`stream ${stream} acknowledged message ${ack.seq} where ${expectedSeq + 1} was sent`);
  }

  /** Undefined when the stream does not hold it. */
  async message(stream: string, seq: number): Promise<StoredMessage | undefined> {
    try {
      const got = await this.#api<{ message: { seq: number; data?: string } }>(`STREAM.MSG.GET.${stream}`, { seq });
      return { seq: got.message.seq, bytes: new Uint8Array(Buffer.from(got.message.data ?? "", "base64")) };
    } catch (error) {
      if (error instanceof JetStreamRefusal && error.code === JS_NO_MESSAGE) return undefined;
      throw error;
    }
  }

  /** Drops the messages below `seq`. */
  async purge(stream: string, seq: number): Promise<void> {
    await this.#api(`STREAM.PURGE.${stream}`, { seq });
  }

  /** Deletes a stream and all it holds. */
  async deleteStream(stream: string): Promise<void> {
    await this.#api(`STREAM.DELETE.${stream}`, undefined);
  }

  /** A consumer that delivers the stream's messages from `seq` on, in order. */
  async consume(stream: string, seq: number): Promise<Run> {
    const name = `sheaf${Math.random().toString(36).slice(2, 12)}`;
    await this.#api(`CONSUMER.CREATE.${stream}.${name}`, {
      stream_name: stream,
      config: {
        name,
        deliver_policy: "by_start_sequence",
        opt_start_seq: seq,
        ack_policy: "none",
        inactive_threshold: CONSUMER_IDLE_MS * 1e6,
        num_replicas: 1,
        mem_storage: true,
      },
    });
    let nextSeq = seq;
    return {
      get nextSeq() {
        return nextSeq;
      },
      pull: async (countMax, signal) => {
        const messages = await this.#pull(stream, name, nextSeq, countMax, signal);
        nextSeq += messages.length;
        return messages;
      },
      close: () => {
        void this.#api(`CONSUMER.DELETE.${stream}.${name}`, undefined).catch(() => undefined);
      },
    };
  }

  /** At most `countMax` messages; with `signal` it waits for the first one, without it takes what there is. */
  #pull(
    stream: string,
    consumer: string,
    fromSeq: number,
    countMax: number,
    signal: AbortSignal | undefined,
  ): Promise<StoredMessage[]> {
    const waits = signal !== undefined;
    const inbox = `_INBOX.sheaf.${process.pid}.${Math.random().toString(36).slice(2)}.${++this.#inboxes}`;
    return new Promise((resolve, reject) => {
      const found: StoredMessage[] = [];
      const end = (error?: Error): void => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", onAbort);
        this.#onLost.delete(onLost);
        subscription.unsubscribe();
        if (error !== undefined && found.length === 0) reject(error);
        else resolve(found);
      };
      const onAbort = (): void => end();
      const onLost = (): void => end(new Error("the connection was lost"));
      const timer = setTimeout(
        () => end(waits ? undefined : new Error(`consumer ${consumer} of ${stream} does not answer`)),
        this.#settings.requestTimeoutMs + (waits ? PULL_MS : 0),
      );
      const subscription = this.#connection.subscribe(inbox, {
        callback: (error, message) => {
          if (error !== null) return end(error);
          const status = message.headers?.code ?? 0;
          if (message.data.length === 0 && status !== 0) {
            // 404 and 408: no more for now. Anything else: this consumer is of no use any more.
            if (status === 404 || status === 408) return end();
            return end(new Error(`consumer ${consumer} of ${stream} ended: ${message.headers?.description ?? status}`));
          }
          const seq = streamSeqOf(message.reply ?? "");
          if (seq !== fromSeq + found.length)
            return end(new Error(`stream ${stream} delivers ${seq} instead of ${fromSeq + found.length}`));
          found.push({ seq, bytes: message.data });
          if (found.length === countMax || waits) end();
        },
      });
      signal?.addEventListener("abort", onAbort, { once: true });
      this.#onLost.add(onLost);
      const ask = waits ? { batch: 1, expires: PULL_MS * 1e6 } : { batch: countMax, no_wait: true };
      this.#connection.publish(`$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`, JSON.stringify(ask), {
        reply: inbox,
      });
    });
  }

  async #api<T>(subject: string, body: object | undefined): Promise<T> {
    const message = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
    return parse(await this.#request(`$JS.API.${subject}`, message)) as T;
  }

  /** A server that hangs keeps its connections: one that does not answer at all is left for the next. */
  async #probe(): Promise<void> {
    if (this.#probing || this.#connection.isClosed()) return;
    this.#probing = true;
    try {
      const answered = this.#connection.flush().then(
        () => true,
        () => true,
      );
      const silent = this.#clock.sleep(this.#settings.requestTimeoutMs).then(() => false);
      if (!(await Promise.race([answered, silent]))) await this.#connection.reconnect();
    } catch {
      // Closed, or connecting anew by itself.
    } finally {
      this.#probing = false;
    }
  }

  /** Ends without an answer as soon as the connection is lost, instead of when the time is over. */
  async #request(subject: string, message?: Uint8Array, h?: ReturnType<typeof headers>): Promise<Incoming> {
    let onLost = (): void => undefined;
    const gone = new Promise<never>((_, reject) => {
      onLost = () => reject(new Error("the connection was lost"));
      this.#onLost.add(onLost);
    });
    try {
      const asked = this.#connection.request(subject, message, {
        timeout: this.#settings.requestTimeoutMs,
        ...(h === undefined ? {} : { headers: h }),
      });
      return await Promise.race([asked, gone]);
    } catch (error) {
      if ((error as Error).name === "TimeoutError") void this.#probe();
      throw error;
    } finally {
      this.#onLost.delete(onLost);
    }
  }
}

export type Run = {
  /** Stream sequence of the message that comes next. */
  readonly nextSeq: number;
  pull(countMax: number, signal?: AbortSignal): Promise<StoredMessage[]>;
  close(): void;
};

/** While a stream has no leader any server tells what it happens to hold: that counts for nothing. */
function isRefusal(error: unknown, code: number): boolean {
  return error instanceof JetStreamRefusal && error.code === code;
}

function stateOf(info: StreamInfo): StreamState {
  if (info.cluster?.leader === undefined || info.cluster.leader === "")
    if (info.config["num_replicas"] !== 1) throw new Error(`stream ${String(info.config["name"])} has no leader`);
  return { firstSeq: info.state.first_seq, lastSeq: info.state.last_seq };
}

/** @throws {JetStreamRefusal} */
function parse(message: Incoming): unknown {
  const body = JSON.parse(Buffer.from(message.data).toString("utf8")) as {
    error?: { code: number; err_code?: number; description?: string };
  };
  if (body.error !== undefined)
    throw new JetStreamRefusal(body.error.err_code ?? body.error.code, body.error.description ?? "no reason given");
  return body;
}

/** `$JS.ACK.[domain.account.]stream.consumer.delivered.streamSeq.consumerSeq.time.pending[.random]` */
function streamSeqOf(reply: string): number {
  const tokens = reply.split(".");
  return Number(tokens[tokens.length >= 11 ? 7 : 5]);
}
