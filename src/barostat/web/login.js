// A token opens a session; the browser keeps that in a cookie which no script can read.
import { useState } from "./vendor/preact-hooks.js";
import { ask, refusal, succeeded, you } from "./api.js";
import { capital } from "./format.js";
import { html } from "./html.js";
import { connect, link } from "./link.js";

export function LoginView() {
  const [refused, setRefused] = useState(null);
  const [busy, setBusy] = useState(false);
  async function logIn(event) {
    event.preventDefault();
    const form = event.currentTarget;
    setBusy(true);
    const answer = await ask("POST", "/v1/session", { token: form.elements.token.value.trim() });
    setBusy(false);
    setRefused(succeeded(answer) ? null : refusal(answer));
    if (!succeeded(answer)) return;
    form.reset();
    connect();
  }
  return html`<form class="panel login" onSubmit=${logIn}>
    <h1>Log in</h1>
    <p>
      This host answers who shows a token. On the host, <code>barostat token create --role operator</code>
      makes one.
    </p>
    <label for="token">Token</label>
    <input id="token" name="token" type="password" autocomplete="current-password" required spellcheck=${false}
      aria-invalid=${refused !== null} aria-describedby=${refused ? "login-refused" : undefined} />
    ${refused &&
    html`<p class="refused" id="login-refused" role="alert">${capital(refused.says)}. ${capital(refused.hint)}</p>`}
    <button class="primary" disabled=${busy}>Log in</button>
  </form>`;
}

export function LogOut() {
  if (you.value?.way !== "session" || link.value.state === "login") return null;
  async function logOut() {
    await ask("DELETE", "/v1/session");
    location.reload();
  }
  const label = `Log out (${you.value.name}, ${you.value.role})`;
  return html`<button class="quiet" title=${label} onClick=${logOut}>Log out</button>`;
}
