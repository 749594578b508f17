// What is wrong, said plainly: with the connection, the host, or what should be a VM and is not.
import { html } from "./html.js";
import { capital, timeOfDay } from "./format.js";
import { link } from "./link.js";
import { overview, shownAt } from "./store.js";

function LinkNotice() {
  const { state, detail, since } = link.value;
  const seen = shownAt.value ? ` What is shown was seen at ${timeOfDay(shownAt.value)}.` : "";
  if (state === "lost") {
    const when = timeOfDay(since / 1000);
    return html`<p class="notice bad" role="alert">
      <strong>Not connected since ${when}:</strong> ${detail}. Trying again every 2 s.${seen} VMs keep
      what they have while no daemon runs.
    </p>`;
  }
  if (state === "late" || state === "full") {
    return html`<p class="notice warn" role="alert"><strong>Not live.</strong> ${detail}${seen}</p>`;
  }
  return null;
}

export function Notices() {
  const seen = overview.value;
  const { state } = link.value;
  if (seen === null || state === "login") return html`<${LinkNotice} />`;
  const { host, faults } = seen;
  return html`<${LinkNotice} />
    ${host.paused &&
    html`<p class="notice"><strong>Paused:</strong> every VM keeps its size until the host is resumed.</p>`}
    ${!host.moving &&
    html`<p class="notice"><strong>Observing:</strong> this daemon decides and explains, and moves nothing.</p>`}
    ${host.alarms.map(
      (alarm) => html`<p key=${alarm.code} class="notice bad" role="alert">
        <strong>The host:</strong> ${alarm.sentence}.
      </p>`,
    )}
    ${faults.map(
      (fault) => html`<p key=${fault.name} class="notice warn">
        <strong>${fault.name} is not seen:</strong> ${fault.message}. ${fault.hint && `${capital(fault.hint)}.`}
      </p>`,
    )}`;
}
