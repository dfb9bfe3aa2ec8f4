/**
 * Owns the certificate of a running process: its files are looked at now and then, and when they hold another one it is
 * used from the next link on, both ways. Links that stand are not touched, so a renewal (`sheaf pki renew`) costs
 * nothing. How long the certificate is valid is a metric, and a process whose links would soon be refused says so.
 * On failure: files that cannot be read, or do not go together, leave the certificate that was read before in place.
 */
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import { Loop } from "../base/loop.ts";
import type { GaugeHandle, Metrics } from "../base/metrics.ts";
import type { Service } from "../base/service.ts";
import type { Credentials } from "../link/tls-link.ts";
import type { Network, ProcessSpec } from "./network-file.ts";
import { certificateEndMs, credentialsOf } from "./pki.ts";

const LOOK_MS = 10_000;
/** Readiness says that a certificate ends so long before it does. */
const WARN_MS = 86_400_000;

export class LiveCredentials implements Service {
  readonly name = "certificate";
  readonly #read: () => Credentials;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #left: GaugeHandle;
  readonly #listeners = new Set<(credentials: Credentials) => void>();
  #current: Credentials;

  /** @throws {NetworkError} NETWORK_KEY_FILE */
  constructor(network: Network, process: ProcessSpec, p: { log: Log; metrics: Metrics; clock: Clock }) {
    this.#read = () => credentialsOf(network, process, p.clock.nowMs());
    this.#clock = p.clock;
    this.#log = p.log;
    this.#left = p.metrics.gauge(
      "sheaf_certificate_seconds_left",
      "How long the certificate of this process is valid (alert CertificateEnds: below a week).",
    );
    this.#current = this.#read();
    this.#measure();
  }

  get current(): Credentials {
    return this.#current;
  }

  /** Calls `listener` when there are others. */
  onChange(listener: (credentials: Credentials) => void): void {
    this.#listeners.add(listener);
  }

  notReady(): string | undefined {
    const leftMs = certificateEndMs(this.#current.certificate) - this.#clock.nowMs();
    return leftMs > WARN_MS ? undefined : "the certificate ends within a day: sheaf pki renew";
  }

  run(signal: AbortSignal): Promise<void> {
    const step = (): Promise<void> => Promise.resolve(this.look());
    return new Loop(this.name, step, { everyMs: LOOK_MS, log: this.#log, clock: this.#clock }).run(signal);
  }

  /** Reads the files. @throws {NetworkError} NETWORK_KEY_FILE */
  look(): void {
    this.#measure();
    const read = this.#read();
    if (read.certificate === this.#current.certificate) return;
    for (const listener of this.#listeners) listener(read);
    this.#current = read;
    this.#measure();
    this.#log.info("the certificate was renewed", { untilMs: certificateEndMs(read.certificate) });
  }

  #measure(): void {
    this.#left.set((certificateEndMs(this.#current.certificate) - this.#clock.nowMs()) / 1_000);
  }
}
