// @ts-check
import { acceptAttribute, formatNames } from "../../files.js";
import { html, render } from "../../lib/html.js";
import { fileSize, language, number, t } from "../../lib/i18n.js";
import { icon } from "../../lib/icons.js";
import { View } from "../../lib/view.js";
import { recent } from "../../recent-jobs.js";
import { capabilities } from "../../state.js";
import { takeFiles } from "../../uploads.js";
import { register as registerOptions } from "../options/options.js";
import { register as registerSamples } from "./samples.js";

// Four sheets in perspective; the style sheet fans them out while a picture is held above.
const SHEETS = html`
  <svg class="sheets" viewBox="0 0 240 190" aria-hidden="true" focusable="false">
    <g class="sheet s0"><path d="M120 104 224 144 120 184 16 144Z"/></g>
    <g class="sheet s1"><path d="M120 76 224 116 120 156 16 116Z"/><path class="mark" d="M64 116c22-12 34 8 56-4s34 8 56-4l-56 33Z"/></g>
    <g class="sheet s2"><path d="M120 48 224 88 120 128 16 88Z"/><ellipse class="mark" cx="120" cy="88" rx="40" ry="15.5"/></g>
    <g class="sheet s3"><path d="M120 20 224 60 120 100 16 60Z"/><path class="mark" d="m92 62 36-14 8 3-14 5.5 22 8.5-8 3-22-8.5-14 5.5Z"/></g>
  </svg>`;

/**
 * The start page: what Unflatten does, a drop zone, the options and
 * recent jobs.
 *
 *     <un-start></un-start>
 */
class Start extends View {
  mount() {
    this.watch([language], () => this.#draw());
    this.watch([capabilities, language], () => this.#limits());
    this.watch([recent], () => this.#recent());
    this.addEventListener("change", (event) => {
      const { target } = event;
      if (!(target instanceof HTMLInputElement) || !target.files) return;
      takeFiles([...target.files]);
      target.value = "";
    });
  }

  #draw() {
    render(this, html`
      <div class="start">
        <section class="hero" aria-labelledby="start-title">
          <h1 id="start-title">${t("start.title")}</h1>
          <p class="lead">${t("start.lead")}</p>
          <label class="dropzone">
            <input class="visually-hidden" type="file" multiple accept="${acceptAttribute()}" aria-describedby="start-limits">
            ${SHEETS}
            <span class="drop-words">${t("start.drop")}</span>
            <span class="button primary">${icon("plus")}${t("start.choose")}</span>
            <span class="hint">${t("start.paste")}</span>
          </label>
          <p class="hint limits" id="start-limits"></p>
          <un-samples></un-samples>
        </section>
        <aside class="card" aria-labelledby="options-title">
          <h2 id="options-title">${t("options.title")}</h2>
          <un-options></un-options>
        </aside>
        <section class="history" aria-labelledby="recent-title">
          <h2 id="recent-title">${t("recent.title")}</h2>
          <un-job-list></un-job-list>
        </section>
      </div>`);
    this.#recent();
  }

  #limits() {
    const limits = capabilities.value?.limits;
    const parts = [formatNames().join(", ")];
    if (limits) {
      parts.push(t("start.maxSize", { size: fileSize(limits.max_file_size_bytes) }));
      parts.push(t("start.maxPixels", { count: number(limits.max_pixels / 1e6, { maximumFractionDigits: 0 }) }));
    }
    this.find(".limits").textContent = parts.join(" · ");
  }

  #recent() {
    this.find(".history").hidden = recent.value.length === 0;
  }
}

export function register() {
  registerOptions();
  registerSamples();
  customElements.define("un-start", Start);
}
