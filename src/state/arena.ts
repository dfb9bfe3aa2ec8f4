/**
 * Owns short-lived byte arrays: they are cut from large chunks, so that a batch of thousands costs the allocator and the
 * collector a few objects instead of one off-heap buffer each. A chunk lives as long as any array cut from it: what
 * outlives the batch is copied out.
 */
const CHUNK_BYTES = 65_536;

export class Arena {
  #chunk: Uint8Array = new Uint8Array(0);
  #at = 0;

  /** `length` bytes of undefined content. */
  take(length: number): Uint8Array {
    if (this.#at + length > this.#chunk.length) {
      this.#chunk = Buffer.allocUnsafeSlow(Math.max(CHUNK_BYTES, length));
      this.#chunk = new Uint8Array(this.#chunk.buffer);
      this.#at = 0;
    }
    const start = this.#at;
    this.#at += length;
    return this.#chunk.subarray(start, this.#at);
  }

  /** A copy of bytes [start, end). */
  copy(bytes: Uint8Array, start: number, end: number): Uint8Array {
    const out = this.take(end - start);
    // Short runs are faster copied by hand than through a view.
    if (end - start < 64) for (let i = start; i < end; i++) out[i - start] = bytes[i] as number;
    else out.set(bytes.subarray(start, end));
    return out;
  }
}
