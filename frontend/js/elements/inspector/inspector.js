// @ts-check
import { dragged, picked, selected } from "../../editor/display.js";
import { doc, givenName, layerOf, layersNow, nameOf, partsAt } from "../../editor/document.js";
import { editAll, isLocked, rename, shift, toggleLocked } from "../../editor/edits.js";
import { endEdit } from "../../editor/history.js";
import { canSplit, splitLayer, splitting, stopSplitting } from "../../editor/split.js";
import { canShift, groupOf } from "../../editor/tree.js";
import { blocksOf } from "../../editor/words.js";
import { html, render } from "../../lib/html.js";
import { language, number, t } from "../../lib/i18n.js";
import { icon } from "../../lib/icons.js";
import { View, closest, delegate } from "../../lib/view.js";
import { result } from "../../state.js";
import { layerItems } from "../menu/items.js";
import { Menu } from "../menu/menu.js";
import { backgroundMarkup, makeBackground, takeBackground } from "./background.js";
import { effectsMarkup, syncEffects, takeEffect } from "./effects.js";
import { act, places, placesMarkup, syncPlaces, takePlace } from "./places.js";

/**
 * A field that a slider or number input edits. Limits are in hundredths where the unit is %.
 * @typedef {[field: "opacity" | "hue" | "saturation" | "lightness", least: number, most: number, unit: "%" | "°"]} Field
 */

/** @type {Field[]} */
const SLIDERS = [["opacity", 0, 100, "%"]];
/** @type {Field[]} */
const COLOURS = [["hue", -180, 180, "°"], ["saturation", 0, 200, "%"], ["lightness", 40, 160, "%"]];
/** @type {import("../../types.js").Blend[]} */
const BLENDS = ["normal", "multiply", "screen", "overlay", "darken", "lighten"];
/** @type {Record<string, string>} */
const UNITS = Object.fromEntries([...SLIDERS, ...COLOURS].map(([field, , , unit]) => [field, unit]));

/**
 * Edits the selected layer or group: name, opacity, place,
 * size, order, colours, lock.
 *
 *     <un-inspector></un-inspector>
 */
class Inspector extends View {
  /** @type {number | null} */
  #key = null;
  #isGroup = false;

  mount() {
    this.watch([selected, language], () => this.#draw());
    this.watch([doc, dragged, picked, splitting], () => this.#sync());
    this.addEventListener("input", (event) => this.#take(event.target));
    this.addEventListener("change", () => endEdit());
    this.addEventListener("click", (event) => this.#act(closest(event, "[data-action]")?.dataset.action));
    delegate(this, "click", "[data-background]", (_, button) => selected.value !== null && makeBackground(button.dataset.background ?? "", selected.value));
    delegate(this, "click", "[data-place]", (_, button) => [act(button.dataset.place ?? ""), syncPlaces(this)]);
  }

  /** @param {string | undefined} action */
  #act(action) {
    const key = selected.value;
    if (key === null) return;
    if (action === "up") shift(key, 1);
    if (action === "down") shift(key, -1);
    if (action === "split") splitLayer(key);
    if (action === "stop") stopSplitting(key);
    if (action === "lock") toggleLocked(key);
    if (action === "more") this.#more(key);
  }

  /** @param {number} key */
  #more(key) {
    const { right, bottom } = this.find("[data-action=more]").getBoundingClientRect();
    Menu.open(layerItems(key), { x: right, y: bottom });
  }

  #draw() {
    const key = selected.value;
    this.#key = key;
    if (key === null || partsAt(key).length === 0) return render(this, html`<p class="hint empty">${t("inspector.none")}</p>`);
    const name = nameOf(key);
    const isGroup = layerOf(key) === null;
    this.#isGroup = isGroup;
    const layer = layerOf(key);
    // Words that can be edited are in a panel of their own.
    const text = layer && blocksOf(layer).length === 0 ? layer.info.text : null;
    render(this, html`
      <section aria-label="${t(isGroup ? "inspector.group" : "inspector.title", { name })}">
        <div class="inspector-row">
          <input class="input name" name="name" type="text" maxlength="200" aria-label="${t("inspector.name")}">
          ${this.#button("lock", "lock")}${this.#button("up", "up")}${this.#button("down", "down")}${this.#button("more", "more")}
        </div>
        <p class="hint several" hidden></p>
        ${layer ? roughness(layer) : ""}
        ${text && text !== name ? html`<p class="hint words">${text}</p>` : ""}
        ${placesMarkup()}
        ${SLIDERS.map((one) => this.#slider(one))}
        <div class="inspector-row">
          <label for="layer-blend">${t("inspector.blend")}</label>
          <select id="layer-blend" class="input" name="blend">${BLENDS.map((one) => html`<option value="${one}">${t(`blend.${one}`)}</option>`)}</select>
        </div>
        ${backgroundMarkup(layer)}
        ${effectsMarkup()}
        <details><summary>${t("inspector.colours")}</summary>${COLOURS.map((one) => this.#slider(one))}</details>
        ${isGroup ? "" : html`<div class="inspector-row">
          <button type="button" class="button small" data-action="split" title="${t("split.hint")}">${icon("layers")}${t("split.start")}</button>
          <progress max="100" aria-label="${t("split.running", { name })}" hidden></progress>
          <button type="button" class="button quiet small" data-action="stop" hidden>${t("progress.cancel")}</button>
        </div>`}
      </section>`);
    this.#sync();
  }

  /**
   * @param {"lock" | "up" | "down" | "more"} action
   * @param {string} picture
   */
  #button(action, picture) {
    const name = t(`inspector.${action}`);
    return html`<button type="button" class="button quiet small square" data-action="${action}" aria-label="${name}" title="${name}">${icon(picture)}</button>`;
  }

  /** @param {Field} field */
  #slider([field, least, most]) {
    return html`
      <div class="inspector-row">
        <label for="layer-${field}">${t(`inspector.${field}`)}</label>
        <input id="layer-${field}" name="${field}" type="range" min="${least}" max="${most}" step="1">
        <output for="layer-${field}"></output>
      </div>`;
  }

  /** @param {EventTarget | null} input */
  #take(input) {
    const key = selected.value;
    if (input instanceof HTMLSelectElement && key !== null) return editAll(picked.value, { blend: BLENDS.find((one) => one === input.value) });
    if (!(input instanceof HTMLInputElement) || key === null || !input.checkValidity()) return;
    const { name: field, value } = input;
    const merge = `${field} ${picked.value.join()}`;
    if (field === "name") return rename(key, value.trim() || givenName(key), merge);
    const next = Number(value);
    if (takePlace(input) || takeEffect(input) || takeBackground(input) || !Number.isFinite(next)) return;
    editAll(picked.value, { [field]: UNITS[field] === "%" ? next / 100 : next }, merge);
  }

  #sync() {
    const key = selected.value;
    const members = partsAt(key);
    // A layer becomes a group when it is split.
    const isGroup = members.length > 0 && layerOf(key) === null;
    if (key !== this.#key || isGroup !== this.#isGroup) return this.#draw();
    if (key === null || members.length === 0 || !this.querySelector("section")) return;
    const [lowest] = members;
    /** @type {Record<string, unknown>} */
    const values = { ...lowest, ...groupOf(layersNow(), key), name: nameOf(key), ...(places() ?? { x: 0, y: 0, width: 0, height: 0, turn: 0 }) };
    for (const input of this.querySelectorAll("input")) {
      if (!(input.name in values)) continue;
      const value = values[input.name];
      const shown = typeof value === "number" && input.name in UNITS ? Math.round(UNITS[input.name] === "%" ? value * 100 : value) : value;
      // A field stays as it is while someone types in it: "-" on the way to "-5".
      if (input.type === "range" || input !== document.activeElement) input.value = String(shown);
      const output = input.parentElement?.querySelector("output");
      if (output) output.textContent = `${number(Number(shown))}${UNITS[input.name] === "%" ? " %" : "°"}`;
    }
    syncPlaces(this);
    syncEffects(this);
    const several = this.find(".several");
    several.hidden = picked.value.length < 2;
    several.textContent = several.hidden ? "" : t("inspector.several", { count: picked.value.length });
    this.find("select", HTMLSelectElement).value = String(values.blend);
    this.find("[data-action=up]", HTMLButtonElement).disabled = !canShift(layersNow(), key, 1);
    this.find("[data-action=down]", HTMLButtonElement).disabled = !canShift(layersNow(), key, -1);
    this.find("[data-action=lock]").setAttribute("aria-pressed", String(isLocked(key)));
    if (!isGroup) this.#syncSplit(lowest);
  }

  /** @param {import("../../types.js").Layer} layer */
  #syncSplit(layer) {
    const running = splitting.value[layer.key];
    const bar = this.find("progress", HTMLProgressElement);
    this.find("[data-action=split]", HTMLButtonElement).disabled = running !== undefined || !canSplit(layer);
    this.find("[data-action=stop]").hidden = !running?.job;
    bar.hidden = !running;
    bar.value = running?.percent ?? 0;
  }
}

/**
 * What to expect behind the other layers, if a background is not clean there.
 * @param {import("../../types.js").Layer} layer
 */
function roughness({ job, info }) {
  const { background } = result.value ?? {};
  if (info.kind !== "background" || job !== doc.value?.id || !background || background.quality === "clean") return "";
  return html`<p class="hint rough">${icon(background.quality === "rough" ? "alert" : "info")}<span>${t(`background.${background.quality}.about`)}</span></p>`;
}

export function register() {
  customElements.define("un-inspector", Inspector);
}
