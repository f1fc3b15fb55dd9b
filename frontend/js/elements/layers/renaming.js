// @ts-check
import { renaming } from "../../editor/display.js";
import { givenName, layerOf, nameOf } from "../../editor/document.js";
import { rename } from "../../editor/edits.js";
import { wholeTitle } from "../../editor/names.js";
import { t } from "../../lib/i18n.js";

/** The name of a row as a field in its place: Enter and a click elsewhere keep what was typed, Escape gives it up. */
export class Renaming {
  #list;
  /** @type {HTMLInputElement | null} */
  #field = null;

  /** @param {HTMLElement} list */
  constructor(list) {
    this.#list = list;
  }

  /** Shows or removes the field. */
  sync() {
    const key = renaming.value;
    if (this.#field?.isConnected && this.#field.dataset.of === String(key)) return;
    this.#field?.remove();
    this.#field = null;
    const row = key === null ? null : this.#list.querySelector(`li[data-key="${key}"]`);
    if (row && key !== null) this.#open(row, key);
  }

  /**
   * @param {Element} row
   * @param {number} key
   */
  #open(row, key) {
    const layer = layerOf(key);
    const before = layer ? wholeTitle(layer) : nameOf(key);
    const field = Object.assign(document.createElement("input"), { className: "input rename", value: before, maxLength: 200 });
    field.dataset.of = String(key);
    field.setAttribute("aria-label", t("inspector.name"));
    /** @param {boolean} keep */
    const end = (keep) => {
      if (this.#field !== field) return;
      const name = field.value.trim();
      const hadFocus = field === document.activeElement;
      this.#field = null;
      field.remove();
      renaming.value = null;
      if (keep && name !== before) rename(key, name || givenName(key));
      const pick = this.#list.querySelector(`li[data-key="${key}"] [data-pick]`);
      if (hadFocus && pick instanceof HTMLElement) pick.focus();
    };
    field.addEventListener("keydown", (event) => {
      event.stopPropagation();
      // Enter and Escape end the composition of a Korean syllable first.
      if (event.isComposing) return;
      if (event.key === "Enter") end(true);
      if (event.key === "Escape") end(false);
    });
    field.addEventListener("blur", () => end(true));
    this.#field = field;
    row.append(field);
    field.focus();
    field.select();
  }
}
