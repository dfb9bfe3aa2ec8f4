/**
 * Owns one connection to another machine as a stream of messages, whichever end made it: frames, heartbeats, bounds. A
 * frame without content is a heartbeat. The link is lost once, for the first of: the connection ends, a frame beyond the
 * bound, several beats of silence, more waiting to be read by the other end than the bound.
 *
 * Silence is counted in beats and not in seconds: a process that was itself held up counts one beat, not a dead peer.
 */
import type { TLSSocket } from "node:tls";
import { FrameReader, frameHeader } from "./frames.ts";
import { linkError } from "./hello.ts";
import type { Link, LinkEvents, Receive } from "./link.ts";

export type SocketLimits = {
  readonly beatMs: number;
  /** Beats without a byte after which the other end is given up. */
  readonly silentBeatsMax: number;
  /** Bytes that may wait to be read by the other end. */
  readonly waitingBytesMax: number;
};

export const SOCKET_LIMITS: SocketLimits = {
  beatMs: 1_000,
  silentBeatsMax: 5,
  waitingBytesMax: 256 * 1024 * 1024,
};

/** How long the other end may take to close its side. */
const CLOSE_MS = 1_000;
const BEAT = new Uint8Array(4);

export class FramedSocket implements Link {
  readonly #socket: TLSSocket;
  readonly #limits: SocketLimits;
  readonly #frames: FrameReader;
  readonly #closed: Promise<void>;
  #receive: Receive;
  #events: LinkEvents | undefined;
  /** Messages that came before anybody listened; the socket is not read meanwhile. */
  #early: Uint8Array[] = [];
  #loss: Error | undefined;
  #isClosing = false;
  #heard = true;
  #said = true;
  #silentBeats = 0;
  #beat: NodeJS.Timeout | undefined;

  /** `first` takes the first messages, of at most `firstBytesMax`, until somebody is attached. */
  constructor(
    socket: TLSSocket,
    limits: SocketLimits,
    p: { readonly first: Receive; readonly firstBytesMax: number; readonly lost: (cause: Error) => void },
  ) {
    this.#socket = socket;
    this.#limits = limits;
    this.#receive = p.first;
    this.#frames = new FrameReader((message) => {
      if (message.length > 0 && this.#loss === undefined) this.#receive(message);
    }, p.firstBytesMax);
    this.#lostEarly = p.lost;
    socket.setNoDelay(true);
    socket.on("data", (chunk: Uint8Array) => this.#take(chunk));
    socket.on("error", (error) => this.#lose(error));
    this.#closed = new Promise((resolve) => {
      socket.once("close", () => {
        this.#lose(linkError("LINK_CLOSED", "the connection ended"));
        resolve();
      });
    });
    this.#nextBeat();
  }

  #lostEarly: (cause: Error) => void;

  /** From here on messages of up to `frameBytesMax` are taken, and wait for {@link attach}. */
  hold(frameBytesMax: number): void {
    this.#frames.sizeMaxBytes = frameBytesMax;
    this.#socket.pause();
    this.#receive = (message) => this.#early.push(message);
  }

  attach(events: LinkEvents): Link {
    this.#events = events;
    // In a later turn: a link tells nothing before it was handed out.
    setImmediate(() => {
      for (const message of this.#early.splice(0)) if (!this.#isClosing) events.received(message);
      this.#receive = events.received;
      if (this.#loss !== undefined) this.#tellLoss(this.#loss);
      else this.#socket.resume();
    });
    return this;
  }

  send(message: Uint8Array): void {
    if (this.#loss !== undefined || this.#isClosing) return;
    const socket = this.#socket;
    // Both leave in one record.
    socket.cork();
    socket.write(frameHeader(message));
    socket.write(message);
    socket.uncork();
    this.#said = true;
    const waiting = socket.writableLength;
    if (waiting > this.#limits.waitingBytesMax)
      this.#lose(linkError("LINK_SLOW", `${waiting} bytes wait to be read`, { waiting }));
  }

  /** What was sent before is still delivered, as far as the other end takes it soon. */
  async close(): Promise<void> {
    this.#isClosing = true;
    clearTimeout(this.#beat);
    this.#socket.resume();
    this.#socket.end();
    const timer = setTimeout(() => this.#socket.destroy(), CLOSE_MS);
    await this.#closed;
    clearTimeout(timer);
  }

  #take(chunk: Uint8Array): void {
    this.#heard = true;
    if (this.#isClosing) return;
    try {
      this.#frames.take(chunk);
    } catch (error) {
      this.#lose(error as Error);
    }
  }

  #nextBeat(): void {
    this.#beat = setTimeout(() => {
      const { silentBeatsMax, beatMs } = this.#limits;
      // A socket that is not read hears nothing.
      this.#silentBeats = this.#heard || this.#socket.isPaused() ? 0 : this.#silentBeats + 1;
      this.#heard = false;
      if (this.#silentBeats >= silentBeatsMax)
        return this.#lose(linkError("LINK_SILENT", `nothing was heard for ${silentBeatsMax} beats of ${beatMs} ms`));
      if (!this.#said && this.#socket.writable) this.#socket.write(BEAT);
      this.#said = false;
      this.#nextBeat();
    }, this.#limits.beatMs);
    this.#beat.unref();
  }

  #lose(cause: Error): void {
    if (this.#loss !== undefined) return;
    this.#loss = cause;
    clearTimeout(this.#beat);
    this.#socket.destroy();
    if (this.#events === undefined) this.#lostEarly(cause);
    else this.#tellLoss(cause);
  }

  #tellLoss(cause: Error): void {
    const events = this.#events;
    this.#events = { received: () => undefined, lost: () => undefined };
    if (!this.#isClosing) events?.lost(cause);
  }
}
