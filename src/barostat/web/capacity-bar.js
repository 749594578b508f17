// All of the host's memory as one bar: who has it, what of that they need, and what is left.
import { html } from "./html.js";
import { percent, size } from "./format.js";
import { guestAddress } from "./route.js";
import { box, overview } from "./store.js";

// Narrower parts cannot be told apart: they are shown as one.
const NARROWEST = 0.004;

const TONES = { OK: "ok", Low: "low", Warning: "warning", Paging: "warning", "-": "unjudged" };

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

function sum(list, value) {
  return list.reduce((total, item) => total + value(item), 0);
}

// The VMs, those too narrow to be told apart as one part for each status.
function parts(all, total) {
  const isWide = (guest) => guest.promised_bytes / total >= NARROWEST;
  const wide = all.filter(isWide).map((guest) => ({ name: guest.name, guest: guest.name, of: [guest] }));
  const narrow = Object.keys(TONES).map((status) => {
    const of = all.filter((guest) => guest.status === status && !isWide(guest));
    return { name: `${of.length} VMs`, of };
  });
  return [...wide, ...narrow.filter(({ of }) => of.length > 0)]
    .map((part) => ({
      ...part,
      status: part.of[0].status,
      has: sum(part.of, (guest) => guest.promised_bytes),
      needs: sum(part.of, needed),
    }))
    .sort((one, other) => other.has - one.has || one.name.localeCompare(other.name));
}

function Part({ name, guest, status, has, needs, total }) {
  const tip = `${name}: ${size(has)}, needed ${size(needs)}`;
  return html`<span class="part part-${TONES[status]} ${guest ? "part-guest" : ""}" data-guest=${guest} title=${tip}
    style=${{ flexGrow: String(has / total) }}>
    <span class="part-needed" style=${{ width: `${(100 * needs) / has}%` }}></span>
    <span class="part-name">${name}</span>
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
  const total = promised + sum(rest, ([, , bytes]) => bytes);
  const need = sum(all, needed);
  const aside = promised - sum(all, (guest) => guest.promised_bytes);
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
      ${parts(all, total).map((part) => html`<${Part} key=${`${part.name} ${part.status}`} ...${part} total=${total} />`)}
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
