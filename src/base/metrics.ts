/**
 * Owns metrics: one registry per process, every metric declared in one typed call with help text (and unit in its name:
 * seconds, bytes, `_total`). Labels `rollup` and `cluster` are bound once per cluster. Names and help are collected so
 * that docs/reference/metrics.md is generated from code.
 */
import { Counter, Gauge, Histogram, Registry } from "prom-client";

export type MetricDoc = {
  name: string;
  type: "counter" | "gauge" | "histogram";
  help: string;
  labels: readonly string[];
};

/** All metrics ever declared in this process, for the reference page. */
export const METRIC_DOCS = new Map<string, MetricDoc>();

type Labels = Readonly<Record<string, string>>;

export type CounterHandle = { inc(value?: number, labels?: Labels): void };
export type GaugeHandle = { set(value: number, labels?: Labels): void };
export type HistogramHandle = { observe(value: number, labels?: Labels): void };

/** Declares metrics with bound labels. Declaring the same name again returns the same metric with other bound labels. */
export class Metrics {
  readonly registry: Registry;
  readonly #bound: Labels;

  constructor(registry: Registry = new Registry(), bound: Labels = {}) {
    this.registry = registry;
    this.#bound = bound;
  }

  withLabels(labels: Labels): Metrics {
    return new Metrics(this.registry, { ...this.#bound, ...labels });
  }

  #labelNames(type: MetricDoc["type"], name: string, help: string, own: readonly string[]): string[] {
    const labels = [...Object.keys(this.#bound), ...own];
    if (!METRIC_DOCS.has(name)) METRIC_DOCS.set(name, { name, type, help, labels });
    return labels;
  }

  counter(name: string, help: string, labelNames: readonly string[] = []): CounterHandle {
    const labels = this.#labelNames("counter", name, help, labelNames);
    const metric =
      (this.registry.getSingleMetric(name) as Counter | undefined) ??
      new Counter({ name, help, labelNames: labels, registers: [this.registry] });
    return { inc: (value = 1, extra = {}) => metric.inc({ ...this.#bound, ...extra }, value) };
  }

  gauge(name: string, help: string, labelNames: readonly string[] = []): GaugeHandle {
    const labels = this.#labelNames("gauge", name, help, labelNames);
    const metric =
      (this.registry.getSingleMetric(name) as Gauge | undefined) ??
      new Gauge({ name, help, labelNames: labels, registers: [this.registry] });
    return { set: (value, extra = {}) => metric.set({ ...this.#bound, ...extra }, value) };
  }

  histogram(
    name: string,
    help: string,
    buckets: readonly number[],
    labelNames: readonly string[] = [],
  ): HistogramHandle {
    const labels = this.#labelNames("histogram", name, help, labelNames);
    const metric =
      (this.registry.getSingleMetric(name) as Histogram | undefined) ??
      new Histogram({ name, help, labelNames: labels, buckets: [...buckets], registers: [this.registry] });
    return { observe: (value, extra = {}) => metric.observe({ ...this.#bound, ...extra }, value) };
  }
}

/** 1 ms to 10 s: spans a memory hit and a slow L1 round trip. */
export const LATENCY_BUCKETS_SECONDS = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
] as const;
