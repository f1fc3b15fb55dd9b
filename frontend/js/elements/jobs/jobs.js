// @ts-check
import { urls } from "../../lib/api.js";
import { html, render } from "../../lib/html.js";
import { ago, language, t } from "../../lib/i18n.js";
import { icon } from "../../lib/icons.js";
import { View, closest, delegate } from "../../lib/view.js";
import { recent, refreshRecent } from "../../recent-jobs.js";
import { keep, removeSoon, removing } from "../../removals.js";
import { job, waiting } from "../../state.js";

const REFRESH_MS = 3000;
/** @type {Record<string, string>} */
const TONES = { succeeded: "good", failed: "bad", cancelled: "", queued: "live", running: "live", finishing: "live" };

/**
 * This browser's jobs, as cards.
 *
 *     <un-job-list></un-job-list>
 */
class JobList extends View {
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #timer;

  mount() {
    delegate(this, "click", "[data-remove]", (_, button) => removeSoon(button.dataset.remove ?? ""));
    delegate(this, "click", "[data-keep]", (_, button) => keep(button.dataset.keep ?? ""));
    this.watch([recent, removing, language, job], () => this.#draw());
    refreshRecent();
    this.#timer = setInterval(refreshRecent, REFRESH_MS);
  }

  unmount() {
    clearInterval(this.#timer);
  }

  #draw() {
    // Progress of the job on the page changes nothing here.
    const key = JSON.stringify([recent.value, removing.value, language.value, job.value?.id]);
    if (key === this.dataset.key) return;
    this.dataset.key = key;
    const card = this.contains(document.activeElement) ? document.activeElement?.closest("[data-id]") : null;
    const focused = card?.getAttribute("data-id");
    render(this, html`<ul class="job-list">${recent.value.map((one) => this.#card(one))}</ul>`);
    /** @type {HTMLElement | null} */
    const link = focused ? this.querySelector(`[data-id="${focused}"] :is(a, [data-keep])`) : null;
    link?.focus();
  }

  /** @param {import("../../types.js").RecentJob} job */
  #card({ id, uploadId, name, state, at }) {
    if (removing.value.includes(id)) {
      return html`
        <li data-id="${id}" class="removing"><span class="job-words" role="status">${t("recent.removed", { name })}</span>
          <button type="button" class="button small" data-keep="${id}">${icon("undo")}${t("recent.keep")}</button></li>`;
    }
    const picture = state === "succeeded" ? urls.preview(id) : urls.input(uploadId ?? "");
    return html`
      <li data-id="${id}">
        <a href="#job=${id}" ${job.value?.id === id ? html`aria-current="true"` : ""}>
          <img src="${picture}" alt="" loading="lazy">
          <span class="job-words"><b>${name}</b><span class="hint">${ago(at)}</span></span>
          <span class="chip ${TONES[state] ?? ""}">${t(`state.${state}`)}</span>
        </a>
        <button type="button" class="button quiet small square" data-remove="${id}"
          aria-label="${t("recent.remove", { name })}" title="${t("recent.remove", { name })}">${icon("trash")}</button>
      </li>`;
  }
}

/**
 * The same list in a dialog, with the number of files still to upload.
 *
 *     <un-jobs></un-jobs>   document.querySelector("un-jobs").show()
 */
export class Jobs extends View {
  mount() {
    render(this, html`<dialog aria-labelledby="jobs-title"></dialog>`);
    this.addEventListener("click", (event) => {
      const outside = event.target === this.find("dialog");
      if (outside || closest(event, "a[href], [data-close]")) this.find("dialog", HTMLDialogElement).close();
    });
  }

  show() {
    const dialog = this.find("dialog", HTMLDialogElement);
    render(dialog, html`
      <div class="dialog-head">
        <h2 id="jobs-title">${t("recent.title")}</h2>
        <button type="button" class="button quiet square" data-close aria-label="${t("dialog.close")}">${icon("close")}</button>
      </div>
      ${waiting.value.length > 0 ? html`<p class="hint">${t("recent.waiting", { count: waiting.value.length })}</p>` : ""}
      <un-job-list></un-job-list>
      <p class="hint">${t("recent.hint")}</p>`);
    dialog.showModal();
    dialog.addEventListener("close", () => dialog.replaceChildren(), { once: true });
  }
}

export function register() {
  customElements.define("un-job-list", JobList);
  customElements.define("un-jobs", Jobs);
}
