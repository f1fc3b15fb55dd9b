// @ts-check
import { aligned, distributed, edges } from "../../editor/align.js";
import { outermost } from "../../editor/arrange.js";
import { dragged, picked } from "../../editor/display.js";
import { boxAt, doc, layersNow, shapeOf } from "../../editor/document.js";
import { isLocked, moveAll, transform } from "../../editor/edits.js";
import { around, middleOf, turned } from "../../editor/geometry.js";
import { beforeMerged, edit } from "../../editor/history.js";
import { normal, rotated, scaled } from "../../editor/transform.js";
import { html } from "../../lib/html.js";
import { stored } from "../../lib/signal.js";
import { t } from "../../lib/i18n.js";
import { icon } from "../../lib/icons.js";

/**
 * Place, size and turn of what is selected in numbers, and the buttons that align it.
 *
 * @typedef {"x" | "y" | "width" | "height" | "turn"} Field
 */

/** @type {[Field, string, number, number][]} */
const FIELDS = [["x", "X", -100000, 100000], ["y", "Y", -100000, 100000], ["width", "W", 1, 100000], ["height", "H", 1, 100000], ["turn", "°", -360, 360]];

/** Whether width and height change together. */
const keeps = stored("unflatten.keepsShape", true);

/** @type {(name: string) => Field | undefined} */
const fieldOf = (name) => FIELDS.find(([field]) => field === name)?.[0];

/** The fields and buttons. */
export function placesMarkup() {
  const input = (/** @type {(typeof FIELDS)[0]} */ [field, word, least, most]) => html`
    <label><span aria-hidden="true">${word}</span>
      <input class="input" name="${field}" type="number" min="${least}" max="${most}" step="${field === "turn" ? "any" : "1"}" aria-label="${t(`place.${field}`)}"></label>`;
  const button = (/** @type {string} */ name, /** @type {string} */ words, /** @type {string} */ picture) => html`
    <button type="button" class="button quiet small square" data-place="${name}" aria-label="${t(words)}" title="${t(words)}">${icon(picture)}</button>`;
  const [x, y, width, height, turn] = FIELDS.map(input);
  return html`
    <div class="inspector-row places">${x}${y}${turn}</div>
    <div class="inspector-row places">${width}${height}${button("keep", "place.keep", "link")}</div>
    <div class="inspector-row aligns" role="group" aria-label="${t("place.align")}">
      ${edges.map((edge) => button(edge, `place.align.${edge}`, edge))}
      ${button("distribute-x", "place.distribute.x", "distributeX")}${button("distribute-y", "place.distribute.y", "distributeY")}
    </div>`;
}

/**
 * What the fields show.
 * @returns {Record<Field, number> | null}
 */
export function places() {
  const [shape, seen] = [shapeOf(picked.value), around(picked.value.map(boxAt))];
  if (!shape || !seen) return null;
  const { dx, dy } = dragged.value ?? { dx: 0, dy: 0 };
  const { box: { width, height }, turn } = shape;
  return { x: Math.round(seen.x + dx), y: Math.round(seen.y + dy), width: Math.round(width), height: Math.round(height), turn };
}

/**
 * Shows what the buttons can do.
 * @param {HTMLElement} inspector
 */
export function syncPlaces(inspector) {
  const free = outermost(layersNow(), picked.value).filter((key) => boxAt(key) !== null && !isLocked(key));
  for (const button of inspector.querySelectorAll("[data-place]")) {
    if (!(button instanceof HTMLButtonElement)) continue;
    const name = button.dataset.place ?? "";
    if (name === "keep") button.setAttribute("aria-pressed", String(keeps.value));
    else button.disabled = free.length < (name.startsWith("distribute") ? 3 : 1);
  }
}

/**
 * Takes a number from a field. Answers with whether it is one of these.
 * @param {HTMLInputElement} input
 */
export function takePlace({ name, value }) {
  const field = fieldOf(name);
  if (!field) return false;
  const next = Number(value);
  if (value !== "" && Number.isFinite(next)) place(field, next, `${field} ${picked.value}`);
  return true;
}

/**
 * @param {Field} field
 * @param {number} next
 * @param {string} merge
 */
function place(field, next, merge) {
  const now = places();
  if (!now) return;
  if (field === "x") return moveAll(picked.value, next - now.x, 0, merge);
  if (field === "y") return moveAll(picked.value, 0, next - now.y, merge);
  const shape = shapeBefore(merge);
  if (!shape) return;
  const { box, turn } = shape;
  if (field === "turn") return transform(picked.value, (members) => rotated(members, normal(next - turn), middleOf(box)), merge);
  const factor = next / box[field];
  const factors = keeps.value ? { x: factor, y: factor } : { x: field === "width" ? factor : 1, y: field === "height" ? factor : 1 };
  const corner = turned(box, turn, middleOf(box));
  transform(picked.value, (members) => scaled(members, factors, corner, turn), merge);
}

/** @type {{ merge: string, layers: import("../../types.js").Layer[], shape: ReturnType<typeof shapeOf> } | null} */
let started = null;

/**
 * The shape of what is selected when the row of edits with this `merge` began.
 * @param {string} merge
 */
function shapeBefore(merge) {
  const layers = beforeMerged(merge);
  if (started?.merge !== merge || started.layers !== layers) started = { merge, layers, shape: shapeOf(picked.value) };
  return started.shape;
}

/** @param {string} name of a button */
export function act(name) {
  if (!doc.value) return;
  const keys = picked.value.filter((key) => !isLocked(key));
  const edge = edges.find((one) => one === name);
  if (name === "keep") keeps.value = !keeps.value;
  else if (edge) edit(aligned(layersNow(), keys, edge, doc.value));
  else edit(distributed(layersNow(), keys, name === "distribute-x" ? "x" : "y"));
}
