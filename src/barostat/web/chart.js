// A VM's memory over time: what it has against what it needs, its limits, and when it was moved.
import uPlot from "./vendor/uplot.js";
import { useEffect, useRef } from "./vendor/preact-hooks.js";
import { html } from "./html.js";
import { dayAndTime, size, timeOfDay } from "./format.js";
import { colour, colours } from "./theme.js";

const HEIGHT = 280;
const NARROWEST_S = 60; // a page that was just opened fills up from the right
const HEADROOM = 1.15;
const HOUR_S = 3600;
const DAY_S = 24 * HOUR_S;
const MIB = 2 ** 20;

// Ticks at sizes that people use: powers of two of a MiB.
const STEPS = Array.from({ length: 30 }, (_, power) => MIB * 2 ** power);

const LINES = [
  { field: "assigned_bytes", label: "Assigned", ink: "--line-3", width: 2, fill: "--line-area" },
  { field: "demand_bytes", label: "Demand", ink: "--line-1", width: 2 },
  { field: "target_bytes", label: "Target", ink: "--line-2", width: 1.25, dash: [4, 4] },
  { field: "maximum_bytes", label: "Maximum", ink: "--line-limit", width: 1, dash: [2, 4] },
  { field: "minimum_bytes", label: "Minimum", ink: "--line-limit", width: 1, dash: [2, 4] },
];

export const CHART_FIELDS = LINES.map(({ field }) => field);

function marks(newest) {
  return (plot) => {
    const { ctx: context, bbox } = plot;
    const [from, to] = [plot.scales.x.min, plot.scales.x.max];
    context.save();
    context.setLineDash([]);
    for (const move of newest().moves) {
      if (move.at_s < from || move.at_s > to || move.kind === "nudge") continue;
      const x = Math.round(plot.valToPos(move.at_s, "x", true));
      const ink = colour(move.kind === "grow" ? "--grow" : move.kind === "shrink" ? "--shrink" : "--muted");
      context.strokeStyle = context.fillStyle = ink;
      context.globalAlpha = 0.35;
      context.lineWidth = devicePixelRatio;
      context.beginPath();
      context.moveTo(x, bbox.top);
      context.lineTo(x, bbox.top + bbox.height);
      context.stroke();
      context.globalAlpha = 1;
      arrow(context, x, bbox.top, move.kind);
    }
    context.restore();
  };
}

function arrow(context, x, top, kind) {
  const half = 4 * devicePixelRatio;
  const [tip, base] = kind === "grow" ? [top, top + 2 * half] : [top + 2 * half, top];
  context.beginPath();
  context.moveTo(x, tip);
  context.lineTo(x - half, base);
  context.lineTo(x + half, base);
  context.fill();
}

// What is had, needed and meant must be seen well; a limit far above it need not be seen at all.
function highest([, ...columns]) {
  const of = (values) => values.reduce((most, value) => Math.max(most, value ?? 0), 0);
  const [assigned, demand, target, maximum] = columns.map(of);
  const most = Math.max(assigned, demand, target, MIB);
  return HEADROOM * (maximum <= 2 * most ? Math.max(most, maximum) : most);
}

function when({ scales: { x } }, at) {
  const span = x.max - x.min;
  if (span > DAY_S) return dayAndTime(at);
  return span > HOUR_S / 2 ? timeOfDay(at).slice(0, 5) : timeOfDay(at);
}

function extent(at, { span }) {
  const to = at.at(-1);
  return [span ? to - span : Math.min(at[0], to - NARROWEST_S), to];
}

// `newest` gives the moves to mark, and how long the time is that is shown, 0 for all there is.
function options(width, newest) {
  const [grid, text] = [colour("--line"), colour("--muted")];
  const axis = { stroke: text, grid: { stroke: grid, width: 1 }, ticks: { show: false }, font: "12px system-ui" };
  return {
    width,
    height: HEIGHT,
    cursor: { points: { size: 7 }, drag: { x: false, y: false } },
    scales: {
      x: { time: true, range: (plot) => extent(plot.data[0], newest()) },
      y: { range: (plot) => [0, highest(plot.data)] },
    },
    axes: [
      { ...axis, values: (plot, at) => at.map((value) => when(plot, value)), space: 90 },
      { ...axis, values: (_, at) => at.map(size), incrs: STEPS, size: 72 },
    ],
    series: [
      { label: "Time", value: (plot, at) => (at === null ? "–" : when(plot, at)) },
      ...LINES.map(({ label, ink, width: thick, dash, fill }) => ({
        label,
        dash,
        width: thick,
        stroke: colour(ink),
        fill: fill && colour(fill),
        points: { show: false },
        value: (_, bytes) => size(bytes),
      })),
    ],
    hooks: { draw: [marks(newest)] },
  };
}

// `columns` is what uPlot wants: times, then a column for each of CHART_FIELDS.
export function Chart({ columns, moves, span, spoken }) {
  const place = useRef(null);
  const plot = useRef(null);
  const newest = useRef();
  newest.current = { moves, span };
  useEffect(() => {
    const element = place.current;
    const made = new uPlot(options(element.clientWidth, () => newest.current), columns, element);
    plot.current = made;
    const watcher = new ResizeObserver(() => {
      if (element.clientWidth !== made.width) made.setSize({ width: element.clientWidth, height: HEIGHT });
    });
    watcher.observe(element);
    return () => {
      watcher.disconnect();
      made.destroy();
    };
  }, [colours.value]);
  useEffect(() => {
    const made = plot.current;
    made.setData(columns);
    if (made.cursor.left < 0) made.setLegend({ idx: columns[0].length - 1 }); // nobody points at anything
  }, [columns]);
  return html`<div class="chart" ref=${place} role="img" aria-label=${spoken}></div>`;
}
