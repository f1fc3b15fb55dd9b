// @ts-check
import { html, render } from "../../lib/html.js";
import { duration, language, number, reasonOf, say, t, tOr } from "../../lib/i18n.js";
import { icon } from "../../lib/icons.js";
import { View } from "../../lib/view.js";
import { result } from "../../state.js";

/** Up to this difference (of 255) the layers count as exact. */
const EXACT_UP_TO = 1;

/**
 * How a result was made and how well its layers stack back to the input.
 *
 *     <un-details></un-details>
 */
class Details extends View {
  mount() {
    this.watch([result, language], () => this.#draw());
  }

  #draw() {
    if (!result.value) return;
    const { engine, notes, recomposition, background } = result.value;
    render(this, html`
      ${this.#recomposition(recomposition)}
      ${background ? this.#background(background) : ""}
      <p class="engine"><b>${t("details.engine", { engine: tOr(`engine.${engine.name}`, engine.name) })}</b>
        <span class="hint">${say(reasonOf(engine))}</span></p>
      ${notes.length > 0 ? html`<div><h3 class="label">${t("details.notes")}</h3><ul class="note-list">${notes.map((note) => html`<li>${say(note)}</li>`)}</ul></div>` : ""}
      <details><summary>${t("details.more")}</summary>
        <dl>${this.#facts(result.value).filter(([, value]) => value).map(([name, value]) => html`<div><dt>${t(`details.${name}`)}</dt><dd>${value}</dd></div>`)}</dl>
      </details>`);
  }

  /** @param {import("../../types.js").Recomposition} recomposition */
  #recomposition({ max_error: max, mean_error: mean, psnr_db: psnr, worst }) {
    const exact = max <= EXACT_UP_TO;
    const figures = {
      max,
      mean: number(mean, { maximumFractionDigits: mean < 0.1 ? 4 : 2 }),
      psnr: psnr === null || psnr === undefined ? "∞" : number(psnr, { maximumFractionDigits: 1 }),
    };
    return html`
      <div class="recomposition ${exact ? "exact" : "off"}">
        ${icon(exact ? "check" : "alert")}
        <div><b>${t(exact ? "recomposition.exact" : "recomposition.off")}</b>
        <span>${t("recomposition.figures", figures)}${worst ? ` ${t("recomposition.worst", { x: worst[0], y: worst[1] })}` : ""}</span></div>
      </div>`;
  }

  /** @param {NonNullable<import("../../types.js").Metadata["background"]>} background */
  #background({ quality, reason }) {
    return html`
      <div class="background ${quality}">
        ${icon(quality === "clean" ? "check" : quality === "fair" ? "info" : "alert")}
        <div><b>${t("background.title", { quality: tOr(`background.${quality}`, quality) })}</b>
        <span>${say(reason)}</span></div>
      </div>`;
  }

  /**
   * @param {import("../../types.js").Metadata} metadata
   * @returns {[string, string | undefined][]}
   */
  #facts({ canvas, engine, input, seed, duration_ms: took, params }) {
    return [
      ["size", `${input.width} × ${input.height} px, ${input.format.toUpperCase()}`],
      ["time", duration(took)],
      ["seed", String(seed)],
      ["layerSize", canvas ? `${canvas.width} × ${canvas.height} px` : ""],
      ["asked", String(params.num_layers)],
      ["device", engine.device],
      ["version", `${engine.name} ${engine.version}`],
      ["model", [engine.model, engine.model_revision].filter(Boolean).join(" @ ")],
      ["prompt", params.prompt],
    ];
  }
}

export function register() {
  customElements.define("un-details", Details);
}
