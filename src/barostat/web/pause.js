// Hold every VM of the host at its size, or let them be balanced again.
import { useState } from "./vendor/preact-hooks.js";
import { ask, refusal, succeeded, you } from "./api.js";
import { confirmed } from "./confirm.js";
import { html } from "./html.js";
import { link } from "./link.js";
import { overview } from "./store.js";

export function HostPause() {
  const [refused, setRefused] = useState(null);
  const host = overview.value?.host;
  if (!host || link.value.state === "login" || !you.mayChange) return null;
  const verb = host.paused ? "Resume host" : "Pause host";
  async function toggle() {
    const sure = await confirmed({
      title: `${verb}?`,
      text: host.paused
        ? "Its VMs are balanced again; those that are paused one by one stay so."
        : "Every VM keeps the size it has, also after a restart of the daemon. A VM that needs more will have to page.",
      verb,
    });
    if (!sure) return;
    const answer = await ask("POST", host.paused ? "/v1/resume" : "/v1/pause");
    setRefused(succeeded(answer) ? null : refusal(answer).says);
  }
  return html`<button class="quiet" onClick=${toggle} disabled=${link.value.state === "lost"}>${verb}</button>
    ${refused && html`<span class="refused" role="alert">${refused}</span>`}`;
}
