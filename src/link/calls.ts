/**
 * Owns questions and answers over a link, in both directions at once: a call is declared with the shapes of its
 * arguments and its answer. Handlers start in the order in which calls were sent; answers come when they come.
 * On failure: what a handler throws reaches the caller as the same coded error; when the link is lost, so is every
 * question that has no answer.
 *
 *   question  0 ‖ number ‖ call ‖ arguments      (number 0: nobody waits for an answer)
 *   answer    1 ‖ number ‖ value        fault    2 ‖ number ‖ domain ‖ code ‖ message
 */
import { assert } from "../base/assert.ts";
import { Reader, Writer } from "../base/binary.ts";
import { CodedError, ERROR_CATALOGUES } from "../base/error.ts";
import type { Shape } from "../base/shape.ts";

const QUESTION = 0;
const ANSWER = 1;
const FAULT = 2;

export type Call<A, R> = { readonly code: number; readonly args: Shape<A>; readonly result: Shape<R> };

type Handler = { readonly call: Call<unknown, unknown>; readonly run: (args: unknown) => unknown };
type Asked = {
  readonly call: Call<unknown, unknown>;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
};

export class Calls {
  readonly #send: (message: Uint8Array) => void;
  readonly #handlers = new Map<number, Handler>();
  readonly #asked = new Map<number, Asked>();
  #newest = 0;
  #lost: Error | undefined;

  constructor(send: (message: Uint8Array) => void) {
    this.#send = send;
  }

  serve<A, R>(call: Call<A, R>, run: (args: A) => R | Promise<R>): void {
    assert(!this.#handlers.has(call.code), "a call has one handler");
    this.#handlers.set(call.code, { call, run } as unknown as Handler);
  }

  /** @throws what the handler threw, or why the link was lost */
  ask<A, R>(call: Call<A, R>, args: A): Promise<R> {
    return new Promise<R>((resolve, reject) => {
      if (this.#lost !== undefined) return reject(this.#lost);
      const number = ++this.#newest;
      this.#asked.set(number, { call, resolve, reject } as unknown as Asked);
      this.#question(call, number, args);
    });
  }

  /** As `ask`, for what needs no answer. */
  tell<A>(call: Call<A, void>, args: A): void {
    if (this.#lost === undefined) this.#question(call, 0, args);
  }

  #question<A, R>(call: Call<A, R>, number: number, args: A): void {
    const w = new Writer(1_024).byte(QUESTION).uvarint(number).byte(call.code);
    call.args.write(w, args);
    this.#send(w.finish());
  }

  /** @throws {CodecError} on what the other end cannot have sent */
  receive(message: Uint8Array): void {
    const r = new Reader(message);
    const kind = r.byte();
    const number = r.uvarint();
    if (kind === QUESTION) {
      const handler = this.#handlers.get(r.byte());
      assert(handler !== undefined, "every call has a handler");
      const args = handler.call.args.read(r);
      r.end();
      void this.#run(handler, number, args);
      return;
    }
    const asked = this.#asked.get(number);
    if (asked === undefined) return;
    this.#asked.delete(number);
    if (kind === ANSWER) {
      const value = asked.call.result.read(r);
      r.end();
      asked.resolve(value);
    } else asked.reject(faultOf(r.text(), r.text(), r.text(1 << 20)));
  }

  async #run(handler: Handler, number: number, args: unknown): Promise<void> {
    let reply: Writer;
    try {
      const value = handler.run(args);
      const result: unknown = value instanceof Promise ? await value : value;
      if (number === 0) return;
      reply = new Writer(1_024).byte(ANSWER).uvarint(number);
      handler.call.result.write(reply, result);
    } catch (error) {
      // Nobody waits: an error in what was only told ends the worker, as any other error in it would.
      if (number === 0) {
        setImmediate(() => {
          throw error;
        });
        return;
      }
      const { message } = error as Error;
      const { name, code } = error instanceof CodedError ? error : { name: "", code: "" };
      reply = new Writer(256).byte(FAULT).uvarint(number).text(name).text(code);
      reply.text(message.slice(0, 4_096));
    }
    this.#send(reply.finish());
  }

  /** The link is lost: nothing is asked or answered any more. */
  lose(cause: Error): void {
    if (this.#lost !== undefined) return;
    this.#lost = cause;
    for (const { reject } of this.#asked.values()) reject(cause);
    this.#asked.clear();
  }
}

/** The error as it was thrown at the other end. */
function faultOf(name: string, code: string, message: string): Error {
  const domain = name.replace(/Error$/, "");
  const doc = ERROR_CATALOGUES.get(domain)?.[code];
  return doc === undefined ? new Error(message) : new CodedError(domain, code, doc, message.slice(code.length + 2), {});
}
