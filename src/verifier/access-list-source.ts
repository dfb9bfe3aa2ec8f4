/**
 * Owns where a verifier takes access lists from: they are advice that lets a block replay in parallel, so a source that
 * is slow, wrong or gone costs time and nothing else, and the time is bounded. It learns nothing and decides nothing.
 */
import { CodedError } from "../base/error.ts";
import type { JsonRpc } from "../l1/json-rpc.ts";

/** Blocks asked for beyond the one that is wanted. */
const AHEAD = 8;
/** After a failure the endpoint is not asked for this many blocks. */
const PAUSE_BLOCKS = 64;

export interface AccessListSource {
  /** Encoded list of a block; undefined when the source has none. */
  accessList(number: number): Promise<Uint8Array | undefined>;
}

/** Lists from a node of the cluster over JSON-RPC. */
export class RpcAccessLists implements AccessListSource {
  readonly #rpc: JsonRpc;
  readonly #asked = new Map<number, Promise<Uint8Array | undefined>>();
  #pausedUntil = 0;

  constructor(rpc: JsonRpc) {
    this.#rpc = rpc;
  }

  async accessList(number: number): Promise<Uint8Array | undefined> {
    if (number < this.#pausedUntil) return undefined;
    // What was asked ahead and is not wanted any more: derivation only goes on, or back.
    for (const asked of this.#asked.keys()) if (asked < number || asked > number + AHEAD) this.#asked.delete(asked);
    for (let n = number; n <= number + AHEAD; n++) if (!this.#asked.has(n)) this.#asked.set(n, this.#ask(n));
    return await this.#asked.get(number);
  }

  async #ask(number: number): Promise<Uint8Array | undefined> {
    try {
      const answer = await this.#rpc.call("debug_getRawBlockAccessList", [`0x${number.toString(16)}`]);
      if (typeof answer !== "string" || !/^0x([0-9a-f]{2})*$/.test(answer)) return undefined;
      return new Uint8Array(Buffer.from(answer.slice(2), "hex"));
    } catch (error) {
      if (!(error instanceof CodedError)) throw error;
      // Refused, or not known: there is no such list. Anything else: the endpoint is not well.
      if (error.code !== "L1_REFUSED" && error.code !== "L1_BLOCK_UNKNOWN")
        this.#pausedUntil = Math.max(this.#pausedUntil, number + PAUSE_BLOCKS);
      return undefined;
    }
  }
}
