// The page: its head, what is wrong, and the view that the address names.
import { render } from "./vendor/preact.js";
import { effect } from "./vendor/signals.js";
import { ApiView } from "./api-view.js";
import { ConfirmDialog } from "./confirm.js";
import { DoctorView } from "./doctor-view.js";
import { GuestView } from "./guest-view.js";
import { HostView } from "./host-view.js";
import { html } from "./html.js";
import { connect, link } from "./link.js";
import { LoginView, LogOut } from "./login.js";
import { Notices } from "./notices.js";
import { HostPause } from "./pause.js";
import { route } from "./route.js";
import { ThemeSwitch } from "./theme.js";
import { overview } from "./store.js";

const LINK_WORDS = {
  connecting: "Connecting",
  live: "Live",
  late: "Late",
  lost: "Not connected",
  full: "Not live",
  login: "Logged out",
};

function Link() {
  const { state } = link.value;
  return html`<span class="link link-${state}" role="status">
    <span class="dot" aria-hidden="true"></span>${LINK_WORDS[state]}
  </span>`;
}

function Tab({ page, address, children }) {
  const here = route.value.page === page;
  return html`<a href=${address} aria-current=${here ? "page" : undefined}>${children}</a>`;
}

function Head() {
  return html`<header class="head">
    <a class="skip" href="#main" onClick=${skip}>Skip to what is shown</a>
    <a class="brand" href="#/"><img src="/web/icon.svg" alt="" width="24" height="24" />Barostat</a>
    <nav aria-label="Pages">
      <${Tab} page="host" address="#/">Host<//>
      <${Tab} page="doctor" address="#/doctor">Doctor<//>
      <${Tab} page="api" address="#/api">API<//>
    </nav>
    <div class="head-end">
      <${Link} />
      <${HostPause} />
      <${LogOut} />
      <${ThemeSwitch} />
    </div>
  </header>`;
}

function skip(event) {
  event.preventDefault(); // the part after "#" is the address of a page here
  document.getElementById("main").focus();
}

function View() {
  const { page, name } = route.value;
  if (link.value.state === "login") return html`<${LoginView} />`;
  if (page === "doctor") return html`<${DoctorView} />`;
  if (page === "api") return html`<${ApiView} />`;
  if (overview.value === null) return html`<p class="empty">Waiting for the daemon's first look at its VMs …</p>`;
  return page === "guest" ? html`<${GuestView} key=${name} name=${name} />` : html`<${HostView} />`;
}

function Page() {
  return html`<${Head} />
    <main id="main" tabindex="-1">
      <${Notices} />
      <${View} />
    </main>
    <${ConfirmDialog} />`;
}

effect(() => {
  const { page, name } = route.value;
  const shown = { guest: name, doctor: "Doctor", api: "API" }[page];
  document.title = shown ? `${shown} · Barostat` : "Barostat";
});

render(html`<${Page} />`, document.body);
connect();
