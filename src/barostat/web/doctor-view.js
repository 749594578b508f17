// What doctor finds: what keeps memory from being moved first, with what to do about it.
import { useEffect, useState } from "./vendor/preact-hooks.js";
import { ask, refusal } from "./api.js";
import { capital } from "./format.js";
import { html } from "./html.js";
import { guestAddress } from "./route.js";

const LEVELS = {
  blocks: ["Blocks", "warning", "◆"],
  advice: ["Advice", "low", "▲"],
  ok: ["Fine", "ok", "●"],
};
const ORDER = Object.keys(LEVELS);

const NAMED = 12;

// The same finding of many VMs is one, with all their names.
function grouped(findings) {
  const groups = new Map();
  for (const { subject, ...found } of findings) {
    const key = JSON.stringify(found);
    if (!groups.has(key)) groups.set(key, { ...found, key, subjects: [] });
    groups.get(key).subjects.push(subject);
  }
  return [...groups.values()].sort((one, other) => ORDER.indexOf(one.level) - ORDER.indexOf(other.level));
}

function Subject({ name }) {
  return name === "host" ? html`<b>Host</b>` : html`<a href=${guestAddress(name)}>${name}</a>`;
}

function Finding({ level, check, says, remedy, subjects }) {
  const [name, tone, shape] = LEVELS[level];
  const more = subjects.length - NAMED;
  return html`<li class="finding">
    <span class="status tone-${tone}"><span aria-hidden="true">${shape}</span>${name}</span>
    <div>
      <p class="subjects">
        ${subjects.slice(0, NAMED).map((subject) => html`<${Subject} key=${subject} name=${subject} />${" "}`)}
        ${more > 0 && `and ${more} more `}
        <span class="muted">${check}</span>
      </p>
      <p>${capital(says)}.</p>
      ${remedy && html`<p class="remedy"><b>What to do:</b> ${remedy}.</p>`}
    </div>
  </li>`;
}

function List({ findings }) {
  return html`<ul class="findings">
    ${findings.map((finding) => html`<${Finding} ...${finding} />`)}
  </ul>`;
}

function Findings({ report }) {
  const all = grouped(report.findings);
  const [wrong, fine] = [all.filter(({ level }) => level !== "ok"), all.filter(({ level }) => level === "ok")];
  const verdict = report.blocks ? "Something keeps memory from being moved." : "Nothing keeps memory from being moved.";
  return html`<p class="lead">${verdict}</p>
    <section class="panel" aria-label="What is to be done">
      ${wrong.length === 0 ? html`<p class="empty">There is nothing to be done.</p>` : html`<${List} findings=${wrong} />`}
    </section>
    ${fine.length > 0 &&
    html`<details class="panel">
      <summary>${fine.length} things are as they should be</summary>
      <${List} findings=${fine} />
    </details>`}`;
}

export function DoctorView() {
  const [answer, setAnswer] = useState(null);
  const [looks, setLooks] = useState(0);
  useEffect(() => {
    setAnswer(null);
    ask("GET", "/v1/doctor").then(setAnswer);
  }, [looks]);
  const refused = answer && answer.status !== 200 && answer.status !== 404 ? refusal(answer) : null;
  return html`<div class="guest-head">
      <h1>Doctor</h1>
      <div class="actions"><button onClick=${() => setLooks(looks + 1)} disabled=${answer === null}>Look again</button></div>
    </div>
    ${answer === null && html`<p class="empty" role="status">Looking …</p>`}
    ${answer?.status === 200 && html`<${Findings} report=${answer.body} />`}
    ${answer?.status === 404 &&
    html`<p class="empty">This daemon has no doctor to ask from here. On the host, <code>barostat doctor</code> says what it finds.</p>`}
    ${refused && html`<p class="notice warn" role="alert">${capital(refused.says)}. ${capital(refused.hint)}</p>`}`;
}
