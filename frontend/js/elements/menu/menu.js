// @ts-check
import { html, render } from "../../lib/html.js";
import { t } from "../../lib/i18n.js";
import { icon } from "../../lib/icons.js";
import { keysWords } from "../../lib/keys.js";
import { View, closest, delegate } from "../../lib/view.js";

/**
 * A line of a menu; `null` stands for a rule between lines.
 * @typedef {object} Item
 * @property {string} words
 * @property {() => void} run
 * @property {string} [icon]
 * @property {string} [keys] that do the same
 * @property {boolean} [isOff] whether there is nothing to do now
 * @property {boolean} [isOn] for one choice of a few: whether it is the one
 */

const MARGIN_PX = 8;

/**
 * The type check's library is older than popovers.
 * @typedef {{ showPopover: () => void, hidePopover: () => void }} Popover
 */

/**
 * A menu at a point of the window, such as that of the right mouse button: arrows, Home, End and first letters go through
 * it, Escape and a click elsewhere close it.
 *
 *     Menu.open([{ words: "Rename", run: rename }], { x, y })
 */
export class Menu extends View {
  /** @type {Item[]} */
  #items = [];
  #popover = /** @type {Popover} */ (/** @type {unknown} */ (this));

  /**
   * @param {(Item | null)[]} items
   * @param {import("../../types.js").Point} at
   */
  static open(items, at) {
    const menu = document.querySelector("un-menu");
    if (menu instanceof Menu) menu.#show(items, at);
  }

  mount() {
    this.popover = "auto";
    this.setAttribute("role", "menu");
    delegate(this, "click", "[data-item]", (_, button) => this.#run(Number(button.dataset.item)));
    this.addEventListener("contextmenu", (event) => event.preventDefault());
    this.addEventListener("keydown", (event) => this.#key(event));
    delegate(this, "pointermove", "[data-item]", (_, button) => button.focus({ preventScroll: true }));
  }

  /**
   * @param {(Item | null)[]} items
   * @param {import("../../types.js").Point} at
   */
  #show(items, { x, y }) {
    this.setAttribute("aria-label", t("menu.title"));
    this.#items = items.flatMap((item) => item ?? []);
    let number = 0;
    render(this, items.map((item) => (item ? this.#item(item, number++) : html`<hr>`)));
    this.#popover.showPopover();
    // Within the window.
    const { width, height } = this.getBoundingClientRect();
    this.style.left = `${Math.max(MARGIN_PX, Math.min(x, innerWidth - width - MARGIN_PX))}px`;
    this.style.top = `${Math.max(MARGIN_PX, Math.min(y, innerHeight - height - MARGIN_PX))}px`;
    this.#enabled()[0]?.focus();
  }

  /**
   * @param {Item} item
   * @param {number} number
   */
  #item({ words, icon: picture, keys, isOff, isOn }, number) {
    const role = isOn === undefined ? "menuitem" : "menuitemradio";
    const checked = isOn === undefined ? "" : html`aria-checked="${String(isOn)}"`;
    return html`
      <button type="button" role="${role}" tabindex="-1" data-item="${number}" ${checked} ${isOff ? html`disabled` : ""}>
        ${isOn ? icon("check") : picture ? icon(picture) : html`<span class="icon"></span>`}
        <span>${words}</span>${keys ? html`<kbd>${keysWords(keys)}</kbd>` : ""}</button>`;
  }

  #enabled() {
    return /** @type {HTMLElement[]} */ ([...this.querySelectorAll("[data-item]:not(:disabled)")]);
  }

  /** @param {number} number */
  #run(number) {
    const { run } = this.#items[number];
    // The focus goes back to where it was.
    this.#popover.hidePopover();
    run();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const items = this.#enabled();
    const at = items.findIndex((one) => one === closest(event, "[data-item]"));
    /** @type {Record<string, number>} */
    const steps = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 };
    const letter = event.key.length === 1 && event.key !== " " ? event.key.toLowerCase() : "";
    const named = letter ? [...items.slice(at + 1), ...items].find((one) => one.textContent?.trim().toLowerCase().startsWith(letter)) : undefined;
    const next = event.key in steps ? items.at(steps[event.key] % items.length) : named;
    if (event.key === "Tab") this.#popover.hidePopover();
    else if (!next) return;
    event.preventDefault();
    next?.focus();
  }
}

export function register() {
  customElements.define("un-menu", Menu);
}
