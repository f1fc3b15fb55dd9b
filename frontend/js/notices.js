// @ts-check
import { signal } from "./lib/signal.js";

/** @typedef {import("./types.js").Notice} Notice */

/**
 * The notices on the page.
 * @type {import("./lib/signal.js").Signal<Notice[]>}
 */
export const notices = signal([]);

const NOTICES_MAX = 4;
let nextNotice = 1;

/**
 * Begins with a capital, unless with the name of a file.
 * @param {string} text
 */
function sentence(text) {
  return /^[^:]*\.(png|jpe?g|webp|gif|bmp|tiff?|psd)\b/i.test(text) ? text : text.charAt(0).toUpperCase() + text.slice(1);
}

/**
 * @param {Notice["kind"]} kind
 * @param {string} words
 * @param {Notice["offer"]} [offer] what can be done about it
 */
export function notify(kind, words, offer) {
  const text = sentence(words);
  const notice = { id: nextNotice++, kind, text, offer };
  // The same words are shown once.
  notices.value = [...notices.value.filter((one) => one.text !== text), notice].slice(-NOTICES_MAX);
}

/**
 * Shows an error; an aborted upload needs no words.
 * @param {unknown} error
 * @param {string} [name] of the file that it is about
 */
export function report(error, name = "") {
  const { code, message } = failureOf(error);
  if (code === "aborted") return;
  notify("error", name ? `“${name}”: ${message}` : message);
}

/**
 * A thrown value as a code and words.
 * @param {unknown} error
 * @returns {import("./types.js").Failure}
 */
export function failureOf(error) {
  const { code = "unexpected", message = String(error) } = /** @type {Partial<import("./types.js").Failure>} */ (error ?? {});
  return { code, message };
}

/**
 * Does what a notice offers, and closes it.
 * @param {number} id
 */
export function accept(id) {
  const notice = notices.value.find((one) => one.id === id);
  dismiss(id);
  notice?.offer?.run();
}

/** @param {number} id */
export function dismiss(id) {
  notices.value = notices.value.filter((one) => one.id !== id);
}
