/**
 * Owns the picture of a benchmark: speed over the serial engine by executors, both axes logarithmic, one panel for each
 * workload. Lines are what was drawn in virtual time, dots what was really measured, the grey area what no number of
 * executors reaches.
 */
import type { BenchReport, WorkloadReport } from "./bench.ts";

const PANEL = { width: 520, height: 380, left: 84, right: 24, top: 62, bottom: 92 };
const COLUMNS = 2;
const COLORS = ["#0b62a4", "#d1570c", "#2a8a3e", "#7a3fa0", "#8a6d1a"];
const LEAST = 0.25;

/** An SVG document. */
export function plotReport(report: BenchReport): string {
  const panels = report.workloads;
  const columns = Math.min(COLUMNS, Math.max(1, panels.length));
  const rows = Math.max(1, Math.ceil(panels.length / columns));
  const width = columns * PANEL.width;
  const height = rows * PANEL.height + 56;
  const body = panels.map(
    (w, i) =>
      `<g transform="translate(${(i % columns) * PANEL.width} ${Math.floor(i / columns) * PANEL.height})">${panel(w, report)}</g>`,
  );
  const { machine, options } = report;
  const notes = [
    `${machine.cores} × ${machine.cpu}, node ${machine.node}; epochs of ${options.txs} transactions, seed ${options.seed}.`,
    "Dots: real threads on this machine. Lines: virtual time, a core for each thread.",
  ];
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="DejaVu Sans, Helvetica, Arial, sans-serif" font-size="12">`,
    `<rect width="${width}" height="${height}" fill="white"/>`,
    ...body,
    ...notes.map((note, i) => text(14, height - 32 + 16 * i, note, { size: 11, fill: "#555" })),
    "</svg>",
    "",
  ].join("\n");
}

function panel(w: WorkloadReport, report: BenchReport): string {
  const counts = [...new Set([...w.real.map((r) => r.executors), ...w.simulated.map((r) => r.executors)])].sort(
    (a, b) => a - b,
  );
  const most = Math.max(2, ...counts);
  const values = [...w.real.map((r) => r.speedup.median), ...w.simulated.map((r) => r.speedup.median)];
  const low = Math.min(LEAST, ...values.map((v) => 2 ** Math.floor(Math.log2(Math.max(v, 1 / 64)))));
  const across = PANEL.width - PANEL.left - PANEL.right;
  const down = PANEL.height - PANEL.top - PANEL.bottom;
  const x = (executors: number): number => PANEL.left + (Math.log2(executors) / Math.log2(most)) * across;
  const y = (speedup: number): number =>
    PANEL.top + down - (Math.log2(Math.max(speedup, low) / low) / Math.log2(most / low)) * down;
  const parts: string[] = [text(PANEL.left, 24, w.name, { size: 16, weight: "bold" })];
  parts.push(
    text(
      PANEL.left,
      42,
      `${w.serial.microsPerTx.toFixed(1)} µs a transaction serially (${Math.round(w.serial.txPerSecond).toLocaleString("en-US")} tx/s)`,
      { fill: "#555" },
    ),
  );
  parts.push(ceiling(w, x, y, most, low));
  for (const executors of powers(1, most)) {
    parts.push(line(x(executors), PANEL.top, x(executors), PANEL.top + down, "#e4e4e4"));
    parts.push(text(x(executors), PANEL.top + down + 16, String(executors), { anchor: "middle" }));
  }
  for (const speedup of powers(low, most)) {
    parts.push(
      line(PANEL.left, y(speedup), PANEL.left + across, y(speedup), speedup === 1 ? "#555" : "#e4e4e4", speedup === 1),
    );
    parts.push(
      text(PANEL.left - 6, y(speedup) + 4, speedup < 1 ? `1/${Math.round(1 / speedup)}×` : `${speedup}×`, {
        anchor: "end",
      }),
    );
  }
  parts.push(text(PANEL.left + across / 2, PANEL.top + down + 34, "executors", { anchor: "middle", fill: "#333" }));
  parts.push(
    `<text transform="translate(16 ${PANEL.top + down / 2}) rotate(-90)" text-anchor="middle" fill="#333">times the serial engine</text>`,
  );
  const networks = [...new Set(w.simulated.map((r) => r.network))];
  for (const [i, network] of networks.entries()) {
    const color = COLORS[i % COLORS.length] as string;
    const points = w.simulated.filter((r) => r.network === network).map((r) => [x(r.executors), y(r.speedup.median)]);
    parts.push(
      `<polyline fill="none" stroke="${color}" stroke-width="2" points="${points.map(([a, b]) => `${a?.toFixed(1)},${b?.toFixed(1)}`).join(" ")}"/>`,
    );
    for (const [a, b] of points)
      parts.push(`<circle cx="${a?.toFixed(1)}" cy="${b?.toFixed(1)}" r="2.5" fill="${color}"/>`);
  }
  for (const row of w.real.filter((r) => !r.isDeciding)) {
    const fill = row.isOversubscribed ? "white" : "black";
    parts.push(
      `<circle cx="${x(row.executors).toFixed(1)}" cy="${y(row.speedup.median).toFixed(1)}" r="4.5" fill="${fill}" stroke="black" stroke-width="1.5"/>`,
    );
  }
  parts.push(legend(networks, w, report, PANEL.top + down + 54));
  return parts.join("\n");
}

/** What lies above the bound. */
function ceiling(
  w: WorkloadReport,
  x: (n: number) => number,
  y: (s: number) => number,
  most: number,
  low: number,
): string {
  if (w.bounds === undefined) return "";
  const bound = Math.max(low, w.bounds.parallelism);
  const corner = Math.min(bound, most);
  const points = [
    [x(1), y(1)],
    [x(corner), y(corner)],
    [x(most), y(corner)],
    [x(most), y(most)],
    [x(1), y(most)],
  ];
  const area = `<polygon fill="#ececec" points="${points.map(([a, b]) => `${a?.toFixed(1)},${b?.toFixed(1)}`).join(" ")}"/>`;
  const edge = points.slice(0, 3).map(([a, b]) => `${a?.toFixed(1)},${b?.toFixed(1)}`);
  return `${area}<polyline fill="none" stroke="#999" stroke-width="1.5" stroke-dasharray="6 4" points="${edge.join(" ")}"/>`;
}

function legend(networks: readonly string[], w: WorkloadReport, report: BenchReport, top: number): string {
  const parts: string[] = [];
  let left = PANEL.left;
  const add = (mark: string, label: string): void => {
    parts.push(`<g transform="translate(${left} ${top})">${mark}${text(24, 4, label, { size: 11 })}</g>`);
    left += 36 + label.length * 6.6;
  };
  for (const [i, network] of networks.entries())
    add(
      `<line x1="0" y1="0" x2="18" y2="0" stroke="${COLORS[i % COLORS.length]}" stroke-width="2"/>`,
      network === "thread" ? "threads" : network.endsWith("ms") ? `${network} round trip` : network,
    );
  add(
    '<line x1="0" y1="0" x2="18" y2="0" stroke="#999" stroke-width="1.5" stroke-dasharray="6 4"/>',
    w.bounds === undefined ? "ceiling" : `ceiling (${w.bounds.parallelism.toFixed(0)}×)`,
  );
  top += 18;
  left = PANEL.left;
  add('<circle cx="9" cy="0" r="4.5" fill="black"/>', "measured");
  if (w.real.some((row) => row.isOversubscribed))
    add(
      '<circle cx="9" cy="0" r="4" fill="white" stroke="black" stroke-width="1.5"/>',
      `measured, more threads than the ${report.machine.cores} cores`,
    );
  return parts.join("");
}

function powers(from: number, to: number): number[] {
  const list: number[] = [];
  for (let at = from; at <= to * 1.0001; at *= 2) list.push(at);
  return list;
}

function line(x1: number, y1: number, x2: number, y2: number, stroke: string, isThick = false): string {
  return `<line x1="${x1.toFixed(1)}" y1="${y1.toFixed(1)}" x2="${x2.toFixed(1)}" y2="${y2.toFixed(1)}" stroke="${stroke}"${isThick ? ' stroke-width="1.5"' : ""}/>`;
}

function text(
  x: number,
  y: number,
  content: string,
  p: { size?: number; weight?: string; anchor?: string; fill?: string } = {},
): string {
  const attributes = [
    `x="${x.toFixed(1)}"`,
    `y="${y.toFixed(1)}"`,
    ...(p.size === undefined ? [] : [`font-size="${p.size}"`]),
    ...(p.weight === undefined ? [] : [`font-weight="${p.weight}"`]),
    ...(p.anchor === undefined ? [] : [`text-anchor="${p.anchor}"`]),
    ...(p.fill === undefined ? [] : [`fill="${p.fill}"`]),
  ];
  const escaped = content.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  return `<text ${attributes.join(" ")}>${escaped}</text>`;
}
