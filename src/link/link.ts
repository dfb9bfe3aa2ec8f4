/**
 * Owns the interface of a way to a worker: messages out, messages in, and the news that it is gone. The same for a
 * thread, another process and the same thread; callers cannot tell them apart. Messages are whole and in order; those
 * on their way when a link is lost are lost with it.
 */
export interface Link {
  /** Takes over the message's buffer. Sending over a lost link does nothing. */
  send(message: Uint8Array): void;
  close(): Promise<void>;
}

export type LinkEvents = {
  /** A message in a buffer of its own. */
  readonly received: (message: Uint8Array) => void;
  /** Nothing will be received any more. */
  readonly lost: (cause: Error) => void;
};

/** Opens a link; called again after a loss. */
export type OpenLink = (events: LinkEvents) => Link;

/**
 * The worker's side: given the way back (`send` takes over the buffer), it says what takes messages. What throws while
 * taking one ends the worker; the other side sees the link lost.
 */
export type Host = (send: (message: Uint8Array) => void) => Receive | Promise<Receive>;
export type Receive = (message: Uint8Array) => void;
