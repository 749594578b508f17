// All VMs, a row each: sorted, filtered, and rendered anew only where a row says something else.
import { Component } from "./vendor/preact.js";
import { computed, signal } from "./vendor/signals.js";
import { html } from "./html.js";
import { capital, percent, size } from "./format.js";
import { guestAddress } from "./route.js";
import { Sparkline } from "./sparkline.js";
import { StatusPill } from "./status.js";
import { guestSeries, guests } from "./store.js";

const RANKS = { Warning: 0, Low: 1, OK: 2, "-": 3 };

const DEPTHS = ["static", "balloon", "qga", "agent"];

const COLUMNS = [
  { id: "name", name: "VM", value: (guest) => guest.name },
  { id: "status", name: "Status", value: (guest) => RANKS[guest.status] },
  { id: "assigned", name: "Assigned", value: (guest) => guest.assigned_bytes },
  { id: "demand", name: "Demand", value: (guest) => guest.demand_bytes },
  { id: "pressure", name: "Pressure", value: (guest) => guest.pressure },
  { id: "target", name: "Target", value: (guest) => guest.target_bytes },
  { id: "depth", name: "Depth", value: (guest) => DEPTHS.indexOf(guest.depth) },
  { id: "line", name: "Last 3 min" },
  { id: "why", name: "What is done, and why" },
];

const sorting = signal({ column: "status", down: false });
const words = signal("");
const only = signal("");

const naturally = new Intl.Collator(undefined, { numeric: true });

function compare(one, other) {
  if (typeof one === "string") return naturally.compare(one, other);
  return one - other;
}

const rows = computed(() => {
  const { column, down } = sorting.value;
  const { value } = COLUMNS.find(({ id }) => id === column);
  const sought = words.value.trim().toLowerCase();
  const found = guests.value.filter(
    (guest) => guest.name.toLowerCase().includes(sought) && (only.value === "" || guest.status === only.value),
  );
  return found.sort((one, other) => {
    const [left, right] = [value(one), value(other)];
    if (left === null || right === null) return (left === null) - (right === null);
    return (down ? -1 : 1) * compare(left, right) || naturally.compare(one.name, other.name);
  });
});

function sortBy(id) {
  const { column, down } = sorting.value;
  // Numbers are looked at from the largest on.
  const first = id !== "name" && id !== "status";
  sorting.value = { column: id, down: column === id ? !down : first };
}

function Heading({ id, name, value }) {
  const { column, down } = sorting.value;
  if (!value) return html`<th scope="col" class="col-${id}">${name}</th>`;
  const order = column === id ? (down ? "descending" : "ascending") : undefined;
  return html`<th scope="col" class="col-${id}" aria-sort=${order}>
    <button onClick=${() => sortBy(id)}>
      ${name}<span class="sort" aria-hidden="true">${order ? (down ? "▾" : "▴") : ""}</span>
    </button>
  </th>`;
}

const ARROWS = { grow: "▲", shrink: "▼", cancel: "■", nudge: "↻" };

function shownOf(guest) {
  return [
    guest.name,
    guest.status,
    guest.run_state,
    size(guest.assigned_bytes),
    size(guest.demand_bytes),
    percent(guest.pressure),
    size(guest.target_bytes),
    guest.depth,
    guest.move?.kind ?? "",
    guest.why,
  ];
}

class Row extends Component {
  shouldComponentUpdate({ shown }) {
    return shown.some((value, place) => value !== this.props.shown[place]);
  }

  render({ shown, pressure }) {
    const [name, status, runState, assigned, demand, pressed, target, depth, move, why] = shown;
    return html`<tr>
      <th scope="row" class="col-name">
        <a href=${guestAddress(name)}>${name}</a>
        ${runState !== "running" && html`<span class="run-state">${runState}</span>`}
        <span class="only-small"><${StatusPill} status=${status} /></span>
      </th>
      <td class="col-status"><${StatusPill} status=${status} /></td>
      <td class="col-assigned">${assigned}</td>
      <td class="col-demand">${demand}</td>
      <td class="col-pressure">
        ${pressed}
        <span class="meter meter-${status === "-" ? "unjudged" : status.toLowerCase()}" aria-hidden="true">
          <span style=${{ transform: `scaleX(${Math.min(pressure ?? 0, 1)})` }}></span>
        </span>
      </td>
      <td class="col-target">${target}</td>
      <td class="col-depth">${depth}</td>
      <td class="col-line">
        <${Sparkline} series=${guestSeries(name)} area="assigned_bytes" lines=${["demand_bytes"]} />
      </td>
      <td class="col-why" title=${capital(why)}>
        ${move && html`<span class="arrow arrow-${move}" aria-hidden="true">${ARROWS[move]}</span>`}${capital(why)}
      </td>
    </tr>`;
  }
}

function Filters() {
  const shown = rows.value.length;
  const all = guests.value.length;
  return html`<div class="filters" role="search">
    <input type="search" aria-label="Only VMs with this in their names" placeholder="Filter by name"
      value=${words.value} onInput=${(event) => (words.value = event.currentTarget.value)} />
    <select aria-label="Only VMs with this status" value=${only.value}
      onChange=${(event) => (only.value = event.currentTarget.value)}>
      <option value="">Every status</option>
      <option>Warning</option>
      <option>Low</option>
      <option>OK</option>
      <option value="-">Not judged</option>
    </select>
    <span class="muted" role="status">${shown === all ? `${all} VMs` : `${shown} of ${all} VMs`}</span>
  </div>`;
}

export function GuestTable() {
  return html`<section class="panel guests" aria-labelledby="guests">
    <div class="panel-head"><h2 id="guests">VMs</h2><${Filters} /></div>
    <div class="scroll" tabindex="0" role="group" aria-label="Table of VMs">
      <table>
        <thead>
          <tr>${COLUMNS.map((column) => html`<${Heading} key=${column.id} ...${column} />`)}</tr>
        </thead>
        <tbody>
          ${rows.value.map(
            (guest) => html`<${Row} key=${guest.name} shown=${shownOf(guest)} pressure=${guest.pressure} />`,
          )}
        </tbody>
      </table>
      ${rows.value.length === 0 && html`<p class="empty">${guests.value.length ? "No VM fits." : "No VM is running."}</p>`}
    </div>
  </section>`;
}
