// A VM's memory status, as Hyper-V Manager names it: with a shape beside its colour.
import { html } from "./html.js";

const SHAPES = { OK: ["ok", "●", "OK"], Low: ["low", "▲", "Low"], Warning: ["warning", "◆", "Warning"], Paging: ["warning", "◈", "Paging"], "-": ["unjudged", "○", "Not judged"] };

export function StatusPill({ status }) {
  const [tone, shape, name] = SHAPES[status];
  return html`<span class="status tone-${tone}"><span aria-hidden="true">${shape}</span>${name}</span>`;
}
