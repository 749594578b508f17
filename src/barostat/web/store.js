// What is known of the host now: everything that is shown is made of these signals.
import { batch, computed, signal } from "./vendor/signals.js";
import { Series } from "./series.js";

export const overview = signal(null);
export const box = signal(null);
export const moves = signal([]); // the newest first
export const shownAt = signal(0); // when what is shown was seen, in seconds since 1970

const MOVES_KEPT = 200;
const GUEST_FIELDS = ["assigned_bytes", "demand_bytes", "target_bytes", "minimum_bytes", "maximum_bytes"];

const seriesOf = new Map();
export const hostSeries = new Series(["average_pressure", "system_pressure", "in_hand_bytes", "promised_bytes"]);

export const guests = computed(() => overview.value?.guests ?? []);

export function guestSeries(name) {
  return seriesOf.get(name);
}

// The counters of Hyper-V's balancer, over what is balanced.
function pressures(seen) {
  const judged = seen.guests.filter((guest) => guest.status !== "-" && guest.pressure !== null);
  const needed = seen.guests.reduce((sum, guest) => {
    const known = guest.status !== "-" && guest.demand_bytes !== null;
    return sum + (known ? guest.demand_bytes : guest.promised_bytes);
  }, 0);
  const sum = judged.reduce((total, guest) => total + guest.pressure, 0);
  const capacity = seen.host.capacity_bytes;
  return {
    average_pressure: judged.length ? sum / judged.length : null,
    system_pressure: capacity > 0 ? needed / capacity : null,
  };
}

export const hostPressures = computed(() => (overview.value ? pressures(overview.value) : null));

// Takes a pass in. Drawing follows later, at most once a second (`show`).
export function record(pass) {
  for (const guest of pass.overview.guests) {
    let series = seriesOf.get(guest.name);
    if (!series) seriesOf.set(guest.name, (series = new Series(GUEST_FIELDS)));
    const { minimum_bytes, maximum_bytes } = guest.settings ?? {};
    series.push(pass.at_s, { ...guest, minimum_bytes, maximum_bytes });
  }
  const there = new Set(pass.overview.guests.map((guest) => guest.name));
  for (const name of seriesOf.keys()) if (!there.has(name)) seriesOf.delete(name);
  const { in_hand_bytes, promised_bytes } = pass.overview.host;
  hostSeries.push(pass.at_s, { ...pressures(pass.overview), in_hand_bytes, promised_bytes });
}

export function show(pass, newMoves) {
  batch(() => {
    overview.value = pass.overview;
    box.value = pass.box;
    shownAt.value = pass.at_s;
    addMoves(newMoves);
  });
}

// The same move may be told twice: in a pass, and again to a page that may have missed it.
export function addMoves(told) {
  if (told.length === 0) return;
  const key = (move) => `${move.at_s} ${move.guest}`;
  const known = new Set(moves.value.map(key));
  const fresh = told.filter((move) => !known.has(key(move)));
  if (fresh.length === 0) return;
  const all = [...fresh, ...moves.value].sort((one, other) => other.at_s - one.at_s);
  moves.value = all.slice(0, MOVES_KEPT);
}
