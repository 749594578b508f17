// The chart of one VM: live from the stream, or older from the daemon's history where it keeps one.
import { useEffect, useState } from "./vendor/preact-hooks.js";
import { ask, guestPath } from "./api.js";
import { Chart, CHART_FIELDS } from "./chart.js";
import { size } from "./format.js";
import { html } from "./html.js";
import { guestSeries, moves, shownAt } from "./store.js";

const LIVE = 0;
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

async function pastColumns(name, seconds) {
  const since = Math.floor(Date.now() / 1000 - seconds);
  const { status, body } = await ask("GET", guestPath(name, `/history?since_s=${since}`));
  if (status !== 200) return null;
  const { samples } = body;
  return [samples.map(({ at_s }) => at_s), ...CHART_FIELDS.map((field) => samples.map((sample) => sample[field] ?? null))];
}

export function GuestChart({ guest }) {
  const [period, setPeriod] = useState(LIVE);
  const [past, setPast] = useState(null);
  const [kept, setKept] = useState(false);
  const { name } = guest;
  useEffect(() => {
    pastColumns(name, PERIODS[1][0]).then((columns) => setKept(columns !== null));
  }, [name]);
  async function choose(seconds) {
    setPast(seconds === LIVE ? null : await pastColumns(name, seconds));
    setPeriod(seconds);
  }
  shownAt.value; // drawn anew with every pass
  const columns = past ?? liveColumns(name);
  const spoken = `Memory over time. Now assigned ${size(guest.assigned_bytes)}, demand ${size(guest.demand_bytes)}, target ${size(guest.target_bytes)}.`;
  return html`<section class="panel" aria-labelledby="over-time">
    <div class="panel-head">
      <h2 id="over-time">Memory over time</h2>
      ${kept &&
      html`<div class="choices" role="group" aria-label="Period">
        ${PERIODS.map(
          ([seconds, label]) => html`<button key=${seconds} aria-pressed=${period === seconds} onClick=${() => choose(seconds)}>
            ${label}
          </button>`,
        )}
      </div>`}
    </div>
    ${columns && html`<${Chart} columns=${columns} moves=${moves.value.filter((move) => move.guest === name)} spoken=${spoken} />`}
  </section>`;
}
