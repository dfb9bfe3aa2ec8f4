/** Owns links that lose, repeat, delay and reorder messages, cut workers off in the middle, and stall. */

import type { OpenLink } from "../../../link/link.ts";
import type { Random } from "../../wasm/testing/random-program.ts";

export type Chaos = {
  /** Percent of answers lost, sent twice, late, and after which the executor dies. */
  readonly losses: number;
  readonly repeats: number;
  readonly delays: number;
  readonly deaths: number;
  /** Late messages hold back those behind them, and messages to the worker are lost too: for key shards. */
  readonly isOrdered?: boolean;
};

/** The link behind `open`, with what its worker answers in disorder. */
export function chaosLink(open: OpenLink, chaos: Chaos, random: Random): OpenLink {
  return ({ received, lost }) => {
    let isOpen = true;
    const deliver = (message: Uint8Array): void => {
      if (isOpen) received(message);
    };
    const held: Uint8Array[] = [];
    const release = (): void => {
      for (const message of held.splice(0)) deliver(message);
    };
    const arrive = (message: Uint8Array): void => {
      const isLate = random.chance(chaos.delays);
      if (chaos.isOrdered === true && (isLate || held.length > 0)) {
        if (held.push(message) === 1) setTimeout(release, random.below(8));
      } else if (isLate) setTimeout(() => deliver(message), random.below(8));
      else deliver(message);
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
        for (const copy of copies) arrive(copy);
      },
      lost,
    });
    return {
      send: (message) => {
        if (!isOpen || (chaos.isOrdered === true && random.chance(chaos.losses))) return;
        if (chaos.isOrdered === true && random.chance(chaos.repeats)) link.send(message.slice());
        link.send(message);
      },
      close: () => {
        isOpen = false;
        return link.close();
      },
    };
  };
}
