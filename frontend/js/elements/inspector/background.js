// @ts-check
import { choosePicture, fill, replacePixels } from "../../editor/own-pictures.js";
import { html } from "../../lib/html.js";
import { t } from "../../lib/i18n.js";

/** The colours that were used last, and the angle between them. */
const used = { from: "#ffffff", to: "#d9e4f2", angle: 180 };

/**
 * Other backgrounds: one colour, two, or a picture of one's own.
 * @param {import("../../types.js").Layer | null} layer
 */
export function backgroundMarkup(layer) {
  if (layer?.info.kind !== "background") return "";
  const colour = (/** @type {"from" | "to"} */ name) => html`
    <label><span class="visually-hidden">${t(`background.${name}`)}</span><input name="background-${name}" type="color" value="${used[name]}"></label>`;
  return html`
    <details class="background"><summary>${t("background.title")}</summary>
      <div class="inspector-row">${colour("from")}
        <button type="button" class="button small" data-background="colour">${t("background.colour")}</button></div>
      <div class="inspector-row">${colour("to")}
        <label><span>°</span><input class="input" name="background-angle" type="number" min="-360" max="360" step="1" value="${used.angle}" aria-label="${t("background.angle")}"></label>
        <button type="button" class="button small" data-background="gradient">${t("background.gradient")}</button></div>
      <div class="inspector-row"><button type="button" class="button small" data-background="picture">${t("background.picture")}</button></div>
    </details>`;
}

/**
 * Whether a field is one of these, which change nothing by themselves.
 * @param {HTMLInputElement} input
 */
export function takeBackground({ name, value }) {
  if (name === "background-from") used.from = value;
  if (name === "background-to") used.to = value;
  if (name === "background-angle" && value !== "") used.angle = Number(value);
  return name.startsWith("background-");
}

/**
 * @param {string} how
 * @param {number} key of the background
 */
export function makeBackground(how, key) {
  if (how === "colour") void fill(key, [used.from]);
  if (how === "gradient") void fill(key, [used.from, used.to], used.angle);
  if (how === "picture") choosePicture((file) => void replacePixels(key, file, true));
}
