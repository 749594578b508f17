// What was moved, the newest first, each as a sentence with its reason.
import { Component } from "./vendor/preact.js";
import { html } from "./html.js";
import { size, timeOfDay } from "./format.js";
import { guestAddress } from "./route.js";
import { moves, overview } from "./store.js";

const SHOWN = 60;
const ARROWS = { grow: "▲", shrink: "▼", cancel: "■", nudge: "↻" };

function delta({ from_bytes, to_bytes }) {
  const by = to_bytes - from_bytes;
  return by > 0 ? `+${size(by)}` : size(by);
}

// A move never changes: it is rendered once.
class Move extends Component {
  shouldComponentUpdate() {
    return false;
  }

  render({ move }) {
    const what = move.sentence.slice(move.guest.length + 2);
    return html`<li class="move">
      <span class="arrow arrow-${move.kind}" aria-hidden="true">${ARROWS[move.kind]}</span>
      <div>
        <div class="move-head">
          <a href=${guestAddress(move.guest)}>${move.guest}</a>
          ${move.from_bytes !== move.to_bytes && html`<b>${delta(move)}</b>`}
          <time>${timeOfDay(move.at_s)}</time>
        </div>
        <p>${what}</p>
      </div>
    </li>`;
  }
}

export function MoveFeed({ guest }) {
  const all = guest ? moves.value.filter((move) => move.guest === guest) : moves.value;
  const observing = overview.value && !overview.value.host.moving;
  return html`<section class="panel feed" aria-labelledby="moves">
    <div class="panel-head"><h2 id="moves">${observing ? "Moves it would make" : "Moves"}</h2></div>
    ${all.length === 0
      ? html`<p class="empty">${guest ? "Nothing was moved lately." : "Nothing was moved lately: everybody has what it should."}</p>`
      : html`<div class="scroll" tabindex="0" role="group" aria-label="The last moves">
          <ol>
            ${all.slice(0, SHOWN).map((move) => html`<${Move} key=${`${move.at_s} ${move.guest}`} move=${move} />`)}
          </ol>
        </div>`}
  </section>`;
}
