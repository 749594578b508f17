// The host at a look: how far its memory goes, who has it, and what was moved.
import { html } from "./html.js";
import { CapacityBar } from "./capacity-bar.js";
import { percent, size } from "./format.js";
import { GuestTable } from "./guest-table.js";
import { MoveFeed } from "./move-feed.js";
import { Sparkline } from "./sparkline.js";
import { guests, hostPressures, hostSeries, overview } from "./store.js";

const TIERS = {
  plenty: ["Plenty", "ok", "Nobody waits for memory."],
  buffers_cut: ["Tight", "low", "Needs are met; buffers are cut."],
  demand_cut: ["Short", "warning", "VMs get less than they need."],
  short: ["Far too short", "warning", "Even minimums do not fit: stop or move a VM."],
};

const STATUSES = ["Warning", "Low", "OK", "-"];

function Figure({ name, value, note, tone, series, field }) {
  return html`<div class="figure panel">
    <dt>${name}</dt>
    <dd>
      <span class="figure-value ${tone ? `tone-${tone}` : ""}">${value}</span>
      <span class="figure-note">${note}</span>
      ${series && html`<${Sparkline} series=${series} lines=${[field]} class="figure-line" />`}
    </dd>
  </div>`;
}

function pressureTone(ratio) {
  if (ratio === null) return undefined;
  return ratio > 1 ? "warning" : ratio > 0.9 ? "low" : undefined;
}

function Figures() {
  const { host } = overview.value;
  const { average_pressure, system_pressure } = hostPressures.value;
  const [tier, tone, meaning] = TIERS[host.tier];
  const counts = STATUSES.map((status) => [status, guests.value.filter((guest) => guest.status === status).length]);
  const said = counts.filter(([, count]) => count > 0).map(([status, count]) => `${count} ${status === "-" ? "not judged" : status}`);
  return html`<dl class="figures">
    <${Figure} name="Memory" value=${tier} tone=${tone} note=${meaning} />
    <${Figure} name="In hand" value=${size(host.in_hand_bytes)} note=${`of ${size(host.capacity_bytes)} for VMs`}
      series=${hostSeries} field="in_hand_bytes" />
    <${Figure} name="Average pressure" value=${percent(average_pressure)} tone=${pressureTone(average_pressure)}
      note="100 % is exactly enough" series=${hostSeries} field="average_pressure" />
    <${Figure} name="System pressure" value=${percent(system_pressure)} tone=${pressureTone(system_pressure)}
      note="all need over all there is" series=${hostSeries} field="system_pressure" />
    <${Figure} name="VMs" value=${guests.value.length} note=${said.join(" · ") || "none is running"} />
  </dl>`;
}

export function HostView() {
  return html`<h1 class="unseen">Host</h1>
    <${Figures} />
    <${CapacityBar} />
    <div class="columns">
      <${GuestTable} />
      <${MoveFeed} />
    </div>`;
}
