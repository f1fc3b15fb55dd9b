// @ts-check
import { en } from "../i18n/en.js";
import { ko } from "../i18n/ko.js";
import { stored } from "./signal.js";

/** @typedef {import("../types.js").Message} Message */

/** @type {Record<string, Record<string, string>>} */
const WORDS = { en, ko };

export const LANGUAGES = [
  { code: "en", name: "English" },
  { code: "ko", name: "한국어" },
];

function fromBrowser() {
  const wanted = navigator.languages ?? [navigator.language];
  return wanted.map((tag) => tag.slice(0, 2).toLowerCase()).find((code) => WORDS[code]) ?? "en";
}

/** The language of the page, from the browser until someone chooses. */
export const language = stored("unflatten.language", fromBrowser());

/**
 * The text for `key` in the page's language, if there is one.
 * @param {string} key
 * @returns {string | undefined}
 */
const lookUp = (key) => WORDS[language.value]?.[key];

const PLACEHOLDER = /\{(\w+)\}/g;

/**
 * The words for `key`, with `{name}` filled in from `values`.
 * @param {string} key
 * @param {Record<string, unknown>} [values]
 */
export function t(key, values = {}) {
  const text = lookUp(key) ?? WORDS.en[key] ?? key;
  return text.replace(PLACEHOLDER, (whole, name) => String(values[name] ?? whole));
}

/**
 * The words for `key`, or `fallback` where there are none (a stage that a newer service has).
 * @param {string} key
 * @param {string} fallback
 */
export function tOr(key, fallback) {
  return key in en ? t(key) : fallback;
}

/**
 * A message of the service in the page's language, where `message.<code>` has words; otherwise its own text. Notes of
 * older results are plain strings.
 * @param {Message | string | null | undefined} message
 * @returns {string}
 */
export function say(message) {
  if (typeof message === "string") return message;
  const { code, text, data } = message ?? {};
  const words = code ? lookUp(`message.${code}`) : undefined;
  if (words === undefined) return text ?? "";
  const values = data ?? {};
  const isLacking = [...words.matchAll(PLACEHOLDER)].some(([, name]) => values[name] === undefined || values[name] === null);
  if (isLacking && text) return text;
  return words.replace(PLACEHOLDER, (whole, name) => shown(name, values[name]) ?? whole);
}

/**
 * A value of a message, by the unit that its name ends in.
 * @param {string} name
 * @param {unknown} value
 */
function shown(name, value) {
  if (value === undefined || value === null) return null;
  if (name === "engine" || name === "stage") return tOr(`${name}.${value}`, String(value));
  if (typeof value !== "number") return String(value);
  if (name.endsWith("_bytes")) return fileSize(value);
  if (name.endsWith("_ms")) return duration(value);
  if (name.endsWith("_s")) return duration(1000 * value);
  return number(value);
}

/**
 * Why something was done, as `say` takes it.
 * @param {import("../types.js").Reason} from
 * @returns {Message}
 */
export function reasonOf({ reason, reason_code: code, reason_data: data }) {
  return { code, text: reason, data };
}

/**
 * Why a job failed, as `say` takes it.
 * @param {import("../types.js").Failure} failure
 * @returns {Message}
 */
export function messageOf({ code, message, data }) {
  return { code, text: message, data };
}

/**
 * The words of a refusal: the page's, where it has some for the code, otherwise the service's.
 * @param {{ code?: string, message?: string }} error
 */
export function refusal({ code, message }) {
  return lookUp(`refusal.${code}`) ?? message;
}

/**
 * @param {number} value
 * @param {Intl.NumberFormatOptions} [options]
 */
export function number(value, options) {
  return new Intl.NumberFormat(language.value, options).format(value);
}

/**
 * A fraction from 0 to 1 as a percentage; small ones keep a digit, so that nothing that is there reads as 0 %.
 * @param {number} fraction
 */
export function percent(fraction) {
  const digits = fraction > 0 && fraction < 0.1 ? 1 : 0;
  return number(fraction, { style: "percent", maximumFractionDigits: digits });
}

/** @param {number} bytes */
export function fileSize(bytes) {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte"];
  let size = bytes;
  let unit = 0;
  while (size >= 1000 && unit < units.length - 1) {
    size /= 1000;
    unit += 1;
  }
  return number(size, { style: "unit", unit: units[unit], unitDisplay: "short", maximumFractionDigits: size < 10 ? 1 : 0 });
}

/** @param {number} ms */
export function duration(ms) {
  const seconds = Math.max(0, ms / 1000);
  /** @type {(value: number, name: string, digits?: number) => string} */
  const unit = (value, name, digits = 0) =>
    number(value, { style: "unit", unit: name, unitDisplay: "short", maximumFractionDigits: digits });
  if (seconds < 60) return unit(seconds, "second", seconds < 10 ? 1 : 0);
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${unit(minutes, "minute")} ${unit(Math.round(seconds % 60), "second")}`;
  return `${unit(Math.floor(minutes / 60), "hour")} ${unit(minutes % 60, "minute")}`;
}

/**
 * "3 minutes ago", in the page's language.
 * @param {string} isoTime
 */
export function ago(isoTime) {
  const seconds = (Date.parse(isoTime) - Date.now()) / 1000;
  const format = new Intl.RelativeTimeFormat(language.value, { numeric: "auto" });
  /** @type {[number, number, Intl.RelativeTimeFormatUnit][]} */
  const steps = [[60, 1, "second"], [3600, 60, "minute"], [86400, 3600, "hour"], [Infinity, 86400, "day"]];
  const [, size, unit] = steps.find(([limit]) => Math.abs(seconds) < limit) ?? steps[0];
  return format.format(Math.round(seconds / size), unit);
}

language.subscribe(() => showLanguage());

/**
 * A day and time, such as "2 Dec 2026, 00:45".
 * @param {number} time in milliseconds since 1970
 */
export function moment(time) {
  return new Intl.DateTimeFormat(language.value, { dateStyle: "medium", timeStyle: "short" }).format(time);
}

/** Tells the browser and screen readers which language the page is in. */
export function showLanguage() {
  document.documentElement.lang = language.value;
}
