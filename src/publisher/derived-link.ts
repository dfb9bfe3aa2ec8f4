/**
 * Owns what derivation says over a link: a verifier tells each publisher that calls where it is whenever that changes,
 * in one message that is of one moment. A publisher that hears nothing more keeps the last one: derivation that stands
 * still is a case it knows.
 *
 *   safe number ‖ safe hash ‖ next index ‖ L1 number ‖ L1 hash ‖ waiting entries
 */
import { Reader, Writer } from "../base/binary.ts";
import { bytesEqual } from "../base/bytes.ts";
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import { Loop } from "../base/loop.ts";
import type { Service } from "../base/service.ts";
import type { Host, Link } from "../link/link.ts";
import type { LinkService } from "../link/tls-listener.ts";
import type { DerivedView } from "./api.ts";
import { publisherError } from "./segment-source.ts";

export const DERIVED_SERVICE = "derived";

/** Derivation moves once per L1 block. */
const LOOK_MS = 200;

export function encodeDerivedView(view: DerivedView): Uint8Array {
  const w = new Writer(96).uvarint(view.safe.number).fixed(view.safe.hash).uvarint(view.nextIndex);
  // -1 before the first look at L1.
  w.uvarint(view.l1Derived.number + 1).fixed(view.l1Derived.hash);
  return w.uvarint(view.waitingEntries).finish();
}

/** @throws {CodecError} */
export function decodeDerivedView(bytes: Uint8Array): DerivedView {
  const r = new Reader(bytes);
  const view = {
    safe: { number: r.uvarint(), hash: r.fixed(32) },
    nextIndex: r.uvarint(),
    l1Derived: { number: r.uvarint() - 1, hash: r.fixed(32) },
    waitingEntries: r.uvarint(),
  };
  r.end();
  return view;
}

/** The verifier's side. */
export class DerivedServer implements Service {
  readonly name = "derived views";
  readonly #view: () => DerivedView;
  readonly #loop: Loop;
  readonly #links = new Set<Link>();
  #told: Uint8Array = new Uint8Array(0);

  constructor(view: () => DerivedView, p: { readonly log: Log; readonly clock: Clock }) {
    this.#view = view;
    this.#loop = new Loop("derived views", () => Promise.resolve(this.#look()), { everyMs: LOOK_MS, ...p });
  }

  run(signal: AbortSignal): Promise<void> {
    return this.#loop.run(signal);
  }

  service(linksMax: number): LinkService {
    return {
      name: DERIVED_SERVICE,
      admits: ["publisher"],
      linksMax,
      frameBytesMax: 1_024,
      accept: (opened) => {
        const link = opened.attach({ received: () => undefined, lost: () => this.#links.delete(link) });
        this.#links.add(link);
        link.send(encodeDerivedView(this.#view()));
      },
    };
  }

  #look(): void {
    const now = encodeDerivedView(this.#view());
    if (bytesEqual(now, this.#told)) return;
    this.#told = now;
    for (const link of this.#links) link.send(now.slice());
  }
}

/** The publisher's side: its host is given to a calling service. */
export class DerivedClient {
  #view: DerivedView | undefined;

  readonly host: Host = () => (message) => {
    this.#view = decodeDerivedView(message);
  };

  get known(): DerivedView | undefined {
    return this.#view;
  }

  /** @throws {PublisherError} PUBLISHER_NOT_LINKED before the verifier has told */
  view(): DerivedView {
    if (this.#view === undefined)
      throw publisherError("PUBLISHER_NOT_LINKED", "no verifier has told where derivation is");
    return this.#view;
  }
}
