// @ts-check
import { html, render } from "../../lib/html.js";
import { language, t } from "../../lib/i18n.js";
import { View, delegate } from "../../lib/view.js";
import { report } from "../../notices.js";
import { takeFiles } from "../../uploads.js";

/** Posters of our own, in `frontend/samples/`. */
const SAMPLES = [
  { file: "jazz.webp", name: "Blue Hour.webp" },
  { file: "picnic.webp", name: "봄 소풍.webp" },
  { file: "lemonade.webp", name: "Lemonade.webp" },
];

/**
 * Posters to try with one click.
 *
 *     <un-samples></un-samples>
 */
class Samples extends View {
  mount() {
    delegate(this, "click", "[data-sample]", (_, button) => this.#take(Number(button.dataset.sample)));
    this.watch([language], () => this.#draw());
  }

  #draw() {
    render(this, html`
      <h2 class="label" id="samples-title">${t("samples.title")}</h2>
      <div class="samples" role="group" aria-labelledby="samples-title">${SAMPLES.map(({ file, name }, at) => html`
        <button type="button" data-sample="${at}" aria-label="${t("samples.take", { name: titleOf(name) })}" title="${titleOf(name)}">
          <img src="/samples/${file}" alt="" width="72" height="96" loading="lazy" draggable="false"></button>`)}</div>`);
  }

  /** @param {number} at */
  async #take(at) {
    const { file, name } = SAMPLES[at];
    try {
      const response = await fetch(`/samples/${file}`);
      if (!response.ok) throw new Error(t("error.unexpected", { status: response.status }));
      await takeFiles([new File([await response.blob()], name, { type: "image/webp" })]);
    } catch (error) {
      report(error, name);
    }
  }
}

/** @param {string} name of a file */
const titleOf = (name) => name.replace(/\.[^.]*$/, "");

export function register() {
  customElements.define("un-samples", Samples);
}
