// @ts-check
import { arrived } from "../../editor/bitmaps.js";
import { fold, folded, hovered, isShown, renaming, selected, solo, unfold } from "../../editor/display.js";
import { doc, layersNow, partsAt } from "../../editor/document.js";
import { isLocked, isVisible, showAll, toggleLocked, toggleVisible } from "../../editor/edits.js";
import { groupTitle, layerTitle, shortTitle, wholeTitle } from "../../editor/names.js";
import { drawThumbnail } from "../../editor/thumbnail.js";
import { pathTo, rows } from "../../editor/tree.js";
import { urls } from "../../lib/api.js";
import { html, render } from "../../lib/html.js";
import { language, percent, t, tOr } from "../../lib/i18n.js";
import { icon } from "../../lib/icons.js";
import { View, delegate, isFromKeyboard, within } from "../../lib/view.js";
import { result } from "../../state.js";
import { layerItems } from "../menu/items.js";
import { Menu } from "../menu/menu.js";
import { Renaming } from "./renaming.js";
import { Reordering } from "./reordering.js";
import { Roving } from "./roving.js";

/**
 * @typedef {import("../../types.js").Layer} Layer
 * @typedef {import("../../types.js").LayerInfo} LayerInfo
 * @typedef {import("../../types.js").Row} Row
 */

const THUMBNAIL_PX = 96;
// Deeper rows are indented no further.
const DEEPEST = 4;

/**
 * The layers and groups of the document, the highest first as designers expect
 * it: show, choose, lock, solo, rename, reorder by dragging, download.
 *
 *     <un-layers></un-layers>
 */
class Layers extends View {
  #painted = "";
  #roving = new Roving(this);
  #renaming = new Renaming(this);

  mount() {
    delegate(this, "click", "[data-eye]", (event, button) => (event.altKey ? toggle(solo, keyOf(button)) : toggleVisible(keyOf(button))));
    delegate(this, "click", "[data-solo]", (_, button) => toggle(solo, keyOf(button)));
    delegate(this, "click", "[data-lock]", (_, button) => toggleLocked(keyOf(button)));
    delegate(this, "click", "[data-pick]", (_, button) => (selected.value = keyOf(button)));
    delegate(this, "dblclick", "[data-pick]", (_, button) => (renaming.value = keyOf(button)));
    delegate(this, "click", "[data-all]", () => this.#showAll());
    delegate(this, "click", "[data-fold]", (_, button) => fold(keyOf(button)));
    delegate(this, "contextmenu", "li", (event, row) => this.#menu(event, row));
    delegate(this, "pointerover", "li", ({ pointerType }, row) => pointerType !== "touch" && (hovered.value = keyOf(row)));
    this.addEventListener("pointerleave", () => (hovered.value = null));
    new Reordering(this);
    this.watch([language], () => this.#draw());
    this.watch([doc, solo, selected, folded], () => this.#sync());
    this.watch([hovered], () => this.#hover());
    this.watch([renaming], () => this.#renaming.sync());
    // What is chosen on the canvas is seen in the list.
    this.watch([selected], () => unfold(pathTo(layersNow(), selected.value).slice(0, -1)));
    this.watch([arrived], () => this.#thumbnails());
  }

  /**
   * @param {MouseEvent} event
   * @param {HTMLElement} row
   */
  #menu(event, row) {
    if (event.target instanceof HTMLInputElement) return;
    event.preventDefault();
    selected.value = keyOf(row);
    const { left, bottom } = row.getBoundingClientRect();
    Menu.open(layerItems(keyOf(row)), isFromKeyboard(event) ? { x: left, y: bottom } : { x: event.clientX, y: event.clientY });
  }

  #showAll() {
    solo.value = null;
    showAll();
    this.find("ol button").focus();
  }

  #draw() {
    if (!doc.value) return;
    render(this, html`
      <div class="layers-head">
        <h2 id="layers-title">${t("layers.title", { count: layersNow().length })}</h2>
        <button type="button" class="button quiet small" data-all hidden>${t("layers.showAll")}</button>
      </div>
      <ol aria-labelledby="layers-title">${rows(layersNow(), folded.value).map((row) => this.#row(row))}</ol>`);
    this.#thumbnails();
    this.#sync();
    this.#renaming.sync();
  }

  /** @param {Row} row */
  #row(row) {
    const { key, depth, layer } = row;
    const name = nameIn(row);
    return html`
      <li data-key="${key}" data-depth="${Math.min(depth, DEEPEST)}" class="${classOf(row)}">
        ${control("eye", "visible", name, html`<span class="on">${icon("eye")}</span><span class="off">${icon("eyeOff")}</span>`)}
        <button type="button" class="pick" data-pick>
          <canvas class="checker" width="${THUMBNAIL_PX}" height="${THUMBNAIL_PX}" aria-hidden="true"></canvas>
          <span class="words"><b title="${wholeIn(row)}">${name}</b>
            <span class="meta">${layer ? layerWords(layer.info) : t("layers.group", { count: partsAt(key).length })}</span>
            ${layer ? flagsOf(layer).map((words) => html`<span class="chip warn">${words}</span>`) : ""}
          </span>
        </button>
        <span class="row-tools">
          ${control("solo", "solo", name, icon("solo"))}
          ${layer ? this.#download(layer) : ""}
          ${control("lock", "lock", name, html`<span class="on">${icon("lock")}</span><span class="off">${icon("unlock")}</span>`)}
          ${layer ? "" : this.#fold(name)}
          <span class="grip" aria-hidden="true">${icon("grip")}</span>
        </span>
      </li>`;
  }

  /** @param {string} name */
  #fold(name) {
    const words = t("layers.parts", { name });
    return html`<button type="button" class="button quiet small square" data-fold aria-label="${words}" title="${words}">${icon("fold")}</button>`;
  }

  /** @param {Layer} layer */
  #download(layer) {
    const { job, info } = layer;
    const words = t("layers.download", { name: shortTitle(layer) });
    return html`<a class="button quiet small square" href="${urls.layer(job, info.z_index)}" download="${info.file}"
      aria-label="${words}" title="${words}">${icon("download")}</a>`;
  }

  #sync() {
    if (!doc.value) return;
    const list = this.querySelector("ol");
    const wanted = rows(layersNow(), folded.value);
    const found = list ? wanted.map((row) => this.#rowOf(row)) : [];
    const listed = found.flatMap((row) => row ?? []);
    // After a split the parts have no rows yet, and the layer's row is not a group's.
    if (!list || list.children.length !== wanted.length || listed.length !== wanted.length) return this.#draw();
    this.#repaint();
    wanted.forEach((row, at) => {
      if (list.children[at] !== listed[at]) moveTo(list, listed[at], at);
      this.#show(row, listed[at]);
    });
    this.#roving.sync();
    this.#hover();
    this.find("[data-all]").hidden = solo.value === null && layersNow().every((layer) => layer.visible);
  }

  /**
   * @param {Row} row
   * @returns {HTMLElement | null}
   */
  #rowOf({ key, layer }) {
    return this.querySelector(`li[data-key="${key}"]${layer ? ":not(.group)" : ".group"}`);
  }

  /**
   * @param {Row} row
   * @param {HTMLElement} element
   */
  #show(row, element) {
    const { key } = row;
    const members = partsAt(key);
    element.classList.toggle("hidden", !members.some(isShown));
    element.classList.toggle("selected", selected.value === key);
    this.#name(element, nameIn(row), wholeIn(row));
    element.querySelector("[data-fold]")?.setAttribute("aria-expanded", String(!folded.value.has(key)));
    within(element, "[data-lock]").setAttribute("aria-pressed", String(isLocked(key)));
    within(element, "[data-eye]").setAttribute("aria-pressed", String(isVisible(key)));
    within(element, "[data-solo]").setAttribute("aria-pressed", String(solo.value === key));
    within(element, "[data-pick]").setAttribute("aria-pressed", String(selected.value === key));
  }

  /** Lights up the row of what the pointer is over, or of the folded group around it. */
  #hover() {
    const path = pathTo(layersNow(), hovered.value);
    const lit = path.reverse().map((key) => this.querySelector(`li[data-key="${key}"]`)).find(Boolean);
    for (const row of this.querySelectorAll("li")) row.classList.toggle("hovered", row === lit);
  }

  /**
   * @param {HTMLElement} element
   * @param {string} name
   * @param {string} whole
   */
  #name(element, name, whole) {
    const place = within(element, "b");
    place.title = whole;
    if (place.textContent === name) return;
    place.textContent = name;
    for (const [selector, key] of [["[data-eye]", "visible"], ["[data-solo]", "solo"], ["[data-lock]", "lock"], ["a", "download"], ["[data-fold]", "parts"]]) {
      const control = element.querySelector(selector);
      const words = t(`layers.${key}`, { name });
      control?.setAttribute("title", words);
      control?.setAttribute("aria-label", words);
    }
  }

  // Thumbnails depend on colours, those of groups also on where their parts are.
  #repaint() {
    const seen = JSON.stringify(layersNow().map(({ key, groups, x, y, scale, hue, saturation, lightness }) =>
      [key, hue, saturation, lightness, ...(groups.length > 0 ? [x, y, scale] : [])]));
    if (seen !== this.#painted) this.#thumbnails();
    this.#painted = seen;
  }

  #thumbnails() {
    if (!doc.value) return;
    for (const row of this.querySelectorAll("li")) drawThumbnail(within(row, "canvas", HTMLCanvasElement), keyOf(row));
  }
}

/**
 * Key of the layer or group whose row an element is in.
 * @param {HTMLElement} element
 */
const keyOf = (element) => Number(element.closest("li")?.dataset.key);

/**
 * A button of a row.
 * @param {"eye" | "solo" | "lock"} action
 * @param {string} words what its words end in
 * @param {string} name
 * @param {import("../../lib/html.js").Content} picture
 */
function control(action, words, name, picture) {
  const title = t(`layers.${words}`, { name });
  const attribute = { eye: html`data-eye`, solo: html`data-solo`, lock: html`data-lock` }[action];
  return html`<button type="button" class="button quiet small square" ${attribute} aria-label="${title}" title="${title}">${picture}</button>`;
}

/** @type {(row: Row) => string} */
const nameIn = ({ layer, group }) => (layer ? shortTitle(layer) : group ? groupTitle(group) : "");
/** @type {(row: Row) => string} */
const wholeIn = (row) => (row.layer ? wholeTitle(row.layer) : nameIn(row));

/**
 * What a row is: a `group` that the service put together is `named`, the other groups are layers that were split, and
 * their layers are `part`s.
 * @param {Row} row
 */
function classOf({ layer, group }) {
  if (group) return group.code ? "group named" : "group";
  return layer?.groups.some(({ code }) => !code) ? "part" : "";
}

/**
 * @param {import("../../lib/signal.js").Signal<number | null>} choice
 * @param {number} key
 */
function toggle(choice, key) {
  choice.value = choice.value === key ? null : key;
}

/**
 * @param {HTMLElement} list
 * @param {HTMLElement} row
 * @param {number} place
 */
function moveTo(list, row, place) {
  const focused = row.contains(document.activeElement) ? document.activeElement : null;
  list.insertBefore(row, list.children[place] ?? null);
  if (focused instanceof HTMLElement) focused.focus();
}

/** @param {LayerInfo} info */
function layerWords({ kind, coverage, visible_share: seen, flags }) {
  const words = [tOr(`kind.${kind}`, kind), t("layers.coverage", { share: percent(coverage) })];
  if (seen < 0.995 && !flags.empty) words.push(t("layers.seen", { share: percent(seen) }));
  return words.join(" · ");
}

/** @param {Layer} layer */
function flagsOf({ job, info: { flags, kind } }) {
  const words = [];
  if (flags.empty) words.push(t("flag.empty"));
  if (flags.duplicate_of !== null && flags.duplicate_of !== undefined) {
    const other = layersNow().find((layer) => layer.job === job && layer.info.z_index === flags.duplicate_of);
    words.push(t("flag.duplicate", { name: other ? layerTitle(other) : flags.duplicate_of }));
  }
  if (flags.copy_of_composite) words.push(t("flag.copy"));
  if (kind === "background" && job === doc.value?.id && result.value?.background?.quality === "rough") words.push(t("flag.rough"));
  return words;
}

export function register() {
  customElements.define("un-layers", Layers);
}
