// Sizes, shares and times as people read and write them: the same rules as units.py.
const KIB = 2 ** 10;
const MIB = 2 ** 20;
const GIB = 2 ** 30;
const TIB = 2 ** 40;
const LARGEST = 2 ** 60;

const UNITS = { "": 1, b: 1, k: KIB, kib: KIB, m: MIB, mib: MIB, g: GIB, gib: GIB, t: TIB, tib: TIB };
const DECIMAL = { kb: "KiB", mb: "MiB", gb: "GiB", tb: "TiB" };

export const NOTHING = "–";

export function size(bytes) {
  if (bytes === null || bytes === undefined) return NOTHING;
  if (bytes === 0) return "0";
  const sign = bytes < 0 ? "\u2212" : "";
  const much = Math.abs(bytes);
  if (much < KIB) return `${sign}${much} B`;
  if (much < MIB) return `${sign}${(much / KIB).toFixed(0)} KiB`;
  if (much < 10 * GIB) return `${sign}${(much / MIB).toFixed(0)} MiB`;
  if (much < 10 * TIB) return `${sign}${(much / GIB).toFixed(1)} GiB`;
  return `${sign}${(much / TIB).toFixed(1)} TiB`;
}

// A size to be edited: exact, in the largest unit that leaves no fraction.
export function exactSize(bytes) {
  if (bytes === null) return "";
  for (const [unit, one] of [["TiB", TIB], ["GiB", GIB], ["MiB", MIB], ["KiB", KIB]]) {
    if (bytes !== 0 && bytes % one === 0) return `${bytes / one} ${unit}`;
  }
  return bytes === 0 ? "0" : `${bytes} B`;
}

// Gives { bytes } or { fault }; an empty text is null bytes: the default.
export function parseSize(text) {
  const asked = text.trim();
  if (asked === "") return { bytes: null };
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(asked);
  const right = 'write a number and a unit, as in "512 MiB" or "1.5 GiB"';
  if (match === null) return { fault: `"${asked}" is not a size of memory: ${right}` };
  const [, number, unit] = match;
  const meant = DECIMAL[unit.toLowerCase()];
  if (meant) return { fault: `"${asked}" has a decimal unit: write "${number} ${meant}" if you mean that` };
  const one = UNITS[unit.toLowerCase()];
  if (one === undefined || (unit === "" && Number(number) !== 0)) {
    return { fault: `"${asked}" has no unit that is known: ${right}` };
  }
  const bytes = Math.floor(Number(number) * one);
  return bytes > LARGEST ? { fault: `"${asked}" is larger than any machine` } : { bytes };
}

export function percent(ratio) {
  return ratio === null || ratio === undefined ? NOTHING : `${Math.round(ratio * 100)} %`;
}

export function age(seconds) {
  if (seconds === null || seconds === undefined) return "never";
  if (seconds < 1.5) return "now";
  if (seconds < 120) return `${Math.round(seconds)} s ago`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min ago`;
  return `${Math.round(seconds / 3600)} h ago`;
}

const clock = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23",
});

export function timeOfDay(epochSeconds) {
  return clock.format(new Date(epochSeconds * 1000));
}

const calendar = new Intl.DateTimeFormat(undefined, {
  day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23",
});

export function dayAndTime(epochSeconds) {
  return calendar.format(new Date(epochSeconds * 1000));
}

export function capital(sentence) {
  return sentence.charAt(0).toUpperCase() + sentence.slice(1);
}
