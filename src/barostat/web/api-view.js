// The API to try: every route as its own description has it, asked from here with one's own rights.
import { useEffect, useState } from "./vendor/preact-hooks.js";
import { ask, refusal, succeeded, you } from "./api.js";
import { capital } from "./format.js";
import { html } from "./html.js";

const METHODS = ["get", "post", "patch", "delete"];

function routesOf(description) {
  return Object.entries(description.paths).flatMap(([path, item]) =>
    METHODS.filter((method) => item[method]).map((method) => ({
      method: method.toUpperCase(),
      path,
      says: (item[method].description ?? item[method].summary ?? "").split("\n")[0],
      parameters: item[method].parameters ?? [],
      body: exampleOf(item[method].requestBody, description),
    })),
  );
}

// A body to begin with: every key that the schema names, with nothing in it.
function exampleOf(requestBody, description) {
  const schema = requestBody?.content?.["application/json"]?.schema;
  if (!schema) return null;
  const whole = schema.$ref ? description.components.schemas[schema.$ref.split("/").pop()] : schema;
  return JSON.stringify(Object.fromEntries(Object.keys(whole.properties ?? {}).map((key) => [key, null])), null, 1);
}

function addressOf({ path, parameters }, values) {
  const filled = path.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(values[name] ?? ""));
  const query = new URLSearchParams(
    parameters.filter(({ in: place, name }) => place === "query" && values[name]).map(({ name }) => [name, values[name]]),
  );
  return query.size ? `${filled}?${query}` : filled;
}

function bodyOf(text) {
  try {
    return { body: text ? JSON.parse(text) : undefined };
  } catch (error) {
    return { fault: `The body is not JSON: ${error.message}` };
  }
}

function Answer({ answer }) {
  const refused = succeeded(answer) ? null : refusal(answer);
  return html`<div role="status">
    <p><b>${answer.status || "No answer"}</b> ${refused && `${capital(refused.says)} ${capital(refused.hint)}`}</p>
    ${answer.body !== null && html`<pre tabindex="0" aria-label="The answer">${JSON.stringify(answer.body, null, 1)}</pre>`}
  </div>`;
}

function Route({ route }) {
  const [answer, setAnswer] = useState(null);
  const [fault, setFault] = useState(null);
  const mark = `${route.method} ${route.path}`;
  const live = route.path === "/v1/stream";
  async function send(event) {
    event.preventDefault();
    const values = Object.fromEntries(new FormData(event.currentTarget));
    const { body, fault: wrong } = bodyOf(values.body);
    setFault(wrong ?? null);
    if (!wrong) setAnswer(await ask(route.method, addressOf(route, values), body));
  }
  return html`<details class="panel route">
    <summary><code class="method">${route.method}</code> <code>${route.path}</code> <span class="muted">${route.says}</span></summary>
    <form onSubmit=${send}>
      ${route.parameters.map(
        ({ name, required }) => html`<label key=${name}>${name}<input name=${name} required=${required} spellcheck=${false} /></label>`,
      )}
      ${route.body && html`<label>body<textarea name="body" rows="8" spellcheck=${false}>${route.body}</textarea></label>`}
      ${live
        ? html`<p class="muted">This page listens to it already.</p>`
        : html`<button class="primary" aria-label=${`Ask ${mark}`}>Ask</button>`}
    </form>
    ${fault && html`<p class="refused" role="alert">${fault}</p>`} ${answer && html`<${Answer} answer=${answer} />`}
  </details>`;
}

export function ApiView() {
  const [answer, setAnswer] = useState(null);
  useEffect(() => {
    ask("GET", "/v1/openapi.json").then(setAnswer);
  }, []);
  const refused = answer && !succeeded(answer) ? refusal(answer) : null;
  const who = you.value ? `You are ${you.value.name}, ${you.value.role}. ` : "";
  return html`<div class="guest-head"><h1>API</h1></div>
    <p class="lead">${who}What is asked here is really asked, and what is changed is really changed.</p>
    ${answer === null && html`<p class="empty" role="status">Reading its description …</p>`}
    ${refused && html`<p class="notice warn" role="alert">${capital(refused.says)}. ${capital(refused.hint)}</p>`}
    ${answer && !refused && routesOf(answer.body).map((route) => html`<${Route} key=${route.method + route.path} route=${route} />`)}`;
}
