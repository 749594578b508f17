// A VM's settings: what is written, what may be changed, and why a change was refused.
import { useEffect, useState } from "./vendor/preact-hooks.js";
import { ask, guestPath, refusal, succeeded, you } from "./api.js";
import { capital, exactSize, parseSize, size } from "./format.js";
import { html } from "./html.js";

const FIELDS = [
  { key: "minimum_bytes", name: "Minimum", word: "minimum", live: "may fall while it runs" },
  { key: "startup_bytes", name: "Startup", word: "startup", live: "fixed while it runs", fixed: true },
  { key: "maximum_bytes", name: "Maximum", word: "maximum", live: "may rise while it runs" },
  { key: "buffer_percent", name: "Buffer", word: "buffer", live: "5 to 2000 % of its demand", unit: "%" },
  { key: "weight", name: "Weight", word: "weight", live: "0 to 10000; counts when memory is short" },
];

function isSize({ key }) {
  return key.endsWith("_bytes");
}

function shown(field, value) {
  if (value === null || value === undefined) return "";
  return isSize(field) ? exactSize(value) : String(value);
}

// Gives { value } or { fault }. What is left empty is the default again.
function read(field, text) {
  if (isSize(field)) {
    const { bytes, fault } = parseSize(text);
    return fault ? { fault: `${field.word}: ${fault}` } : { value: bytes };
  }
  if (text.trim() === "") return { value: null };
  const number = Number(text.trim().replace(/%$/, ""));
  return Number.isInteger(number) ? { value: number } : { fault: `${field.word}: "${text}" is not a whole number` };
}

function changesOf(draft, view) {
  const patch = {};
  const faults = [];
  for (const field of FIELDS) {
    if (draft[field.key] === undefined || draft[field.key] === shown(field, view.written?.[field.key])) continue;
    const { value, fault } = read(field, draft[field.key]);
    if (fault) faults.push(fault);
    else patch[field.key] = value;
  }
  return { patch, faults };
}

// What really changed, in words.
function told({ before, after }) {
  const changes = [];
  for (const field of FIELDS) {
    const [was, is] = [before, after].map((view) => (view.in_force ?? view.written)?.[field.key]);
    if (was !== is) {
      const text = (value) => (value === null || value === undefined ? "default" : isSize(field) ? size(value) : `${value}${field.unit ? " %" : ""}`);
      changes.push(`${field.word} ${text(was)} → ${text(is)}`);
    }
  }
  return changes.length ? `Changed: ${changes.join(", ")}. In force from the next second on.` : "Nothing was to be changed.";
}

function Field({ field, view, draft, setDraft, faults, locked }) {
  const { key, name, word, live, unit } = field;
  const wrong = faults.some((fault) => fault.startsWith(word));
  const fixed = field.fixed && view.running;
  const force = view.in_force?.[key];
  return html`<div class="field">
    <label for=${key}>${name}${unit ? ` (${unit})` : ""}</label>
    <input id=${key} autocomplete="off" spellcheck=${false} inputmode=${isSize(field) ? "text" : "numeric"}
      value=${draft[key] ?? shown(field, view.written?.[key])} placeholder=${shown(field, force)}
      readonly=${fixed || locked} aria-invalid=${wrong} aria-describedby="${key}-rule"
      onInput=${(event) => setDraft({ ...draft, [key]: event.currentTarget.value })} />
    <small id="${key}-rule">${live}</small>
  </div>`;
}

export function SettingsForm({ name }) {
  const [view, setView] = useState(null);
  const [draft, setDraft] = useState({});
  const [refused, setRefused] = useState(null);
  const [done, setDone] = useState("");
  const [busy, setBusy] = useState(false);
  useEffect(() => {
    ask("GET", guestPath(name, "/settings")).then((answer) => {
      if (succeeded(answer)) setView(answer.body);
      else setRefused(refusal(answer));
    });
  }, [name]);

  function discard() {
    setDraft({});
    setRefused(null);
  }

  async function save(event) {
    event.preventDefault();
    setDone("");
    const { patch, faults } = changesOf(draft, view);
    if (faults.length) return setRefused({ says: "Nothing was sent.", faults, hint: "" });
    setBusy(true);
    const answer = await ask("PATCH", guestPath(name, "/settings"), patch);
    setBusy(false);
    if (!succeeded(answer)) return setRefused(refusal(answer));
    setView(answer.body.after);
    setDone(told(answer.body));
    discard();
  }

  const faults = refused?.faults ?? [];
  const locked = !you.mayChange;
  const changed = view !== null && Object.keys(draft).some((key) => draft[key] !== shown(FIELDS.find((field) => field.key === key), view.written?.[key]));
  return html`<section class="panel" aria-labelledby="settings">
    <div class="panel-head"><h2 id="settings">Settings</h2></div>
    ${view &&
    html`<form class="settings" onSubmit=${save}>
      ${view.written === null && html`<p class="muted">It has none: Dynamic Memory is off for it.</p>`}
      ${view.faults.length > 0 && html`<${Faults} says="What is written cannot be used." faults=${view.faults} hint="" />`}
      <div class="fields">
        ${FIELDS.map((field) => html`<${Field} key=${field.key} ...${{ field, view, draft, setDraft, faults, locked }} />`)}
      </div>
      <p class="muted place">Written in ${view.place}</p>
      ${locked
        ? html`<p class="muted">You may look, and not change: that takes the role operator.</p>`
        : html`<div class="buttons">
            <button type="button" onClick=${discard} disabled=${!changed || busy}>Discard</button>
            <button class="primary" disabled=${!changed || busy}>Save</button>
          </div>`}
    </form>`}
    ${refused && html`<${Faults} ...${refused} />`}
    <p class="done" role="status">${done}</p>
  </section>`;
}

function Faults({ says, faults, hint }) {
  return html`<div class="refused" role="alert">
    ${faults.length
      ? html`<b>Refused, and nothing was changed:</b><ul>${faults.map((fault) => html`<li key=${fault}>${capital(fault)}</li>`)}</ul>`
      : html`<p>${capital(says)}</p>${hint && html`<p>${capital(hint)}</p>`}`}
  </div>`;
}
