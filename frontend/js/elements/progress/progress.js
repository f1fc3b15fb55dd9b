// @ts-check
import { cancelJob, runAgain } from "../../current-job.js";
import { timeLeft } from "../../job-progress.js";
import { urls } from "../../lib/api.js";
import { html, render } from "../../lib/html.js";
import { duration, language, messageOf, number, say, t, tOr } from "../../lib/i18n.js";
import { icon } from "../../lib/icons.js";
import { View, closest } from "../../lib/view.js";
import { goHome } from "../../router.js";
import { job, screen, upload } from "../../state.js";
import { abortUpload, sendAgain } from "../../uploads.js";

/**
 * @typedef {import("../../types.js").CurrentJob} CurrentJob
 * @typedef {import("../../types.js").Upload} Upload
 */

const TICK_MS = 500;

/** Failures whose original message adds nothing to the page's own sentence. */
const WITHOUT_DETAILS = new Set(["input_gone", "worker_lost"]);

/**
 * A job from its upload until its result is shown, or until it ends without one.
 * Kept as one element and changed in place, so that the bar glides and
 * screen readers hear changes of stage, not every step.
 *
 *     <un-progress></un-progress>
 */
class Progress extends View {
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #timer;
  #shape = "";

  mount() {
    this.addEventListener("click", (event) => this.#act(closest(event, "[data-action]")?.dataset.action));
    this.watch([job, upload, screen, language], () => this.#update());
    this.#timer = setInterval(() => this.#left(), TICK_MS);
  }

  unmount() {
    clearInterval(this.#timer);
  }

  /** @param {string | undefined} action */
  #act(action) {
    const isUpload = sent() !== null;
    if (action === "cancel") isUpload ? abortUpload() : cancelJob();
    if (action === "again") isUpload ? sendAgain() : runAgain();
    if (action === "home") isUpload ? abortUpload() : goHome();
  }

  #update() {
    const file = sent();
    if (file) return this.#showUpload(file);
    const now = job.value;
    if (!now) return;
    const isEnd = ["failed", "cancelled", "gone"].includes(now.state);
    this.#reshape([now.id, isEnd, now.state === "gone"], () => (isEnd ? this.#drawEnd(now) : this.#drawRunning()));
    this.#picture(this.#wantsPicture(now) ? urls.input(now.uploadId ?? "") : "", now.name);
    if (!isEnd) this.#showJob(now);
  }

  /**
   * A result that is only being opened needs no picture before its layers.
   * @param {CurrentJob} now
   */
  #wantsPicture({ uploadId, state, progressAt }) {
    const isShown = !this.find(".picture").hidden;
    const isDone = state === "finishing" || state === "succeeded";
    return Boolean(uploadId) && state !== "gone" && progressAt !== undefined && (!isDone || isShown);
  }

  /**
   * Draws anew only when the structure changes.
   * @param {unknown[]} structure
   * @param {() => void} draw
   */
  #reshape(structure, draw) {
    const shape = [...structure, language.value].join();
    if (shape === this.#shape) return;
    this.#shape = shape;
    draw();
  }

  /** @param {Upload} now */
  #showUpload(now) {
    this.#reshape(["upload", now.error], () => (now.error ? this.#drawUnsent(now.error) : this.#drawRunning()));
    this.#picture(now.url, now.name);
    if (now.error) return;
    this.#bar(now.fraction, t(now.fraction < 1 ? "progress.uploading" : "progress.checking"), true);
    this.#left();
  }

  /** @param {CurrentJob} now */
  #showJob(now) {
    const isRunning = now.state === "running";
    this.#bar(now.state === "finishing" ? 1 : (now.progress?.percent ?? 0) / 100, stageWords(now), now.state !== "queued");
    const { step = 0, total = 0 } = (isRunning && now.progress) || {};
    this.#text(".step", step > 0 && total > 1 ? t("progress.step", { step, total }) : "");
    this.#left();
    this.find(".link").hidden = now.linked;
    this.#text(".link", t("progress.reconnecting"));
    this.find("[data-action=cancel]", HTMLButtonElement).disabled = Boolean(now.cancelling);
    this.#text("[data-action=cancel] span", t(now.cancelling ? "progress.cancelling" : "progress.cancel"));
    const engine = now.engine ? tOr(`engine.${now.engine}`, now.engine) : "";
    this.#text(".engine", engine ? t("progress.engine", { engine }) : "");
    this.#text(".reason", now.engine ? expectation(now.engine, now.reason) : "");
    this.#stages(now.stages);
    this.#notes(now.notes.map(say));
  }

  #drawRunning() {
    render(this, html`
      <div class="progress">
        <figure class="picture checker" hidden><img alt=""><div class="scan" aria-hidden="true"></div></figure>
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

  /** @param {CurrentJob} job */
  #drawEnd({ state, error, uploadId }) {
    const end = error?.code === "removed" ? "removed" : state;
    const words = state === "failed" ? failureWords(error) : html`<p>${t(`end.${end}.hint`)}</p>`;
    this.#drawStopped(t(`end.${state}`), words, state !== "gone" && Boolean(uploadId), html`${icon("plus")}<span>${t("top.new")}</span>`);
  }

  /**
   * A file that could not be sent is kept.
   * @param {string} error
   */
  #drawUnsent(error) {
    this.#drawStopped(t("end.unsent"), html`<p>${error}</p>`, true, html`${icon("close")}<span>${t("progress.cancel")}</span>`);
  }

  /**
   * @param {string} title
   * @param {import("../../lib/html.js").Content} words
   * @param {boolean} canTryAgain
   * @param {import("../../lib/html.js").Content} home
   */
  #drawStopped(title, words, canTryAgain, home) {
    render(this, html`
      <div class="progress">
        <figure class="picture checker"><img alt=""></figure>
        <section class="card end" role="alert">
          <p class="hint name"></p>
          <h1>${title}</h1>
          ${words}
          <p class="actions">
            ${canTryAgain ? html`<button type="button" class="button primary" data-action="again">${icon("reset")}<span>${t("end.again")}</span></button>` : ""}
            <button type="button" class="button" data-action="home">${home}</button>
          </p>
        </section>
      </div>`);
  }

  /**
   * @param {string} src
   * @param {string} name
   */
  #picture(src, name) {
    const image = this.find(".picture img");
    // The local picture stays until the stored one has loaded.
    if (src && image.getAttribute("src") !== src) image.setAttribute("src", src);
    this.find(".picture").hidden = !src;
    this.find(".name").textContent = name;
  }

  /**
   * @param {number} fraction
   * @param {string} stage in words
   * @param {boolean} hasPercent
   */
  #bar(fraction, stage, hasPercent) {
    const bar = this.find(".bar");
    const shown = Math.round(fraction * 100);
    bar.setAttribute("aria-valuenow", String(shown));
    bar.setAttribute("aria-valuetext", `${stage}, ${shown} %`);
    this.find(".bar > div").style.setProperty("--done", fraction.toFixed(4));
    this.#text(".stage", stage);
    this.#text(".percent", hasPercent ? number(shown / 100, { style: "percent" }) : "");
  }

  #left() {
    if (!this.querySelector(".left")) return;
    const left = sent() || !job.value?.linked ? null : timeLeft(job.value, Date.now());
    this.#text(".left", left ? leftWords(left) : "");
  }

  /** @param {string[]} stages */
  #stages(stages) {
    const list = this.find(".stages");
    const key = stages.join();
    if (list.dataset.key === key) return;
    list.dataset.key = key;
    render(list, stages.map((stage, i) => html`
      <li class="${i < stages.length - 1 ? "done" : "now"}">${i < stages.length - 1 ? icon("check") : html`<span class="dot"></span>`}
      ${stageName(stage)}</li>`));
  }

  /** @param {string[]} notes */
  #notes(notes) {
    const list = this.find(".notes");
    if (list.childElementCount !== notes.length) render(list, notes.map((note) => html`<li>${note}</li>`));
  }

  /**
   * Writes only what changed: live regions announce every write.
   * @param {string} selector
   * @param {string} text
   */
  #text(selector, text) {
    const place = this.find(selector);
    if (place.textContent !== text) place.textContent = text;
  }
}

/**
 * Explains why a job failed and what to do. Where the page has words for its code, the original message becomes a detail.
 * @param {import("../../types.js").Failure | null | undefined} error
 */
function failureWords(error) {
  if (!error) return html`<p>${t("failure.other")}</p>`;
  const message = messageOf(error);
  const words = say(message);
  if (words === message.text) return html`<p class="message">${words}</p><p>${t("failure.other")}</p>`;
  return html`<p>${words}</p>
    ${WITHOUT_DETAILS.has(error.code) ? "" : html`<details><summary>${t("failure.details")}</summary><p class="message" lang="en">${message.text}</p></details>`}`;
}

/** The file on its way, if the page shows it. */
const sent = () => (screen.value === "uploading" ? upload.value : null);

/** Reasons that tell a person nothing new. */
const EXPECTED = new Set(["asked_for", "best_here"]);

/**
 * What to expect of an engine; or why it is not the expected one.
 * @param {string} engine
 * @param {import("../../types.js").Message | null | undefined} reason
 */
const expectation = (engine, reason) => (reason && !EXPECTED.has(reason.code ?? "") ? say(reason) : tOr(`engine.${engine}.about`, ""));

/**
 * Nothing is said of a job that takes longer than was thought.
 * @param {{ ms: number, almost: boolean }} left
 */
function leftWords({ ms, almost }) {
  if (almost) return t("progress.almost");
  return ms > 0 ? t("progress.left", { time: duration(1000 * Math.max(1, Math.round(ms / 1000))) }) : "";
}

/** @param {string} stage */
const stageName = (stage) => tOr(`stage.${stage}`, stage.replaceAll("_", " "));

/** @param {CurrentJob} now */
function stageWords(now) {
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
