// @ts-check
import { html, render } from "../../lib/html.js";
import { language, t } from "../../lib/i18n.js";
import { icon } from "../../lib/icons.js";
import { View, delegate } from "../../lib/view.js";
import { accept, dismiss, notices } from "../../notices.js";

const INFO_STAYS_MS = 6000;

/**
 * Notices: errors stay until they are closed, the others for some seconds.
 *
 *     <un-notices></un-notices>
 */
class Notices extends View {
  /** @type {Set<number>} */
  #timed = new Set();

  mount() {
    // Live regions must exist before their content does, or nothing is announced.
    render(this, html`<div role="alert" data-kind="error"></div><div role="status" data-kind="info"></div>`);
    delegate(this, "click", "[data-close]", (_, button) => dismiss(Number(button.dataset.close)));
    delegate(this, "click", "[data-accept]", (_, button) => accept(Number(button.dataset.accept)));
    this.watch([notices, language], () => this.#draw());
  }

  #draw() {
    for (const kind of ["error", "info"]) {
      const region = this.find(`[data-kind=${kind}]`);
      render(region, notices.value.filter((one) => one.kind === kind).map((one) => html`
        <div class="notice ${kind}">
          ${icon(kind === "error" ? "alert" : "info")}
          <p>${one.text}</p>
          ${one.offer ? html`<button type="button" class="button small" data-accept="${one.id}">${one.offer.words}</button>` : ""}
          <button type="button" class="button quiet small square" data-close="${one.id}" aria-label="${t("notice.close")}">${icon("close")}</button>
        </div>`));
    }
    for (const { id, kind } of notices.value) {
      if (kind !== "info" || this.#timed.has(id)) continue;
      this.#timed.add(id);
      setTimeout(() => dismiss(id), INFO_STAYS_MS);
    }
  }
}

export function register() {
  customElements.define("un-notices", Notices);
}
