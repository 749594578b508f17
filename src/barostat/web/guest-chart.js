// The chart of one VM: live from the stream, or older from the daemon's history where it keeps one.
import { useState } from "./vendor/preact-hooks.js";
import { ask, guestPath, refusal } from "./api.js";
import { Chart, CHART_FIELDS } from "./chart.js";
import { size } from "./format.js";
import { html } from "./html.js";
import { guestSeries, moves, shownAt } from "./store.js";

const LIVE = 0;
const MOST_MARKS = 200; // more would be a wall
const PERIODS = [
  [LIVE, "Live"],
  [3600, "1 h"],
  [6 * 3600, "6 h"],
  [24 * 3600, "1 day"],
  [7 * 24 * 3600, "7 days"],
];

function liveColumns(name) {
  const series = guestSeries(name);
  return series ? [series.column("at_s"), ...CHART_FIELDS.map((field) => series.column(field))] : null;
}

// Gives { columns, moves }, or { refused } where the daemon has nothing of that time.
async function askPast(name, seconds) {
  const since = Math.floor(Date.now() / 1000 - seconds);
  const [samples, decisions] = await Promise.all([
    ask("GET", guestPath(name, `/history?since_s=${since}`)),
    ask("GET", `/v1/moves?guest=${encodeURIComponent(name)}&since_s=${since}&limit=${MOST_MARKS}`),
  ]);
  const refused = [samples, decisions].find((answer) => answer.status !== 200);
  if (refused) return { refused: refusal(refused).says };
  if (samples.body.samples.length === 0) return { refused: "Nothing was recorded of it in this time." };
  const column = (field) => samples.body.samples.map((sample) => sample[field] ?? null);
  return {
    columns: [column("at_s"), ...CHART_FIELDS.map(column)],
    moves: decisions.body.decisions.filter(({ kind }) => kind !== null),
  };
}

function Periods({ period, choose }) {
  return html`<div class="choices" role="group" aria-label="Period">
    ${PERIODS.map(
      ([seconds, label]) => html`<button key=${seconds} aria-pressed=${period === seconds} onClick=${() => choose(seconds)}>
        ${label}
      </button>`,
    )}
  </div>`;
}

export function GuestChart({ guest }) {
  const [period, setPeriod] = useState(LIVE);
  const [past, setPast] = useState({});
  const { name } = guest;
  async function choose(seconds) {
    const found = seconds === LIVE ? {} : await askPast(name, seconds);
    setPast(found);
    setPeriod(found.refused ? LIVE : seconds);
  }
  shownAt.value; // drawn anew with every pass
  const columns = past.columns ?? liveColumns(name);
  const spoken = `Memory over time. Now assigned ${size(guest.assigned_bytes)}, demand ${size(guest.demand_bytes)}, target ${size(guest.target_bytes)}.`;
  return html`<section class="panel" aria-labelledby="over-time">
    <div class="panel-head">
      <h2 id="over-time">Memory over time</h2>
      <${Periods} period=${period} choose=${choose} />
    </div>
    ${past.refused && html`<p class="muted" role="status">${past.refused}</p>`}
    ${columns && html`<${Chart} columns=${columns} span=${period} moves=${past.moves ?? moves.value.filter((move) => move.guest === name)} spoken=${spoken} />`}
  </section>`;
}
