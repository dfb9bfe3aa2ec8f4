/** Owns links within one thread: for tests, and where threads cannot be had. Messages arrive in later turns. */
import type { Host, OpenLink, Receive } from "./link.ts";

export function localLink(host: Host): OpenLink {
  return ({ received, lost }) => {
    let isOpen = true;
    const end = (error: unknown): void => {
      if (!isOpen) return;
      isOpen = false;
      lost(error as Error);
    };
    const opened = Promise.resolve(
      host((message) => {
        setImmediate(() => {
          if (isOpen) received(message);
        });
      }),
    );
    opened.catch(end);
    let receive: Receive | undefined;
    const waiting: Uint8Array[] = [];
    const take = (message: Uint8Array): void => {
      if (!isOpen) return;
      try {
        receive?.(message);
      } catch (error) {
        end(error);
      }
    };
    void opened.then((ready) => {
      receive = ready;
      for (const message of waiting.splice(0)) take(message);
    }, end);
    return {
      send: (message) => {
        setImmediate(() => {
          if (receive === undefined) waiting.push(message);
          else take(message);
        });
      },
      close: () => {
        isOpen = false;
        return Promise.resolve();
      },
    };
  };
}
