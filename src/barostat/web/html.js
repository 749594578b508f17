// Tagged templates instead of JSX: what is written here is what runs.
import { h } from "./vendor/preact.js";
import htm from "./vendor/htm.js";

export const html = htm.bind(h);
