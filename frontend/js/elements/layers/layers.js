// @ts-check
import { arrived } from "../../editor/bitmaps.js";
import { fold, folded, hovered, isShown, pick, pickAlso, picked, renaming, selected, solo, unfold } from "../../editor/display.js";
import { doc, layersNow, partsAt } from "../../editor/document.js";
import { isAllVisible, isLocked, isVisible, showAll, toggleLocked, toggleVisible } from "../../editor/edits.js";
import { fillDrag, saveLayer } from "../../editor/save.js";
import { splitting, stopSplitting } from "../../editor/split.js";
import { drawThumbnail } from "../../editor/thumbnail.js";
import { pathTo, rows } from "../../editor/tree.js";
import { html, render } from "../../lib/html.js";
import { language, t } from "../../lib/i18n.js";
import { View, delegate, isFromKeyboard, within } from "../../lib/view.js";
import { layerItems } from "../menu/items.js";
import { Menu } from "../menu/menu.js";
import { Renaming } from "./renaming.js";
import { Reordering } from "./reordering.js";
import { Roving } from "./roving.js";
import { nameIn, rowMarkup, wholeIn } from "./row.js";

/** @typedef {import("../../types.js").Row} Row */

const DOUBLE_CLICK_MS = 450;

/**
 * The layers and groups of the document, the highest first as designers expect
 * it: show, choose, lock, solo, rename, reorder by dragging, download.
 *
 *     <un-layers></un-layers>
 */
class Layers extends View {
  #painted = "";
  /** @type {number | null} the frame in which thumbnails are drawn */
  #drawing = null;
  #roving = new Roving(this);
  #renaming = new Renaming(this);

  mount() {
    delegate(this, "click", "[data-eye]", (event, button) => (event.altKey ? toggle(solo, keyOf(button)) : toggleVisible(keyOf(button))));
    delegate(this, "click", "[data-solo]", (_, button) => toggle(solo, keyOf(button)));
    delegate(this, "click", "[data-lock]", (_, button) => toggleLocked(keyOf(button)));
    delegate(this, "click", "[data-pick]", (event, button) => (event.shiftKey || event.ctrlKey || event.metaKey ? pickAlso(keyOf(button)) : this.#pick(keyOf(button))));
    delegate(this, "dblclick", "[data-pick]", (_, button) => (renaming.value = keyOf(button)));
    delegate(this, "click", "[data-take]", (_, button) => saveLayer(keyOf(button)));
    delegate(this, "click", "[data-stop]", (_, button) => void stopSplitting(keyOf(button)));
    delegate(this, "dragstart", "[data-take]", (event, button) => event.dataTransfer && fillDrag(event.dataTransfer, keyOf(button)));
    delegate(this, "click", "[data-all]", () => this.#showAll());
    delegate(this, "click", "[data-fold]", (_, button) => fold(keyOf(button)));
    delegate(this, "contextmenu", "li", (event, row) => this.#menu(event, row));
    delegate(this, "pointerover", "li", ({ pointerType }, row) => pointerType !== "touch" && (hovered.value = keyOf(row)));
    this.addEventListener("pointerleave", () => (hovered.value = null));
    new Reordering(this);
    this.watch([language], () => this.#draw());
    this.watch([doc, solo, selected, picked, folded], () => this.#sync());
    this.watch([hovered], () => this.#hover());
    this.watch([splitting], () => this.#splitting());
    this.watch([renaming], () => {
      this.#renaming.sync();
      if (renaming.value !== null) this.#reveal();
    });
    // What is chosen on the canvas is seen in the list.
    this.watch([selected], () => unfold(pathTo(layersNow(), selected.value).slice(0, -1)));
    this.watch([selected], () => requestAnimationFrame(() => this.contains(document.activeElement) || this.#reveal()));
    // Many layers may arrive in one frame.
    this.watch([arrived], () => (this.#drawing ??= requestAnimationFrame(() => this.#thumbnails())));
  }

  /** @param {number} key */
  #pick(key) {
    pick([key]);
    const panel = this.closest(".panel");
    if (!panel || this.#hiddenBy(panel) === 0) return;
    // The inspector has come up over the row: the second click of a double-click still reaches it.
    panel.classList.add("picked");
    setTimeout(() => {
      panel.classList.remove("picked");
      this.#reveal();
    }, DOUBLE_CLICK_MS);
  }

  /** Scrolls the panel, where it scrolls by itself, to the row that is selected. */
  #reveal() {
    const panel = this.closest(".panel");
    const by = panel ? this.#hiddenBy(panel) : 0;
    if (by !== 0) panel?.scrollBy(0, by);
  }

  /**
   * How far the panel must scroll for the selected row to be seen; 0 where it is, or where the whole page scrolls.
   * @param {Element} panel
   */
  #hiddenBy(panel) {
    const row = this.querySelector("li.selected")?.getBoundingClientRect();
    const inspector = panel.querySelector(".chosen");
    if (!row || !inspector || panel.scrollHeight <= panel.clientHeight) return 0;
    const { top } = panel.getBoundingClientRect();
    // The inspector covers the lower part of the panel.
    const isSeen = row.top >= top && row.bottom <= inspector.getBoundingClientRect().top;
    return isSeen ? 0 : row.top - top - panel.clientHeight / 4;
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
      <ol aria-labelledby="layers-title">${rows(layersNow(), folded.value).map(rowMarkup)}</ol>`);
    this.#thumbnails();
    this.#sync();
    this.#renaming.sync();
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
    this.#splitting();
    this.#hover();
    this.find("[data-all]").hidden = solo.value === null && isAllVisible();
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
    element.classList.toggle("selected", picked.value.includes(key));
    this.#name(element, nameIn(row), wholeIn(row));
    element.querySelector("[data-fold]")?.setAttribute("aria-expanded", String(!folded.value.has(key)));
    within(element, "[data-lock]").setAttribute("aria-pressed", String(isLocked(key)));
    within(element, "[data-eye]").setAttribute("aria-pressed", String(isVisible(key)));
    within(element, "[data-solo]").setAttribute("aria-pressed", String(solo.value === key));
    within(element, "[data-pick]").setAttribute("aria-pressed", String(picked.value.includes(key)));
  }

  /** Shows in its row how far the split of a layer is. */
  #splitting() {
    for (const shown of this.querySelectorAll(".splitting")) {
      if (!(shown instanceof HTMLElement)) continue;
      const running = splitting.value[keyOf(shown)];
      shown.hidden = !running;
      within(shown, "progress", HTMLProgressElement).value = running?.percent ?? 0;
      within(shown, "[data-stop]", HTMLButtonElement).disabled = !running?.job;
    }
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
    for (const [selector, key] of [["[data-eye]", "visible"], ["[data-solo]", "solo"], ["[data-lock]", "lock"], ["[data-take]", "dragOut"], ["[data-stop]", "stop"], ["[data-fold]", "parts"]]) {
      const control = element.querySelector(selector);
      const words = t(`layers.${key}`, { name });
      control?.setAttribute("title", words);
      control?.setAttribute("aria-label", words);
    }
  }

  // Thumbnails depend on colours, those of groups also on where their parts are.
  #repaint() {
    const seen = JSON.stringify(layersNow().map(({ key, groups, x, y, scale_x, scale_y, rotation, hue, saturation, lightness }) =>
      [key, hue, saturation, lightness, scale_x / scale_y, rotation, ...(groups.length > 0 ? [x, y, scale_x] : [])]));
    if (seen !== this.#painted) this.#thumbnails();
    this.#painted = seen;
  }

  #thumbnails() {
    this.#drawing = null;
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

export function register() {
  customElements.define("un-layers", Layers);
}
