/** Owns links that lose, repeat, delay and reorder messages, cut executors off in the middle, and stall. */

import type { OpenLink } from "../../../link/link.ts";
import type { Random } from "../../wasm/testing/random-program.ts";

export type Chaos = {
  /** Percent of answers lost, sent twice, late, and after which the executor dies. */
  readonly losses: number;
  readonly repeats: number;
  readonly delays: number;
  readonly deaths: number;
};

/** The link behind `open`, with what its executor answers in disorder. */
export function chaosLink(open: OpenLink, chaos: Chaos, random: Random): OpenLink {
  return ({ received, lost }) => {
    let isOpen = true;
    const deliver = (message: Uint8Array): void => {
      if (isOpen) received(message);
    };
    const link = open({
      received: (message) => {
        if (!isOpen || random.chance(chaos.losses)) return;
        if (random.chance(chaos.deaths)) {
          isOpen = false;
          setImmediate(() => lost(new Error("killed")));
          return;
        }
        const copies = random.chance(chaos.repeats) ? [message, message.slice()] : [message];
        for (const copy of copies)
          if (random.chance(chaos.delays)) setTimeout(() => deliver(copy), random.below(8));
          else deliver(copy);
      },
      lost,
    });
    return {
      send: (message) => {
        if (isOpen) link.send(message);
      },
      close: () => {
        isOpen = false;
        return link.close();
      },
    };
  };
}
