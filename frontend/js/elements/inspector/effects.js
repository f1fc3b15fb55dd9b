// @ts-check
import { picked } from "../../editor/display.js";
import { partsAt } from "../../editor/document.js";
import { editAll } from "../../editor/edits.js";
import { html } from "../../lib/html.js";
import { t } from "../../lib/i18n.js";

/**
 * Outline and shadow of what is selected.
 *
 * @typedef {import("../../types.js").Effects} Effects
 */

/** @type {NonNullable<Effects["outline"]>} */
const OUTLINE = { width: 4, colour: "#ffffff" };
/** @type {NonNullable<Effects["shadow"]>} */
const SHADOW = { dx: 0, dy: 6, blur: 12, colour: "#000000", opacity: 0.4 };

/**
 * Numbers by the name of their field: what they are in, and their limits.
 * @type {[name: string, least: number, most: number][]}
 */
const NUMBERS = [["outline.width", 0, 200], ["shadow.dx", -2000, 2000], ["shadow.dy", -2000, 2000], ["shadow.blur", 0, 200], ["shadow.opacity", 0, 100]];

export function effectsMarkup() {
  const number = (/** @type {string} */ name) => {
    const [, least, most] = NUMBERS.find(([one]) => one === name) ?? ["", 0, 0];
    return html`<label><span>${t(`effects.${name.split(".")[1]}`)}</span>
      <input class="input" name="${name}" type="number" min="${least}" max="${most}" step="1"></label>`;
  };
  const colour = (/** @type {string} */ name) => html`
    <label><span class="visually-hidden">${t("effects.colour")}</span><input name="${name}" type="color"></label>`;
  const head = (/** @type {"outline" | "shadow"} */ name) => html`
    <div class="inspector-row"><label><input type="checkbox" name="${name}"> ${t(`effects.${name}`)}</label>${colour(`${name}.colour`)}</div>`;
  return html`
    <details class="effects"><summary>${t("effects.title")}</summary>
      ${head("outline")}<div class="inspector-row" data-of="outline">${number("outline.width")}</div>
      ${head("shadow")}<div class="inspector-row" data-of="shadow">${number("shadow.dx")}${number("shadow.dy")}</div>
      <div class="inspector-row" data-of="shadow">${number("shadow.blur")}${number("shadow.opacity")}</div>
    </details>`;
}

/** Effects of the lowest layer that is selected. */
const now = () => picked.value.flatMap(partsAt)[0]?.effects ?? {};

/**
 * @param {Effects} effects
 * @param {string} merge
 */
function set(effects, merge) {
  const given = Object.fromEntries(Object.entries(effects).filter(([, one]) => one));
  editAll(picked.value, { effects: Object.keys(given).length > 0 ? given : null }, merge);
}

/**
 * Takes a value from a field. Answers with whether it is one of these.
 * @param {HTMLInputElement} input
 */
export function takeEffect({ name, value, checked, type }) {
  const merge = `${name} ${picked.value}`;
  const effects = now();
  const { outline = null, shadow = null } = effects;
  const [of, field] = name.split(".");
  const isSwitch = type === "checkbox" && (name === "outline" || name === "shadow");
  if (isSwitch) set({ ...effects, [name]: checked ? { outline: OUTLINE, shadow: SHADOW }[name] : null }, merge);
  if (isSwitch || field === undefined) return isSwitch;
  const next = type === "color" ? value : name === "shadow.opacity" ? Number(value) / 100 : Number(value);
  if (value === "") return true;
  if (of === "outline") set({ ...effects, outline: { ...(outline ?? OUTLINE), [field]: next } }, merge);
  else set({ ...effects, shadow: { ...(shadow ?? SHADOW), [field]: next } }, merge);
  return true;
}

/**
 * Shows what there is.
 * @param {HTMLElement} inspector
 */
export function syncEffects(inspector) {
  const effects = now();
  const { outline = null, shadow = null } = effects;
  /** @type {Record<string, Record<string, string | number>>} */
  const shown = { outline: outline ?? OUTLINE, shadow: shadow ?? SHADOW };
  for (const input of inspector.querySelectorAll(".effects input")) {
    if (!(input instanceof HTMLInputElement)) continue;
    const [of, field] = input.name.split(".");
    if (field === undefined) input.checked = of === "outline" ? outline !== null : shadow !== null;
    else if (input !== document.activeElement) input.value = String(input.name === "shadow.opacity" ? Math.round(Number(shown.shadow.opacity) * 100) : shown[of][field]).slice(0, 7);
  }
  for (const row of inspector.querySelectorAll("[data-of]")) {
    if (row instanceof HTMLElement) row.hidden = row.dataset.of === "outline" ? outline === null : shadow === null;
  }
}
