// @ts-check
import { t, tOr } from "../lib/i18n.js";
import { wordsIn } from "./words.js";

/**
 * Names in the page's language. A name that somebody gave wins; then come the
 * words of a text; then what the layer shows, which the service says in codes.
 *
 * @typedef {import("../types.js").Group} Group
 * @typedef {import("../types.js").Label} Label
 * @typedef {import("../types.js").Layer} Layer
 */

/** A text is as long as this in a list: words and characters. */
const MOST_WORDS = 4;
const MOST_CHARACTERS = 24;

/**
 * @param {Layer} layer
 */
export function layerTitle(layer) {
  const { name, info, text } = layer;
  const isGiven = name !== info.name;
  if (!isGiven && text) return shortened(onOneLine(wordsIn(layer)) || name);
  return isGiven || info.text || !info.label ? name : labelWords(info.label, name);
}

/** @param {string | null} words */
const onOneLine = (words) => (words ?? "").replace(/\s+/g, " ").trim();

/**
 * @param {Group} group
 */
export function groupTitle({ name, given, code, label }) {
  if (name !== given) return name;
  if (code) return tOr(`group.${code}`, name);
  return label ? labelWords(label, name) : name;
}

/**
 * "Yellow circle 2"; `fallback` for a thing that a newer service knows.
 * @param {Label} label
 * @param {string} fallback
 */
function labelWords({ thing, colour, number }, fallback) {
  const noun = tOr(`name.thing.${thing}`, "");
  if (!noun) return fallback;
  const words = t("name.pattern", {
    colour: colour ? tOr(`name.colour.${colour}`, colour) : "",
    thing: noun,
    number: number ?? "",
  }).replace(/\s+/g, " ").trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/**
 * All that a text layer says, or the name of another one.
 * @param {Layer} layer
 */
export function wholeTitle(layer) {
  const words = layer.name === layer.info.name ? onOneLine(wordsIn(layer)) : "";
  return words || layerTitle(layer);
}

/**
 * The first words of a layer's title, for a list. Names that somebody gave are not cut.
 * @param {Layer} layer
 */
export function shortTitle(layer) {
  const whole = wholeTitle(layer);
  return layer.info.kind === "text" && layer.name === layer.info.name ? shortened(whole) : whole;
}

/** @param {string} text */
function shortened(text) {
  const words = text.split(" ");
  let short = words.slice(0, MOST_WORDS).join(" ");
  // By characters as people count them, not by code units.
  if ([...short].length > MOST_CHARACTERS) {
    const cut = [...short].slice(0, MOST_CHARACTERS).join("");
    // Between words, unless that leaves next to nothing.
    const space = cut.lastIndexOf(" ");
    short = space > MOST_CHARACTERS / 2 ? cut.slice(0, space) : cut;
  }
  return short === text ? text : `${short.replace(/[\s,.;:·-]+$/u, "")}…`;
}
