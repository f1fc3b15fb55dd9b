// @ts-check
import { takeFrom } from "../../editor/history.js";
import { flush, known } from "../../editor/outbox.js";
import * as api from "../../lib/api.js";
import { html, render } from "../../lib/html.js";
import { language, moment, t } from "../../lib/i18n.js";
import { icon } from "../../lib/icons.js";
import { View, delegate } from "../../lib/view.js";

/**
 * Versions of the document that have a name: one is named here, brought back, deleted.
 *
 *     <un-versions></un-versions>
 */
class Versions extends View {
  #drawn = "";

  mount() {
    this.watch([language], () => this.#draw());
    this.watch([known], () => this.#wanted() !== this.#drawn && this.#draw());
    this.addEventListener("submit", (event) => {
      event.preventDefault();
      const field = this.find("input", HTMLInputElement);
      const name = field.value.trim();
      field.value = "";
      void this.#change((id) => api.nameVersion(id, name));
    });
    delegate(this, "click", "[data-restore]", (_, button) => void this.#change((id) => api.restoreVersion(id, Number(button.dataset.restore))));
    delegate(this, "click", "[data-delete]", (_, button) => void this.#change(async (id) => {
      await api.removeVersion(id, Number(button.dataset.delete));
      return api.fetchDocument(id);
    }));
  }

  /** What the list shows, to be drawn again only if it is another. */
  #wanted() {
    return JSON.stringify(known.value?.versions);
  }

  /** @param {(id: string) => Promise<import("../../types.js").DocumentInfo>} ask */
  async #change(ask) {
    if (!(await flush()) || !known.value) return;
    const { job_id: id } = known.value;
    await takeFrom(() => ask(id));
  }

  #draw() {
    this.#drawn = this.#wanted();
    const isOpen = this.querySelector("details")?.open;
    const versions = [...(known.value?.versions ?? [])].reverse();
    render(this, html`
      <details ${isOpen ? html`open` : ""}><summary>${t("versions.title")}</summary>
        <form>
          <input class="input" name="version" type="text" required maxlength="200" autocomplete="off" aria-label="${t("versions.name")}" placeholder="${t("versions.name")}">
          <button type="submit" class="button small">${t("versions.keep")}</button>
        </form>
        ${versions.length > 0 ? html`<ul>${versions.map(({ number, name, created_at: at }) => html`
          <li><span><b>${name}</b> <small>${moment(Date.parse(at))}</small></span>
            <button type="button" class="button quiet small" data-restore="${number}">${t("versions.restore")}</button>
            <button type="button" class="button quiet small square" data-delete="${number}" aria-label="${t("versions.delete", { name })}" title="${t("versions.delete", { name })}">${icon("close")}</button></li>`)}</ul>` : ""}
      </details>`);
  }
}

export function register() {
  customElements.define("un-versions", Versions);
}
