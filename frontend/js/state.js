// @ts-check
import { signal, stored } from "./lib/signal.js";

/**
 * @template T
 * @typedef {import("./lib/signal.js").Signal<T>} Signal
 */

/**
 * Engines and limits of the service; `null` until it has answered.
 * @type {Signal<import("./types.js").Capabilities | null>}
 */
export const capabilities = signal(null);

/** @type {import("./types.js").Options} */
const OPTIONS = {
  num_layers: "auto",
  engine: "auto",
  prompt: "",
  seed: null,
  steps: null,
  guidance: null,
  resolution: null,
  output_size: "native",
  scene_text: "keep",
  sampler: "euler",
  loras: [],
};

/** The options of the next job, named as in the API. */
export const options = stored("unflatten.options", OPTIONS);
// Options that are new to the page are not in the browser's storage yet.
options.value = { ...OPTIONS, ...options.value };

/**
 * Which screen is on; `upload`, `job` and `result` say more of it.
 * @type {Signal<import("./types.js").Screen>}
 */
export const screen = signal("empty");

/**
 * The file on its way.
 * @type {Signal<import("./types.js").Upload | null>}
 */
export const upload = signal(null);

/**
 * Files that wait for their turn to be uploaded.
 * @type {Signal<File[]>}
 */
export const waiting = signal([]);

/**
 * The job on the page.
 * @type {Signal<import("./types.js").CurrentJob | null>}
 */
export const job = signal(null);

/**
 * What is known of the result on the page.
 * @type {Signal<import("./types.js").Metadata | null>}
 */
export const result = signal(null);

/**
 * The document of the result on the page, as the service had it when it was opened.
 * @type {Signal<import("./types.js").DocumentInfo | null>}
 */
export const delivered = signal(null);
