/**
 * Owns messages on a byte stream: a length of four bytes, little-endian, then the message. What is not a frame within
 * bounds ends the stream.
 */
import { defineErrors } from "../base/error.ts";

/** Above the largest message there is, a batch of results: the engine's output region. */
export const FRAME_BYTES_MAX = 128 * 1024 * 1024;

const frameError = defineErrors("Frame", {
  FRAME_TOO_LARGE: {
    summary: "A peer announced a message beyond all bounds.",
    action: "Nothing: its link is closed and it is replaced.",
    retryable: true,
  },
});

export function frameHeader(message: Uint8Array): Uint8Array {
  const header = new Uint8Array(4);
  new DataView(header.buffer).setUint32(0, message.length, true);
  return header;
}

/** Cuts a stream into messages, each in a buffer of its own. */
export class FrameReader {
  /** Larger frames are refused as soon as they are announced: nothing is set aside for them. */
  sizeMaxBytes: number;
  readonly #received: (message: Uint8Array) => void;
  readonly #header = new Uint8Array(4);
  #headerLength = 0;
  #message: Uint8Array | undefined;
  #length = 0;

  constructor(received: (message: Uint8Array) => void, sizeMaxBytes = FRAME_BYTES_MAX) {
    this.#received = received;
    this.sizeMaxBytes = sizeMaxBytes;
  }

  /** @throws {FrameError} FRAME_TOO_LARGE */
  take(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#message === undefined) {
        const part = Math.min(4 - this.#headerLength, chunk.length - at);
        this.#header.set(chunk.subarray(at, at + part), this.#headerLength);
        this.#headerLength += part;
        at += part;
        if (this.#headerLength < 4) return;
        const size = new DataView(this.#header.buffer).getUint32(0, true);
        if (size > this.sizeMaxBytes) throw frameError("FRAME_TOO_LARGE", `a frame of ${size} bytes`, { size });
        this.#headerLength = 0;
        if (size === 0) {
          this.#received(new Uint8Array(0));
          continue;
        }
        this.#length = 0;
        this.#message = new Uint8Array(size);
      }
      const message = this.#message;
      const part = Math.min(message.length - this.#length, chunk.length - at);
      message.set(chunk.subarray(at, at + part), this.#length);
      this.#length += part;
      at += part;
      if (this.#length < message.length) return;
      this.#message = undefined;
      this.#received(message);
    }
  }
}
