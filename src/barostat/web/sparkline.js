// Small lines on canvases. Only those that are to be seen are drawn, all at once after a pass.
import { effect } from "./vendor/signals.js";
import { useEffect, useRef } from "./vendor/preact-hooks.js";
import { html } from "./html.js";
import { shownAt } from "./store.js";
import { colour, colours } from "./theme.js";

const MOST_LOOKS = 180; // three minutes
const FEWEST_LOOKS = 20; // the width of a page that was just opened

const drawers = new Map(); // canvas -> how to draw it
const visible = new Set();

const watcher = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (isIntersecting) {
      visible.add(target);
      drawers.get(target)?.();
    } else visible.delete(target);
  }
});

let inks = {};

effect(() => {
  colours.value;
  inks = { area: colour("--line-area"), lines: [colour("--line-1"), colour("--line-2")] };
  for (const canvas of visible) drawers.get(canvas)();
});

effect(() => {
  shownAt.value;
  for (const canvas of visible) drawers.get(canvas)();
});

function highest(series, fields, looks) {
  let most = 0;
  for (const field of fields) {
    for (let back = 0; back < looks; back++) {
      const value = series.back(field, back);
      if (value > most) most = value;
    }
  }
  return most;
}

function trace(context, series, field, { looks, span, width, height, most }) {
  context.beginPath();
  let drawing = false;
  for (let back = looks - 1; back >= 0; back--) {
    const value = series.back(field, back);
    if (Number.isNaN(value)) {
      drawing = false;
      continue;
    }
    const x = width - (back * width) / (span - 1);
    const y = height - 1.5 - (value / most) * (height - 3);
    if (drawing) context.lineTo(x, y);
    else context.moveTo(x, y);
    drawing = true;
  }
}

function draw(canvas, series, area, lines) {
  const ratio = devicePixelRatio;
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
  if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio);
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  const looks = Math.min(series.length, MOST_LOOKS);
  const most = highest(series, area ? [area, ...lines] : lines, looks);
  if (looks < 2 || most <= 0) return;
  const span = Math.max(looks, FEWEST_LOOKS);
  const frame = { looks, span, width, height, most };
  if (area) {
    trace(context, series, area, frame);
    context.lineTo(width, height);
    context.lineTo(width - ((looks - 1) * width) / (span - 1), height);
    context.fillStyle = inks.area;
    context.fill();
  }
  context.lineWidth = 1.25;
  context.lineJoin = "round";
  lines.forEach((field, place) => {
    trace(context, series, field, frame);
    context.strokeStyle = inks.lines[place];
    context.stroke();
  });
}

// `area` is filled, `lines` are drawn above it. What it shows is said in words beside it.
export function Sparkline({ series, area, lines, class: className }) {
  const canvas = useRef(null);
  useEffect(() => {
    const element = canvas.current;
    drawers.set(element, () => draw(element, series, area, lines));
    watcher.observe(element);
    return () => {
      watcher.unobserve(element);
      visible.delete(element);
      drawers.delete(element);
    };
  }, [series]);
  return html`<canvas ref=${canvas} class="sparkline ${className ?? ""}" aria-hidden="true"></canvas>`;
}
