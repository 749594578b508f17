// Dark or light: as the system has it, or as was chosen here.
import { signal } from "./vendor/signals.js";
import { html } from "./html.js";

const KEY = "barostat.theme";
const NAMES = { system: "as the system", light: "light", dark: "dark" };
const ICONS = { system: "◐", light: "☀", dark: "☾" };

const chosen = signal(localStorage.getItem(KEY) ?? "system");

// Counts changes of the colours, for what is drawn on a canvas and must be drawn anew.
export const colours = signal(0);

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => colours.value++);

function choose(theme) {
  chosen.value = theme;
  if (theme === "system") {
    localStorage.removeItem(KEY);
    delete document.documentElement.dataset.theme;
  } else {
    localStorage.setItem(KEY, theme);
    document.documentElement.dataset.theme = theme;
  }
  colours.value++;
}

export function ThemeSwitch() {
  const names = Object.keys(NAMES);
  const now = names.includes(chosen.value) ? chosen.value : "system";
  const next = names[(names.indexOf(now) + 1) % names.length];
  const label = `Colours: ${NAMES[now]}. Change to ${NAMES[next]}.`;
  return html`<button class="quiet icon" title=${label} aria-label=${label} onClick=${() => choose(next)}>
    <span aria-hidden="true">${ICONS[now]}</span>
  </button>`;
}

const probe = document.createElement("span");
probe.hidden = true;

// A colour of base.css as it is now. A canvas does not know variables.
export function colour(name) {
  if (!probe.isConnected) document.documentElement.append(probe);
  probe.style.color = `var(${name})`;
  return getComputedStyle(probe).color;
}
