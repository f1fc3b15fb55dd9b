import { abortUpload, cancelJob, goHome, runAgain } from "../../actions.js";
import { urls } from "../../lib/api.js";
import { html, render } from "../../lib/html.js";
import { duration, language, number, t, tOr } from "../../lib/i18n.js";
import { icon } from "../../lib/icons.js";
import { View } from "../../lib/view.js";
import { job, upload } from "../../state.js";

const TICK_MS = 500;

/**
 * A job on its way, from the upload to its end when that is no result.
 * Kept as one element and changed in place, so that the bar glides and
 * screen readers hear changes of stage, not every step.
 *
 *     <un-progress></un-progress>
 */
class Progress extends View {
  #timer = 0;
  #shape = "";

  mount() {
    this.addEventListener("click", (event) => {
      const action = event.target.closest("[data-action]")?.dataset.action;
      if (action === "cancel") upload.value ? abortUpload() : cancelJob();
      if (action === "again") runAgain();
      if (action === "home") goHome();
    });
    this.watch([job, upload, language], () => this.#update());
    this.#timer = setInterval(() => this.#left(), TICK_MS);
  }

  unmount() {
    clearInterval(this.#timer);
  }

  #update() {
    const now = upload.value ?? job.value;
    if (!now) return;
    const ended = !upload.value && ["failed", "cancelled", "gone"].includes(now.state);
    // Drawn anew only when its structure changes.
    const shape = [ended, now.state === "gone", language.value, upload.value ? "" : now.id].join();
    if (shape !== this.#shape) {
      this.#shape = shape;
      ended ? this.#drawEnd(now) : this.#drawRunning();
    }
    this.#picture(now);
    if (ended) return;
    this.#bar(now);
    this.#stages(now);
    this.#notes(now);
  }

  #drawRunning() {
    render(this, html`
      <div class="progress">
        <figure class="picture checker"><img alt=""><div class="scan" aria-hidden="true"></div></figure>
        <section class="card" aria-labelledby="progress-title">
          <p class="hint name"></p>
          <h1 id="progress-title" class="stage" aria-live="polite"></h1>
          <div class="bar" role="progressbar" aria-labelledby="progress-title" aria-valuemin="0" aria-valuemax="100"><div></div></div>
          <p class="figures"><b class="percent"></b><span class="step"></span><span class="left"></span></p>
          <p class="link chip warn" role="status" hidden></p>
          <p class="hint"><b class="engine"></b><span class="reason"></span></p>
          <ol class="stages" aria-label="${t("progress.stages")}"></ol>
          <ul class="notes hint"></ul>
          <button type="button" class="button" data-action="cancel">${icon("close")}<span>${t("progress.cancel")}</span></button>
        </section>
      </div>`);
  }

  #drawEnd({ state, error, uploadId }) {
    const known = state === "cancelled" ? t("end.cancelled.hint") : tOr(`failure.${error?.code}`, t("failure.other"));
    render(this, html`
      <div class="progress">
        <figure class="picture checker"><img alt=""></figure>
        <section class="card end" role="alert">
          <p class="hint name"></p>
          <h1>${t(`end.${state}`)}</h1>
          ${error && state !== "gone" ? html`<p class="message">${error.message}</p>` : ""}
          <p>${state === "gone" ? t(error?.code === "removed" ? "end.removed.hint" : "end.gone.hint") : known}</p>
          <p class="actions">
            ${state !== "gone" && uploadId ? html`<button type="button" class="button primary" data-action="again">${icon("reset")}<span>${t("end.again")}</span></button>` : ""}
            <button type="button" class="button" data-action="home">${icon("plus")}<span>${t("top.new")}</span></button>
          </p>
        </section>
      </div>`);
  }

  #picture(now) {
    const image = this.find(".picture img");
    const src = now.url ?? (now.uploadId ? urls.input(now.uploadId) : "");
    // While the stored picture loads, the one from the disk stays.
    if (src && image.getAttribute("src") !== src) image.src = src;
    this.find(".picture").hidden = !src || now.state === "gone";
    this.find(".name").textContent = now.name;
  }

  #bar(now) {
    const fraction = now.fraction ?? (now.state === "finishing" ? 1 : (now.progress?.percent ?? 0) / 100);
    const bar = this.find(".bar");
    const shown = Math.round(fraction * 100);
    bar.setAttribute("aria-valuenow", shown);
    bar.firstElementChild.style.setProperty("--done", fraction.toFixed(4));
    this.#text(".stage", stageWords(now));
    this.#text(".percent", now.state === "queued" ? "" : number(shown / 100, { style: "percent" }));
    const progress = now.state === "running" ? now.progress : null;
    this.#text(".step", progress && progress.step > 0 && progress.total > 1 ? t("progress.step", progress) : "");
    bar.setAttribute("aria-valuetext", `${stageWords(now)}, ${shown} %`);
    this.#left();

    const link = this.find(".link");
    link.hidden = upload.value !== null || now.linked !== false;
    this.#text(".link", t("progress.reconnecting"));
    const cancel = this.find('[data-action="cancel"]');
    cancel.disabled = Boolean(now.cancelling);
    this.#text('[data-action="cancel"] span', t(now.cancelling ? "progress.cancelling" : "progress.cancel"));
    const engine = now.engine ? tOr(`engine.${now.engine}`, now.engine) : "";
    this.#text(".engine", engine ? t("progress.engine", { engine }) : "");
    this.#text(".reason", (engine && now.reason) || "");
  }

  #left() {
    const place = this.find(".left");
    const now = upload.value ?? job.value;
    if (!place || !now) return;
    const eta = now.state === "running" ? now.progress?.eta_ms : null;
    // Between two events the estimate runs down on its own.
    const left = eta === null || eta === undefined ? null : Math.max(0, eta - (Date.now() - now.progressAt));
    const words = left === null ? "" : left < 1000 ? t("progress.almost") : t("progress.left", { time: duration(Math.round(left / 1000) * 1000) });
    this.#text(".left", words);
  }

  #stages(now) {
    const stages = now.stages ?? [];
    const list = this.find(".stages");
    const key = stages.join();
    if (list.dataset.key === key) return;
    list.dataset.key = key;
    render(list, stages.map((stage, i) => html`
      <li class="${i < stages.length - 1 ? "done" : "now"}">${i < stages.length - 1 ? icon("check") : html`<span class="dot"></span>`}
      ${stageName(stage)}</li>`));
  }

  #notes(now) {
    const notes = now.notes ?? [];
    const list = this.find(".notes");
    if (list.childElementCount !== notes.length) render(list, notes.map((note) => html`<li>${note}</li>`));
  }

  // Setting the same text again would make live regions speak again.
  #text(selector, text) {
    const place = this.find(selector);
    if (place.textContent !== text) place.textContent = text;
  }
}

const stageName = (stage) => tOr(`stage.${stage}`, stage.replaceAll("_", " "));

function stageWords(now) {
  if (now.fraction !== undefined) return t(now.fraction < 1 ? "progress.uploading" : "progress.checking");
  if (now.state === "finishing") return t("progress.finishing");
  if (now.state === "queued") {
    if (now.position === null || now.position === undefined) return t("progress.queued");
    return now.position === 0 ? t("progress.next") : t("progress.position", { count: now.position });
  }
  return now.progress ? stageName(now.progress.stage) : t("progress.starting");
}

export function register() {
  customElements.define("un-progress", Progress);
}
