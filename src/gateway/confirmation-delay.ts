/**
 * Owns the measurement of the confirmation delay: when each transaction arrived, and what passed until it was executed
 * below the watermark. Invariant: memory is bounded; what overflows is forgotten unmeasured, never mismeasured.
 */
import { toHexKey } from "../base/bytes.ts";
import type { Clock } from "../base/clock.ts";
import type { GatewayMetrics } from "./metrics.ts";

const WAITING_MAX = 262_144;
const SAMPLES_MAX = 8_192;
const WINDOW_MS = 60_000;

export class ConfirmationDelay {
  readonly #clock: Clock;
  readonly #metrics: GatewayMetrics;
  /** Arrival time by transaction hash; oldest first. */
  readonly #arrivals = new Map<string, number>();
  /** Ring of the newest delays and when they were seen. */
  readonly #delaysSeconds = new Float64Array(SAMPLES_MAX);
  readonly #seenAtMs = new Float64Array(SAMPLES_MAX);
  #count = 0;

  constructor(clock: Clock, metrics: GatewayMetrics) {
    this.#clock = clock;
    this.#metrics = metrics;
  }

  get waiting(): number {
    return this.#arrivals.size;
  }

  /** A transaction came in; the first arrival of a hash counts. */
  arrived(hash: Uint8Array, atMs: number): void {
    const key = toHexKey(hash);
    if (this.#arrivals.has(key)) return;
    this.#arrivals.set(key, atMs);
    if (this.#arrivals.size > WAITING_MAX) {
      const [oldest] = this.#arrivals.keys();
      if (oldest !== undefined) this.#arrivals.delete(oldest);
    }
  }

  /** It was refused: nothing to wait for. */
  refused(hash: Uint8Array): void {
    this.#arrivals.delete(toHexKey(hash));
  }

  confirmed(hashes: readonly Uint8Array[]): void {
    if (this.#arrivals.size === 0) return;
    const nowMs = this.#clock.nowMs();
    for (const hash of hashes) {
      const key = toHexKey(hash);
      const arrivedMs = this.#arrivals.get(key);
      if (arrivedMs === undefined) continue;
      this.#arrivals.delete(key);
      const seconds = Math.max(0, nowMs - arrivedMs) / 1_000;
      this.#metrics.confirmationDelaySeconds.observe(seconds);
      const at = this.#count++ % SAMPLES_MAX;
      this.#delaysSeconds[at] = seconds;
      this.#seenAtMs[at] = nowMs;
    }
  }

  /** Recomputes the gauge from the last minute; without traffic in it the gauge is zero. */
  refresh(): void {
    this.#metrics.confirmationDelayP95.set(this.p95Seconds());
  }

  p95Seconds(): number {
    const sinceMs = this.#clock.nowMs() - WINDOW_MS;
    const held = Math.min(this.#count, SAMPLES_MAX);
    const recent: number[] = [];
    for (let i = 0; i < held; i++)
      if ((this.#seenAtMs[i] as number) >= sinceMs) recent.push(this.#delaysSeconds[i] as number);
    if (recent.length === 0) return 0;
    recent.sort((a, b) => a - b);
    return recent[Math.min(recent.length - 1, Math.ceil(recent.length * 0.95) - 1)] as number;
  }
}
