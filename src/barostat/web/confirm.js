// A question before something is changed that others will notice.
import { signal } from "./vendor/signals.js";
import { useEffect, useRef } from "./vendor/preact-hooks.js";
import { html } from "./html.js";

const question = signal(null);

// Resolves to whether the answer was yes.
export function confirmed({ title, text, verb }) {
  return new Promise((resolve) => {
    question.value = { title, text, verb, resolve };
  });
}

function answer(yes) {
  question.value?.resolve(yes);
  question.value = null;
}

export function ConfirmDialog() {
  const dialog = useRef(null);
  const asked = question.value;
  useEffect(() => {
    if (asked) dialog.current.showModal();
    else dialog.current.close();
  }, [asked]);
  return html`<dialog ref=${dialog} aria-labelledby="question" onCancel=${() => answer(false)}>
    <h2 id="question">${asked?.title}</h2>
    <p>${asked?.text}</p>
    <div class="buttons">
      <button onClick=${() => answer(false)}>Leave it</button>
      <button class="primary" onClick=${() => answer(true)}>${asked?.verb}</button>
    </div>
  </dialog>`;
}
