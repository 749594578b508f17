// One VM: how it stands, over time, why, what it says of itself, and its settings.
import { useEffect, useState } from "./vendor/preact-hooks.js";
import { ask, guestPath, refusal, succeeded, you } from "./api.js";
import { confirmed } from "./confirm.js";
import { NOTHING, age, capital, percent, size } from "./format.js";
import { GuestChart } from "./guest-chart.js";
import { html } from "./html.js";
import { MoveFeed } from "./move-feed.js";
import { SettingsForm } from "./settings-form.js";
import { StatusPill } from "./status.js";
import { guests, shownAt } from "./store.js";

function Facts({ of }) {
  return html`<dl class="facts">
    ${of.map(([name, value, note]) => html`<div key=${name}><dt>${name}</dt><dd>${value}${note && html` <span class="muted">${note}</span>`}</dd></div>`)}
  </dl>`;
}

function Why({ name }) {
  const [sentences, setSentences] = useState([]);
  const at = shownAt.value;
  useEffect(() => {
    let wanted = true;
    ask("GET", guestPath(name, "/explanation")).then(({ status, body }) => {
      if (wanted && status === 200) setSentences(body.sentences);
    });
    return () => {
      wanted = false;
    };
  }, [name, at]);
  return html`<section class="panel" aria-labelledby="why">
    <div class="panel-head"><h2 id="why">Why it has what it has</h2></div>
    <ul class="sentences">
      ${sentences.map((sentence, place) => html`<li key=${place}>${sentence}</li>`)}
    </ul>
  </section>`;
}

const DEPTHS = {
  static: "nothing: it says nothing of its memory",
  balloon: "its balloon driver's statistics",
  qga: "its balloon driver's statistics and qemu-guest-agent",
  agent: "Barostat's agent in it",
};

function programFacts(program) {
  if (!program) return [];
  const blocks = program.block_bytes === null ? "" : `in blocks of ${size(program.block_bytes)}`;
  const swap = program.swap_bytes === null ? "" : `${size(program.swap_free_bytes)} of it free`;
  return [
    ...(program.fault ? [["A program in it is not heard", capital(program.fault)]] : []),
    ["The program's version", program.version ?? NOTHING],
    ["Its kernel", program.kernel ?? NOTHING],
    ["Plugged memory is", program.onlining ?? NOTHING, blocks],
    ["Promised to its programs", size(program.committed_bytes)],
    ["Its swap", size(program.swap_bytes), swap],
    ["Programs give before a shrink", program.hook ? "yes" : "no"],
  ];
}

function Itself({ guest }) {
  return html`<section class="panel" aria-labelledby="itself">
    <div class="panel-head"><h2 id="itself">What is known of it</h2></div>
    <${Facts}
      of=${[
        ["Seen through", DEPTHS[guest.depth] ?? guest.depth],
        ["Its own total", size(guest.total_bytes)],
        ["Available in it", size(guest.available_bytes)],
        ["Kept by its kernel", size(guest.kernel_bytes)],
        ["Swapped out since boot", size(guest.swapped_out_bytes)],
        ["It last spoke", age(guest.statistics_age_s)],
        ...programFacts(guest.program),
        ["Hypervisor last answered", age(guest.seen_age_s)],
        ["Boot RAM", size(guest.boot_bytes), `less ${size(guest.balloon_bytes)} in its balloon`],
        ["Plugged", size(guest.plugged_bytes), `its devices allow ${size(guest.ceiling_bytes)} in all`],
        ["Balloon gives way before a kill", guest.deflate_on_oom ? "yes" : "no"],
      ]}
    />
  </section>`;
}

async function changeState(guest, what) {
  const paused = guest.settings?.paused ?? false;
  const enabled = guest.settings?.enabled ?? false;
  const questions = {
    pause: paused
      ? { verb: "Resume", text: "It is balanced again, and may be given memory and asked for some." }
      : { verb: "Pause", text: "It keeps the size it has until it is resumed. If it needs more it will have to page." },
    enable: enabled
      ? { verb: "Switch off", text: "Dynamic Memory is switched off for it: it keeps the size it has." }
      : { verb: "Switch on", text: "Dynamic Memory is switched on for it, with the settings below or their defaults." },
  };
  const { verb, text } = questions[what];
  if (!(await confirmed({ title: `${verb} ${what === "pause" ? "" : "Dynamic Memory of "}${guest.name}?`, text, verb }))) return null;
  return what === "pause"
    ? ask("POST", guestPath(guest.name, paused ? "/resume" : "/pause"))
    : ask("PATCH", guestPath(guest.name, "/settings"), { enabled: !enabled });
}

function Actions({ guest }) {
  const [refused, setRefused] = useState(null);
  if (!you.mayChange) return null;
  async function act(what) {
    const answer = await changeState(guest, what);
    if (answer) setRefused(succeeded(answer) ? null : refusal(answer));
  }
  const { settings } = guest;
  return html`<div class="actions">
    ${settings?.enabled && html`<button onClick=${() => act("pause")}>${settings.paused ? "Resume" : "Pause"}</button>`}
    <button onClick=${() => act("enable")}>${settings?.enabled ? "Switch off" : "Switch on"}</button>
    ${refused && html`<p class="refused" role="alert">${capital(refused.says)}. ${capital(refused.hint)}</p>`}
  </div>`;
}

function Figures({ guest }) {
  const spare = guest.demand_bytes === null ? null : guest.assigned_bytes - guest.demand_bytes;
  const figures = [
    ["Assigned", size(guest.assigned_bytes), guest.move ? `on its way to ${size(guest.move.to_bytes)}` : "what it has now"],
    ["Demand", size(guest.demand_bytes), "what it needs now"],
    ["Pressure", percent(guest.pressure), "100 % is exactly enough"],
    ["Buffer it has", size(spare), guest.settings ? `${guest.settings.buffer_percent} % of its demand is wanted` : ""],
    ["Target", size(guest.target_bytes), "its share of what there is"],
  ];
  return html`<dl class="figures">
    ${figures.map(
      ([name, value, note]) => html`<div key=${name} class="figure panel">
        <dt>${name}</dt>
        <dd><span class="figure-value">${value}</span><span class="figure-note">${note}</span></dd>
      </div>`,
    )}
  </dl>`;
}

export function GuestView({ name }) {
  const guest = guests.value.find((seen) => seen.name === name);
  if (!guest) {
    return html`<h1>${name}</h1>
      <p class="empty">No VM of this name is running. <a href="#/">All VMs</a></p>
      <div class="columns"><${SettingsForm} name=${name} /></div>`;
  }
  return html`<div class="guest-head">
      <p class="crumb"><a href="#/">Host</a> <span aria-hidden="true">›</span></p>
      <h1>${guest.name}</h1>
      <${StatusPill} status=${guest.status} />
      ${guest.run_state !== "running" && html`<span class="run-state">${guest.run_state}</span>`}
      ${guest.settings?.paused && html`<span class="run-state">held by its operator</span>`}
      <${Actions} guest=${guest} />
    </div>
    ${guest.fault && html`<p class="notice warn" role="alert"><strong>Its hypervisor does not answer:</strong> ${guest.fault}.</p>`}
    <p class="lead">${capital(guest.why)}.</p>
    <${Figures} guest=${guest} />
    <${GuestChart} guest=${guest} />
    <div class="columns even">
      <div class="stack"><${Why} name=${name} /><${MoveFeed} guest=${name} /></div>
      <div class="stack"><${SettingsForm} name=${name} /><${Itself} guest=${guest} /></div>
    </div>`;
}
