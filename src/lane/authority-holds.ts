/**
 * Owns what a lane must know of transactions in other lanes: that one of them holds an authorization (EIP-7702) of an
 * account of its own, which therefore may have one transaction at a time (decision 0022). Within a lane the pool sees to
 * that itself.
 * Invariant: an account is held before the transaction that may change its code is accepted, and until it is gone.
 */
import { bytesEqual, toHexKey } from "../base/bytes.ts";
import { recoverAuthority } from "../protocol/sender.ts";
import type { Authority, PooledTransaction, SubmitOutcome } from "../rpc/chain-view.ts";
import type { LaneApi } from "./api.ts";
import { laneOf } from "./lane-of.ts";

type Hold = { readonly hash: Uint8Array; readonly sender: Uint8Array; readonly authorities: readonly Uint8Array[] };

export class AuthorityHolds {
  readonly #lanes: readonly LaneApi[];
  readonly #nonceOf: (address: Uint8Array) => bigint;
  readonly #holds = new Map<string, Hold>();
  /** Hashes of those whose lane has not answered yet. */
  readonly #coming = new Set<string>();
  #sweeping = false;

  constructor(lanes: readonly LaneApi[], nonceOf: (address: Uint8Array) => bigint) {
    this.#lanes = lanes;
    this.#nonceOf = nonceOf;
  }

  /** Holds the accounts of other lanes for a transaction that comes in. Returns why it must be refused. */
  async take(item: PooledTransaction): Promise<SubmitOutcome | undefined> {
    const hold = this.#holdOf(item);
    const key = toHexKey(hold.hash);
    if (hold.authorities.length === 0 || this.#holds.has(key)) return undefined;
    this.#holds.set(key, hold);
    this.#coming.add(key);
    for (const address of hold.authorities)
      if (!(await this.#laneOf(address).holdFor(address, hold.hash))) {
        this.giveBack(item);
        const message = "authority already reserved: it has several transactions in the pool";
        return { accepted: false, code: "AUTHORITY_RESERVED", message };
      }
    return undefined;
  }

  /** Its lane has it, or may have it. */
  arrived({ tx }: PooledTransaction): void {
    if (this.#coming.size > 0) this.#coming.delete(toHexKey(tx.hash));
  }

  /** It was not accepted. */
  giveBack(item: PooledTransaction): void {
    const hold = this.#holds.get(toHexKey(item.tx.hash));
    this.arrived(item);
    if (hold !== undefined) this.#end(hold);
  }

  /** Holds again for all that waits: after a start and after a rewind. What was accepted is held for in any case. */
  async recover(): Promise<void> {
    if (this.#lanes.length === 1) return;
    // One that is lost is asked when it is back.
    for (const lane of this.#lanes)
      for (const item of lane.notReady() === undefined ? await lane.delegating() : []) {
        const hold = this.#holdOf(item);
        if (hold.authorities.length === 0) continue;
        this.#holds.set(toHexKey(hold.hash), hold);
        for (const address of hold.authorities) await this.#laneOf(address).holdFor(address, hold.hash);
      }
  }

  /** Ends the holds for transactions that are gone. */
  async sweep(): Promise<void> {
    if (this.#holds.size === 0 || this.#sweeping) return;
    this.#sweeping = true;
    try {
      for (const hold of [...this.#holds.values()])
        if (!this.#coming.has(toHexKey(hold.hash)) && (await this.#laneOf(hold.sender).get(hold.hash)) === undefined)
          this.#end(hold);
    } catch {
      // A lane is lost: the next head asks again.
    } finally {
      this.#sweeping = false;
    }
  }

  #end(hold: Hold): void {
    this.#holds.delete(toHexKey(hold.hash));
    for (const address of hold.authorities) this.#laneOf(address).letGo(address, hold.hash);
  }

  /** The accounts of other lanes whose authorization can still apply: with one that is used up, a stranger could hold them. */
  #holdOf({ tx, sender, authorities }: PooledTransaction): Hold {
    const signed: readonly Authority[] =
      authorities ??
      tx.authorizations.flatMap((authorization) => {
        const address = recoverAuthority(authorization);
        return address === undefined ? [] : [{ address, nonce: authorization.nonce }];
      });
    const own = this.#laneOf(sender);
    const foreign: Uint8Array[] = [];
    for (const { address, nonce } of signed)
      if (
        this.#laneOf(address) !== own &&
        this.#nonceOf(address) <= nonce &&
        !foreign.some((known) => bytesEqual(known, address))
      )
        foreign.push(address);
    return { hash: tx.hash, sender, authorities: foreign };
  }

  #laneOf(address: Uint8Array): LaneApi {
    return this.#lanes[laneOf(address, this.#lanes.length)] as LaneApi;
  }
}
