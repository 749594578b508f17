// Which page is shown: the part of the address after "#".
import { signal } from "./vendor/signals.js";

const PLAIN = ["doctor", "api"];

function read() {
  const [page, name] = location.hash.replace(/^#\/?/, "").split("/");
  if (page === "guests" && name) return { page: "guest", name: decoded(name) };
  return { page: PLAIN.includes(page) ? page : "host", name: null };
}

function decoded(name) {
  try {
    return decodeURIComponent(name);
  } catch {
    return name; // an address typed by hand
  }
}

export const route = signal(read());

addEventListener("hashchange", () => {
  route.value = read();
  scrollTo(0, 0);
  document.getElementById("main")?.focus({ preventScroll: true });
});

export function guestAddress(name) {
  return `#/guests/${encodeURIComponent(name)}`;
}
