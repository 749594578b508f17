// The live stream: kept up, and said plainly when it is not.
import { signal } from "./vendor/signals.js";
import { ask, you } from "./api.js";
import { addMoves, record, show } from "./store.js";

// state: connecting | live | late | lost | full | login; since: when that began.
export const link = signal({ state: "connecting", since: Date.now() });

const DRAW_EVERY_MS = 1000;
const RETRY_MS = 2000;
const SILENT_MS = 12_000; // the daemon gives a sign of life every 5 s

let source = null;
let retry = 0;
let silence = 0;
let drawn = 0;
let drawing = 0;
let newest = null;
let told = [];

function become(state, detail = "") {
  if (link.value.state !== state || link.value.detail !== detail) {
    link.value = { state, detail, since: Date.now() };
  }
}

function alive() {
  clearTimeout(silence);
  silence = setTimeout(() => again("the daemon has fallen silent"), SILENT_MS);
}

function draw() {
  drawing = 0;
  drawn = performance.now();
  show(newest, told);
  told = [];
}

function onPass(event) {
  alive();
  newest = JSON.parse(event.data);
  told.push(...newest.moves);
  record(newest);
  become("live");
  const wait = drawn + DRAW_EVERY_MS - performance.now();
  if (wait < 50) draw();
  else drawing ||= setTimeout(draw, wait);
}

function onLate(event) {
  alive();
  const { age_s } = JSON.parse(event.data);
  become("late", `The daemon last looked at its VMs ${Math.round(age_s)} s ago.`);
}

// Find out why there is no stream: only a plain request tells.
async function again(why) {
  source?.close();
  clearTimeout(silence);
  clearTimeout(retry);
  const answer = await ask("GET", "/v1/health");
  if (answer.status === 401) return become("login");
  if (answer.status === 0) become("lost", why);
  else if (answer.status === 200) become("full", "No stream could be opened: too many pages may be open.");
  else become("late", answer.body?.says ?? answer.body?.detail ?? "");
  retry = setTimeout(connect, RETRY_MS);
}

export function connect() {
  clearTimeout(retry);
  source?.close();
  source = new EventSource("/v1/stream");
  source.addEventListener("pass", onPass);
  source.addEventListener("late", onLate);
  source.addEventListener("recent", (event) => addMoves(JSON.parse(event.data).moves));
  source.onerror = () => again("the connection to the daemon was lost");
  source.onopen = () => {
    alive();
    you.load();
  };
}
