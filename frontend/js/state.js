import { signal, stored } from "./lib/signal.js";

/** What the service says of itself; `null` until it has answered. See `capabilities.js`. */
export const capabilities = signal(null);

const OPTIONS = {
  num_layers: "auto",
  engine: "auto",
  prompt: "",
  seed: null,
  steps: null,
  guidance: null,
  resolution: null,
  output_size: "native",
};

/** What a job is asked for; the words of the API, `seed` and the like `null` when left to the service. */
export const options = stored("unflatten.options", OPTIONS);
// What an earlier version of the page has kept may lack some.
options.value = { ...OPTIONS, ...options.value };

/**
 * What the page shows: `empty`, `uploading`, `job` or `result`.
 * `upload` and `job` below say more of it.
 */
export const screen = signal("empty");

/** The file on its way: `{ name, url, fraction }`. */
export const upload = signal(null);

/**
 * The job on the page: `{ id, uploadId, name, state, position, progress, engine,
 * reason, notes, stages, error, linked, cancelling, progressAt }`.
 */
export const job = signal(null);

/** `metadata.json` of the result on the page. */
export const result = signal(null);

/** What is to be said to the person: `[{ id, kind: "error" | "info", text }]`. */
export const notices = signal([]);

/** This browser's jobs, the newest first: `[{ id, uploadId, name, state, at }]`. */
export const recent = stored("unflatten.jobs", []);

/** Files that wait for their turn to be uploaded. */
export const waiting = signal([]);

const RECENT_MAX = 24;

export function remember(entry) {
  const before = recent.value.find((one) => one.id === entry.id);
  if (before && Object.entries(entry).every(([name, value]) => before[name] === value)) return;
  // A job that is known keeps its place.
  recent.value = before
    ? recent.value.map((one) => (one.id === entry.id ? { ...one, ...entry } : one))
    : [{ at: new Date().toISOString(), ...entry }, ...recent.value].slice(0, RECENT_MAX);
}

export function forget(id) {
  recent.value = recent.value.filter((one) => one.id !== id);
}

let nextNotice = 1;

/** The service's messages begin in lower case; the name of a file stays as it is. */
function sentence(text) {
  return /^[^:]*\.(png|jpe?g|webp|gif|bmp|tiff?|psd)\b/i.test(text) ? text : text.charAt(0).toUpperCase() + text.slice(1);
}

export function notify(kind, words) {
  const text = sentence(words);
  const notice = { id: nextNotice++, kind, text };
  // The same words once are enough.
  notices.value = [...notices.value.filter((one) => one.text !== text), notice].slice(-4);
}

export function dismiss(id) {
  notices.value = notices.value.filter((one) => one.id !== id);
}
