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

function Finding({ finding }) {
  const [name, tone, shape] = LEVELS[finding.level];
  return html`<li class="finding">
    <span class="status tone-${tone}"><span aria-hidden="true">${shape}</span>${name}</span>
    <div>
      <p>
        ${finding.subject === "host" ? html`<b>Host</b>` : html`<a href=${guestAddress(finding.subject)}>${finding.subject}</a>`}
        <span class="muted"> ${finding.check}</span>
      </p>
      <p>${capital(finding.says)}.</p>
      ${finding.remedy && html`<p class="remedy"><b>What to do:</b> ${finding.remedy}.</p>`}
    </div>
  </li>`;
}

function Findings({ report }) {
  const sorted = report.findings.toSorted((one, other) => ORDER.indexOf(one.level) - ORDER.indexOf(other.level));
  const [wrong, fine] = [sorted.filter(({ level }) => level !== "ok"), sorted.filter(({ level }) => level === "ok")];
  const verdict = report.blocks ? "Something keeps memory from being moved." : "Nothing keeps memory from being moved.";
  return html`<p class="lead">${verdict}</p>
    <section class="panel">
      ${wrong.length === 0 && html`<p class="empty">There is nothing to be done.</p>`}
      <ul class="findings">${wrong.map((finding) => html`<${Finding} key=${`${finding.subject} ${finding.check}`} finding=${finding} />`)}</ul>
    </section>
    ${fine.length > 0 &&
    html`<details class="panel">
      <summary>${fine.length} checks found all well</summary>
      <ul class="findings">${fine.map((finding) => html`<${Finding} key=${`${finding.subject} ${finding.check}`} finding=${finding} />`)}</ul>
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
