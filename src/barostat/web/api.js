// Questions to the daemon. Every answer is { status, body }: 0 is nobody there. Nothing is thrown.
import { signal } from "./vendor/signals.js";

const DEADLINE_MS = 15_000;

export async function ask(method, path, body) {
  try {
    const response = await fetch(path, {
      method,
      headers: body === undefined ? {} : { "content-type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(DEADLINE_MS),
    });
    const json = response.headers.get("content-type")?.includes("json");
    return { status: response.status, body: json ? await response.json() : null };
  } catch {
    return { status: 0, body: null };
  }
}

export function succeeded(answer) {
  return answer.status >= 200 && answer.status < 300;
}

// Why something was refused: { says, faults, hint }.
export function refusal({ status, body }) {
  if (status === 0) {
    return { says: "The daemon did not answer.", faults: [], hint: "Whether anything was changed is not known." };
  }
  return { says: body?.detail ?? `The answer was ${status}.`, faults: body?.faults ?? [], hint: body?.hint ?? "" };
}

export function guestPath(name, what = "") {
  return `/v1/guests/${encodeURIComponent(name)}${what}`;
}

// Who asks, as the daemon sees it; null where it knows no users.
const asked = signal(null);

export const you = {
  get value() {
    return asked.value;
  },
  get mayChange() {
    return asked.value === null || ["operator", "admin"].includes(asked.value.role);
  },
  async load() {
    const answer = await ask("GET", "/v1/session");
    asked.value = answer.status === 200 ? answer.body : null;
  },
};
