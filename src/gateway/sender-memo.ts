/**
 * Owns what this process recovered lately: transaction hash to sender. A hash covers all bytes of its transaction, the
 * signature among them, so an entry is never stale and an answer is what recovery would give. The gateway of a process
 * recovers what its verifier meets again on L1 minutes later: half of all recovery.
 * Bounded: one entry per place, the newer takes it; a miss costs a recovery.
 */
const PLACES = 1 << 17;
const HASH_BYTES = 32;
const SENDER_BYTES = 20;

export class SenderMemo {
  /** Unused pages of these are never backed by memory. */
  readonly #hashes = new Uint8Array(PLACES * HASH_BYTES);
  readonly #senders = new Uint8Array(PLACES * SENDER_BYTES);

  get(hash: Uint8Array): Uint8Array | undefined {
    const place = placeOf(hash);
    const at = place * HASH_BYTES;
    for (let i = 0; i < HASH_BYTES; i++) if (this.#hashes[at + i] !== hash[i]) return undefined;
    return this.#senders.slice(place * SENDER_BYTES, (place + 1) * SENDER_BYTES);
  }

  set(hash: Uint8Array, sender: Uint8Array): void {
    const place = placeOf(hash);
    this.#hashes.set(hash, place * HASH_BYTES);
    this.#senders.set(sender, place * SENDER_BYTES);
  }
}

function placeOf(hash: Uint8Array): number {
  return (((hash[0] as number) << 16) | ((hash[1] as number) << 8) | (hash[2] as number)) & (PLACES - 1);
}
