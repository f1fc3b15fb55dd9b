// @ts-check
import { doc } from "../../editor/document.js";
import { count, replaceAll } from "../../editor/retype.js";
import { html, render } from "../../lib/html.js";
import { language, t } from "../../lib/i18n.js";
import { View } from "../../lib/view.js";

/**
 * Finds words in all texts of the document and puts others in their place.
 *
 *     <un-replace></un-replace>
 */
class Replace extends View {
  mount() {
    this.watch([language], () => this.#draw());
    this.watch([doc], () => this.#count());
    this.addEventListener("input", () => this.#count());
    this.addEventListener("submit", (event) => {
      event.preventDefault();
      const done = replaceAll(this.#value("wanted"), this.#value("by"));
      this.find("output").textContent = t("replace.done", { count: done });
    });
  }

  #draw() {
    render(this, html`
      <form class="replace" method="dialog">
        <div class="field"><label for="wanted">${t("replace.wanted")}</label><input class="input" id="wanted" name="wanted" type="text" autocomplete="off" autofocus></div>
        <div class="field"><label for="by">${t("replace.by")}</label><input class="input" id="by" name="by" type="text" autocomplete="off"></div>
        <div class="replace-foot"><output class="hint" aria-live="polite"></output>
          <button type="submit" class="button primary" disabled>${t("replace.all")}</button></div>
      </form>`);
    this.#count();
  }

  /** @param {"wanted" | "by"} name */
  #value(name) {
    return this.find(`[name=${name}]`, HTMLInputElement).value;
  }

  #count() {
    if (!this.querySelector("form")) return;
    const wanted = this.#value("wanted");
    const found = count(wanted);
    this.find("output").textContent = wanted ? t("replace.found", { count: found }) : "";
    this.find("[type=submit]", HTMLButtonElement).disabled = found === 0;
  }
}

export function register() {
  customElements.define("un-replace", Replace);
}
