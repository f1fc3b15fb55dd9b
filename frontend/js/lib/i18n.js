import { en } from "../i18n/en.js";
import { ko } from "../i18n/ko.js";
import { stored } from "./signal.js";

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

/** The words for `key`, with `{name}` filled in from `values`. */
export function t(key, values = {}) {
  const text = WORDS[language.value]?.[key] ?? en[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

/** The words for `key`, or `fallback` where there are none (a stage that a newer service has). */
export function tOr(key, fallback) {
  return key in en ? t(key) : fallback;
}

/** What an answer of the service says: in the page's language where it has words for the code, else in the service's. */
export function refusal({ code, message }) {
  return WORDS[language.value]?.[`refusal.${code}`] ?? message;
}

export function number(value, options) {
  return new Intl.NumberFormat(language.value, options).format(value);
}

/** A fraction from 0 to 1 as a percentage; small ones keep a digit, so that nothing that is there reads as 0 %. */
export function percent(fraction) {
  const digits = fraction > 0 && fraction < 0.1 ? 1 : 0;
  return number(fraction, { style: "percent", maximumFractionDigits: digits });
}

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

export function duration(ms) {
  const seconds = Math.max(0, ms / 1000);
  const unit = (value, name, digits = 0) =>
    number(value, { style: "unit", unit: name, unitDisplay: "short", maximumFractionDigits: digits });
  if (seconds < 60) return unit(seconds, "second", seconds < 10 ? 1 : 0);
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${unit(minutes, "minute")} ${unit(Math.round(seconds % 60), "second")}`;
  return `${unit(Math.floor(minutes / 60), "hour")} ${unit(minutes % 60, "minute")}`;
}

/** "3 minutes ago", in the page's language. */
export function ago(isoTime) {
  const seconds = (Date.parse(isoTime) - Date.now()) / 1000;
  const format = new Intl.RelativeTimeFormat(language.value, { numeric: "auto" });
  const steps = [[60, 1, "second"], [3600, 60, "minute"], [86400, 3600, "hour"], [Infinity, 86400, "day"]];
  const [, size, unit] = steps.find(([limit]) => Math.abs(seconds) < limit);
  return format.format(Math.round(seconds / size), unit);
}

language.subscribe(() => showLanguage());

/** Tells the browser and screen readers which language the page is in. */
export function showLanguage() {
  document.documentElement.lang = language.value;
  document.title = t("app.title");
}
