// All of the host's memory as one bar: who has it, what of that they need, and what is left.
import { html } from "./html.js";
import { percent, size } from "./format.js";
import { guestAddress } from "./route.js";
import { box, overview } from "./store.js";

// Narrower parts cannot be told apart: they are shown as one.
const NARROWEST = 0.004;

const TONES = { OK: "ok", Low: "low", Warning: "warning", "-": "unjudged" };

// The parts of the bar that are not VMs, in their order.
function others(seen, told) {
  const { in_hand_bytes, pool_bytes } = seen.host;
  const left = Math.max(0, in_hand_bytes);
  const pool = Math.min(left, pool_bytes);
  const parts = [
    ["pool", "kept for urgent grows", pool],
    ["free", "free", left - pool],
  ];
  if (told) {
    parts.push(
      ["overhead", "QEMU itself", told.overhead_bytes],
      ["foreign", "other VMs, hugepages", told.foreign_bytes + told.hugetlb_bytes],
      ["reserve", "the host's own", told.reserve_bytes],
    );
  }
  return parts.filter(([, , bytes]) => bytes > 0);
}

function needed(guest) {
  return Math.min(guest.promised_bytes, guest.demand_bytes ?? guest.promised_bytes);
}

function Part({ guest, total }) {
  const tip = `${guest.name}: has ${size(guest.promised_bytes)}, needs ${size(guest.demand_bytes)}`;
  const share = (100 * needed(guest)) / guest.promised_bytes;
  return html`<span class="part part-guest part-${TONES[guest.status]}" data-guest=${guest.name} title=${tip}
    style=${{ flexGrow: String(guest.promised_bytes / total) }}>
    <span class="part-needed" style=${{ width: `${share}%` }}></span>
    <span class="part-name">${guest.name}</span>
  </span>`;
}

function Rest({ kind, name, bytes, total }) {
  return html`<span class="part part-${kind}" title=${`${size(bytes)} ${name}`} style=${{ flexGrow: String(bytes / total) }}></span>`;
}

function Legend({ kind, name, bytes }) {
  return html`<li><span class="swatch part-${kind}" aria-hidden="true"></span><b>${size(bytes)}</b> ${name}</li>`;
}

// A short cut for who points at it; the table below has the same links for everybody.
function follow(event) {
  const part = event.target.closest("[data-guest]");
  if (part) location.hash = guestAddress(part.dataset.guest);
}

export function CapacityBar() {
  const seen = overview.value;
  const rest = others(seen, box.value);
  const all = seen.guests.filter((guest) => guest.promised_bytes > 0);
  const promised = Math.max(seen.host.promised_bytes, 1);
  const total = promised + rest.reduce((sum, [, , bytes]) => sum + bytes, 0);
  const wide = all.filter((guest) => guest.promised_bytes / total >= NARROWEST);
  wide.sort((one, other) => other.promised_bytes - one.promised_bytes || one.name.localeCompare(other.name));
  const narrow = all.filter((guest) => guest.promised_bytes / total < NARROWEST);
  const narrowBytes = narrow.reduce((sum, guest) => sum + guest.promised_bytes, 0);
  const need = all.reduce((sum, guest) => sum + needed(guest), 0);
  const aside = promised - all.reduce((sum, guest) => sum + guest.promised_bytes, 0);
  const spoken = `VMs have ${size(promised)} and need ${size(need)} of it; ${rest
    .map(([, name, bytes]) => `${size(bytes)} ${name}`)
    .join(", ")}.`;
  return html`<section class="panel capacity" aria-labelledby="capacity">
    <div class="panel-head">
      <h2 id="capacity">Where the memory is</h2>
      <span class="muted">
        ${size(seen.host.capacity_bytes)} for VMs, ${percent(promised / seen.host.capacity_bytes)} promised
      </span>
    </div>
    <div class="bar" role="img" aria-label=${spoken} onClick=${follow}>
      ${wide.map((guest) => html`<${Part} key=${guest.name} guest=${guest} total=${total} />`)}
      ${narrowBytes > 0 &&
      html`<${Rest} kind="narrow" name=${`in ${narrow.length} small VMs`} bytes=${narrowBytes} total=${total} />`}
      ${aside > 0 && html`<${Rest} kind="aside" name="set aside for VMs about to start" bytes=${aside} total=${total} />`}
      ${rest.map(([kind, name, bytes]) => html`<${Rest} key=${kind} kind=${kind} name=${name} bytes=${bytes} total=${total} />`)}
    </div>
    <ul class="legend" aria-hidden="true">
      <${Legend} kind="needed" name="needed by VMs" bytes=${need} />
      <${Legend} kind="spare" name="beyond their need" bytes=${promised - need} />
      ${rest.map(([kind, name, bytes]) => html`<${Legend} key=${kind} kind=${kind} name=${name} bytes=${bytes} />`)}
    </ul>
  </section>`;
}
