// @ts-check
import { known } from "../../editor/outbox.js";
import * as api from "../../lib/api.js";
import { html, render } from "../../lib/html.js";
import { duration, language, moment, number, reasonOf, say, t, tOr } from "../../lib/i18n.js";
import { icon } from "../../lib/icons.js";
import { View, delegate } from "../../lib/view.js";
import { report } from "../../notices.js";
import { capabilities, result } from "../../state.js";

/** Up to this difference (of 255) the layers count as exact. */
const EXACT_UP_TO = 1;

const HOUR_MS = 3_600_000;

/** Codes of the notes that tell a person why the layers are not what they asked for. The others are details. */
const FOR_PEOPLE = new Set(["fewer_layers", "most_layers", "prompt_ignored", "engine_fell_back", "not_split", "no_networks"]);

/**
 * How a result was made and how well its layers stack back to the input.
 *
 *     <un-details></un-details>
 */
class Details extends View {
  /** @type {string | null | undefined} */
  #until;

  mount() {
    this.watch([result, language, capabilities], () => this.#draw());
    // It changes with every edit; what is drawn seldom does.
    this.watch([known], () => known.value?.kept_until !== this.#until && this.#draw());
    delegate(this, "click", "[data-keep]", () => void this.#keep());
  }

  #draw() {
    if (!result.value) return;
    this.#until = known.value?.kept_until;
    const { engine, notes, recomposition, background } = result.value;
    const isExact = recomposition.max_error <= EXACT_UP_TO;
    const [told, others] = [true, false].map((wanted) => notes.filter((note) => isForPeople(note) === wanted));
    render(this, html`
      <p class="engine hint">${tOr(`engine.${engine.name}.made`, t("details.engine", { engine: engine.name }))}</p>
      ${this.#keptUntil()}
      ${isExact ? "" : html`<p class="warning">${icon("alert")}<span>${t("recomposition.off")}</span></p>`}
      ${told.length > 0 ? html`<ul class="note-list">${told.map((note) => html`<li>${say(note)}</li>`)}</ul>` : ""}
      <details><summary>${t("details.more")}</summary>
        <dl>
          <div class="recomposition ${isExact ? "exact" : "off"}"><dt>${t("details.check")}</dt><dd>${this.#check(recomposition, isExact)}</dd></div>
          ${background ? html`<div><dt>${t("kind.background")}</dt><dd>${tOr(`background.${background.quality}`, background.quality)}. ${say(background.reason)}</dd></div>` : ""}
          ${this.#facts(result.value).filter(([, value]) => value).map(([name, value]) => html`<div><dt>${t(`details.${name}`)}</dt><dd>${value}</dd></div>`)}
          ${others.length > 0 ? html`<div><dt>${t("details.notes")}</dt><dd>${others.map((note) => html`<p>${say(note)}</p>`)}</dd></div>` : ""}
        </dl>
      </details>`);
  }

  #keptUntil() {
    const until = known.value?.kept_until;
    const hours = capabilities.value?.limits.max_keep_hours ?? 0;
    if (!until) return "";
    const canKeep = Date.parse(until) + HOUR_MS < Date.now() + hours * HOUR_MS;
    return html`<p class="kept hint">${t("details.kept", { time: moment(Date.parse(until)) })}
      ${canKeep ? html`<button type="button" class="button quiet small" data-keep>${t("details.keep", { count: Math.max(1, Math.round(hours / 24)) })}</button>` : ""}</p>`;
  }

  async #keep() {
    const { job_id: id } = known.value ?? {};
    const hours = capabilities.value?.limits.max_keep_hours;
    if (!id || !hours) return;
    try {
      const { kept_until } = await api.keep(id, hours);
      if (known.value?.job_id === id) known.value = { ...known.value, kept_until };
    } catch (error) {
      report(error);
    }
  }

  /**
   * @param {import("../../types.js").Recomposition} recomposition
   * @param {boolean} isExact
   */
  #check({ max_error: max, mean_error: mean, psnr_db: psnr, worst }, isExact) {
    const figures = {
      max,
      mean: number(mean, { maximumFractionDigits: mean < 0.1 ? 4 : 2 }),
      psnr: psnr === null || psnr === undefined ? "∞" : number(psnr, { maximumFractionDigits: 1 }),
    };
    return html`${t(isExact ? "recomposition.exact" : "recomposition.off")}
      <small>${t("recomposition.figures", figures)}${worst ? ` ${t("recomposition.worst", { x: worst[0], y: worst[1] })}` : ""}</small>`;
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
      ["asked", typeof params.num_layers === "number" ? String(params.num_layers) : t("details.asMany")],
      ["chosen", say(reasonOf(engine))],
      ["device", engine.device],
      ["version", `${engine.name} ${engine.version}`],
      ["model", [engine.model, engine.model_revision].filter(Boolean).join(" @ ")],
      ["prompt", params.prompt],
    ];
  }
}

/** @param {import("../../types.js").Message | string} note */
const isForPeople = (note) => typeof note === "string" || FOR_PEOPLE.has(note.code ?? "");

export function register() {
  customElements.define("un-details", Details);
}
