// @ts-check
import { doc, layersNow } from "../../editor/document.js";
import { editLayer } from "../../editor/edits.js";
import { html, render } from "../../lib/html.js";
import { language, t } from "../../lib/i18n.js";
import { View, delegate } from "../../lib/view.js";
import { job, result } from "../../state.js";

/**
 * A model's opinion of the layers: how good they are, what to do differently,
 * and for each layer a description and a name, which can be taken over or
 * given back. Hidden where there is no analysis.
 *
 *     <un-analysis></un-analysis>
 */
class LayerAnalysis extends View {
  mount() {
    delegate(this, "click", "[data-layer]", (_, button) => this.#rename(Number(button.dataset.layer)));
    this.watch([result, language], () => this.#draw());
    this.watch([doc], () => this.#sync());
  }

  #draw() {
    const analysis = result.value?.analysis;
    this.hidden = !analysis;
    if (!analysis) return render(this, html``);
    const { analyzer, model, layers, verdict, recommendation } = analysis;
    render(this, html`
      <details ${this.querySelector("details")?.open ? html`open` : ""}>
        <summary id="analysis-title">${t("analysis.title")}
          ${verdict ? html`<span class="chip ${verdict.quality === "good" ? "good" : "warn"}">${t(`analysis.${verdict.quality}`)}</span>` : ""}</summary>
        ${verdict?.reason ? html`<p>${verdict.reason}</p>` : ""}
        ${recommendation ? html`<p class="hint">${this.#advice(recommendation)}</p>` : ""}
        <ul aria-labelledby="analysis-title">${layers.map((layer, index) => this.#layer(layer, index))}</ul>
        <p class="hint">${t(`analysis.by.${analyzer}`, { model })}</p>
      </details>`);
    this.#sync();
  }

  /** @param {import("../../types.js").Recommendation} recommendation */
  #advice({ num_layers: count, redo, text }) {
    const parts = [text];
    if (count) parts.push(t("analysis.count", { count }));
    if (redo.length > 0) parts.push(t("analysis.redo", { layers: redo.map((index) => this.#nameOf(index)).join(", ") }));
    return parts.filter(Boolean).join(" ");
  }

  /**
   * @param {import("../../types.js").LayerAnalysis} layer
   * @param {number} index
   */
  #layer({ name, description, language: tag, quality_notes: notes }, index) {
    return html`
      <li><b data-name="${index}">${this.#nameOf(index)}</b>${tag ? html` <span class="chip" lang="en">${tag}</span>` : ""}
        ${description ? html`<span>${description}</span>` : ""}
        ${notes ? html`<span class="notes">${notes}</span>` : ""}
        ${name ? html`<button type="button" class="button quiet small" data-layer="${index}"></button>` : ""}</li>`;
  }

  /**
   * The layer on the page; absent once it was split.
   * @param {number} index
   */
  #own(index) {
    return layersNow().find((layer) => layer.job === job.value?.id && layer.info.z_index === index);
  }

  /** @param {number} index */
  #nameOf(index) {
    return this.#own(index)?.name ?? result.value?.layers[index]?.name ?? String(index);
  }

  /**
   * The name that the button gives: the model's, or, where the layer has it already, the engine's.
   * @param {number} index
   */
  #other(index) {
    const { name = "", engine_name: before = "" } = result.value?.analysis?.layers[index] ?? {};
    return (this.#own(index)?.name === name ? before : name) ?? "";
  }

  #sync() {
    if (!result.value?.analysis) return;
    for (const label of this.#all("[data-name]")) label.textContent = this.#nameOf(Number(label.dataset.name));
    for (const button of this.#all("[data-layer]")) {
      const index = Number(button.dataset.layer);
      const own = this.#own(index);
      const name = this.#other(index);
      button.textContent = t("analysis.rename", { name });
      button.hidden = !own || own.locked || name === this.#nameOf(index);
    }
  }

  /**
   * @param {string} selector
   * @returns {NodeListOf<HTMLElement>}
   */
  #all(selector) {
    return this.querySelectorAll(selector);
  }

  /** @param {number} index */
  #rename(index) {
    const own = this.#own(index);
    if (own) editLayer(own.key, { name: this.#other(index) });
  }
}

export function register() {
  customElements.define("un-analysis", LayerAnalysis);
}
