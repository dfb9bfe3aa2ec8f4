/**
 * Owns the recovery of senders off the main thread: about half of what taking a transaction costs. Few at a time are
 * recovered in place (a round trip costs more), many are packed, cut into slices and spread over worker threads.
 * On failure of a worker its slices are recovered in place and it is not asked again: slower, never wrong.
 */
import type { Worker } from "node:worker_threads";
import { assert } from "../base/assert.ts";
import type { Log } from "../base/log.ts";
import { startWorker } from "../base/worker.ts";
import { isAuthorizationWellFormed, recoverAuthority, recoverSenders } from "../protocol/sender.ts";
import type { SignedTransaction } from "../protocol/transaction.ts";
import { authorizationHash, signingHash } from "../protocol/transaction-codec.ts";
import type { Authority } from "../rpc/chain-view.ts";
import { packSignature, SENDER_SLOT_BYTES, SIGNATURE_SLOT_BYTES } from "./recovery-codec.ts";
import type { SenderMemo } from "./sender-memo.ts";

/** Fewer than this are recovered in place. */
const IN_PLACE_MAX = 8;
/** Recoveries in one message: about 5 ms of a worker's time, so that several workers share a batch. */
const SLICE = 64;

type Signature = { readonly r: bigint; readonly s: bigint; readonly yParity: number };

/** What a thread recovers, and how the same is done in place. */
type Slice = {
  readonly signatures: readonly Signature[];
  readonly digest: (index: number) => Uint8Array;
  readonly inPlace: () => (Uint8Array | undefined)[];
  readonly done: (signers: (Uint8Array | undefined)[]) => void;
};

export type RecoveryAnswer = { readonly id: number; readonly senders: Uint8Array };
export type RecoveryRequest = { readonly id: number; readonly signatures: Uint8Array };

class RecoveryThread {
  readonly #worker: Worker;
  readonly #slices = new Map<number, Slice>();
  readonly #log: Log;
  #next = 0;
  alive = true;

  constructor(log: Log, background: boolean) {
    this.#log = log;
    this.#worker = startWorker(new URL("./recovery-worker.ts", import.meta.url), { name: "recovery", background });
    this.#worker.on("message", (answer: RecoveryAnswer) => this.#answered(answer));
    this.#worker.on("error", (error) => this.#failed(error));
    this.#worker.on("exit", () => this.#failed(new Error("the recovery thread ended")));
    // Idle threads hold no process open. Last: a listener for messages takes hold of it again.
    this.#worker.unref();
  }

  get waiting(): number {
    return this.#slices.size;
  }

  take(slice: Slice): void {
    const id = this.#next++;
    const signatures = new Uint8Array(slice.signatures.length * SIGNATURE_SLOT_BYTES);
    slice.signatures.forEach((signature, i) => packSignature(signatures, i, slice.digest(i), signature));
    this.#slices.set(id, slice);
    const request: RecoveryRequest = { id, signatures };
    this.#worker.ref(); // a question in flight keeps the process alive, an idle thread does not
    this.#worker.postMessage(request, [signatures.buffer]);
  }

  async close(): Promise<void> {
    this.alive = false;
    await this.#worker.terminate();
  }

  #answered({ id, senders }: RecoveryAnswer): void {
    const slice = this.#slices.get(id);
    assert(slice !== undefined, "a recovery thread answers what it was asked");
    assert(senders.length === slice.signatures.length * SENDER_SLOT_BYTES, "there is an answer for each signature");
    this.#slices.delete(id);
    if (this.#slices.size === 0) this.#worker.unref();
    slice.done(
      slice.signatures.map((_, i) => {
        const at = i * SENDER_SLOT_BYTES;
        return senders[at] === 1 ? senders.slice(at + 1, at + SENDER_SLOT_BYTES) : undefined;
      }),
    );
  }

  #failed(error: Error): void {
    if (this.alive) this.#log.error("recovery thread failed, recovering in place", { err: error });
    this.alive = false;
    const left = [...this.#slices.values()];
    this.#slices.clear();
    for (const slice of left) slice.done(slice.inPlace());
  }
}

export class SenderRecovery {
  readonly #threads: RecoveryThread[];
  readonly #memo: SenderMemo | undefined;

  /**
   * `threads` 0 recovers everything in place; `background`: they give way to the other threads; `memo`: what is in it is
   * not recovered again.
   */
  constructor(
    threads: number,
    log: Log,
    options: { readonly background?: boolean; readonly memo?: SenderMemo | undefined } = {},
  ) {
    this.#memo = options.memo;
    this.#threads = Array.from({ length: threads }, () => new RecoveryThread(log, options.background === true));
  }

  /** Senders in the order of `txs`; undefined where the signature recovers to no key. */
  async recover(txs: readonly SignedTransaction[]): Promise<readonly (Uint8Array | undefined)[]> {
    const memo = this.#memo;
    if (memo === undefined) return await this.#recover(txs);
    const senders = txs.map((tx) => memo.get(tx.hash));
    const unknown: number[] = [];
    for (const [i, sender] of senders.entries()) if (sender === undefined) unknown.push(i);
    if (unknown.length === 0) return senders;
    const recovered = await this.#recover(unknown.map((i) => txs[i] as SignedTransaction));
    for (const [k, i] of unknown.entries()) {
      const sender = recovered[k];
      if (sender === undefined) continue;
      senders[i] = sender;
      memo.set((txs[i] as SignedTransaction).hash, sender);
    }
    return senders;
  }

  /** Who signed the authorizations of each of `txs` (EIP-7702) that can apply on the chain; bad ones are left out. */
  async recoverAuthorities(
    txs: readonly SignedTransaction[],
    chainId: number,
  ): Promise<readonly (readonly Authority[])[]> {
    const found = txs.map(({ authorizations }) =>
      authorizations.filter((a) => (a.chainId === 0n || a.chainId === BigInt(chainId)) && isAuthorizationWellFormed(a)),
    );
    const signers = await this.#spread(found.flat(), authorizationHash, (some) => some.map(recoverAuthority));
    let at = 0;
    return found.map((authorizations) =>
      authorizations.flatMap(({ nonce }) => {
        const address = signers[at++];
        return address === undefined ? [] : [{ address, nonce }];
      }),
    );
  }

  #recover(txs: readonly SignedTransaction[]): Promise<readonly (Uint8Array | undefined)[]> {
    return this.#spread(txs, signingHash, recoverSenders);
  }

  async #spread<T extends Signature>(
    items: readonly T[],
    digestOf: (item: T) => Uint8Array,
    recoverInPlace: (items: readonly T[]) => (Uint8Array | undefined)[],
  ): Promise<readonly (Uint8Array | undefined)[]> {
    const threads = this.#threads.filter((thread) => thread.alive);
    if (items.length < IN_PLACE_MAX) return recoverInPlace(items);
    const parts: Promise<(Uint8Array | undefined)[]>[] = [];
    for (let from = 0; from < items.length; from += SLICE) {
      const slice = items.slice(from, from + SLICE);
      const digest = (i: number): Uint8Array => digestOf(slice[i] as T);
      const inPlace = (): (Uint8Array | undefined)[] => recoverInPlace(slice);
      const [thread] = threads.sort((a, b) => a.waiting - b.waiting);
      if (thread !== undefined) {
        parts.push(new Promise((done) => thread.take({ signatures: slice, digest, inPlace, done })));
        continue;
      }
      if (from > 0) await new Promise<void>((resolve) => setImmediate(resolve));
      parts.push(Promise.resolve(inPlace()));
    }
    return (await Promise.all(parts)).flat();
  }

  async close(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.close()));
  }
}
