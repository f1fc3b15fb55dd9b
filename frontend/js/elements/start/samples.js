// @ts-check
import { html, render } from "../../lib/html.js";
import { language, t } from "../../lib/i18n.js";
import { View, delegate } from "../../lib/view.js";
import { report } from "../../notices.js";
import { takeFiles } from "../../uploads.js";

/**
 * Posters made for this page, in `frontend/samples/`: `<file>.webp`, and `<file>-small.webp` for the button.
 * @type {{ file: string, name: string }[]}
 */
const SAMPLES = [
  { file: "jazz", name: "Blue Hour" },
  { file: "picnic", name: "봄 소풍" },
  { file: "lemonade", name: "Lemonade" },
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
        <button type="button" data-sample="${at}" aria-label="${t("samples.take", { name })}" title="${name}">
          <img src="samples/${file}-small.webp" alt="" width="72" height="96" loading="lazy" draggable="false"></button>`)}</div>`);
  }

  /** @param {number} at */
  async #take(at) {
    const { file, name } = SAMPLES[at];
    try {
      const response = await fetch(`samples/${file}.webp`);
      if (!response.ok) throw new Error(t("error.unexpected", { status: response.status }));
      await takeFiles([new File([await response.blob()], `${name}.webp`, { type: "image/webp" })]);
    } catch (error) {
      report(error, name);
    }
  }
}

export function register() {
  customElements.define("un-samples", Samples);
}
