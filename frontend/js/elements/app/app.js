// @ts-check
import { filesIn } from "../../files.js";
import { html, render } from "../../lib/html.js";
import { language, t } from "../../lib/i18n.js";
import { icon } from "../../lib/icons.js";
import { View } from "../../lib/view.js";
import { report } from "../../notices.js";
import { job, result, screen } from "../../state.js";
import { abortUpload, takeFiles } from "../../uploads.js";
import { register as registerJobs } from "../jobs/jobs.js";
import { register as registerLogin } from "../login/login.js";
import { register as registerMenu } from "../menu/menu.js";
import { register as registerNotices } from "../notices/notices.js";
import { register as registerProgress } from "../progress/progress.js";
import { register as registerShortcuts } from "../shortcuts/shortcuts.js";
import { register as registerStart } from "../start/start.js";
import { register as registerTopbar } from "../topbar/topbar.js";

const SCREENS = { empty: "un-start", uploading: "un-progress", job: "un-progress", result: "un-result" };

/** The editor is more than half of the page: it comes while a poster is on its way. */
const loadEditor = () => import("../result/result.js").then(({ register: registerResult }) => registerResult(), report);

/**
 * The page: bar, the screen that is on, notices; takes pictures that are
 * dropped or pasted anywhere.
 *
 *     <un-app></un-app>
 */
class App extends View {
  mount() {
    render(this, html`
      <button type="button" class="skip button primary"></button>
      <un-topbar></un-topbar>
      <main id="main" tabindex="-1"></main>
      <un-notices></un-notices>
      <un-shortcuts></un-shortcuts>
      <un-menu></un-menu>
      <un-login></un-login>
      <p class="visually-hidden said" role="status"></p>
      <div class="drop-veil" hidden>${icon("plus")}<p></p></div>`);
    this.find(".skip").addEventListener("click", () => this.find("main").focus());
    this.watch([language], () => this.#words());
    this.watch([screen], () => this.#show());
    this.watch([screen, job, language], () => this.#title());
    this.#takeDrops();
    this.listen(document, "paste", (event) => this.#paste(event));
    this.listen(document, "keydown", (event) => {
      if (event.key === "Escape" && screen.value === "uploading") abortUpload();
    });
  }

  #words() {
    this.find(".skip").textContent = t("app.skip");
    this.find(".drop-veil p").textContent = t("drop.release");
  }

  /** The window is named after the file whose layers it shows. */
  #title() {
    const name = screen.value === "result" ? job.value?.name : "";
    document.title = name ? `${name} · ${t("app.title")}` : t("app.title");
  }

  #show() {
    const main = this.find("main");
    const tag = SCREENS[screen.value];
    if (screen.value !== "empty") void loadEditor();
    if (main.firstElementChild?.localName === tag && tag === "un-progress") return;
    main.replaceChildren(document.createElement(tag));
    // Announces the change to screen readers.
    this.find(".said").textContent = screen.value === "result" ? t("result.ready", { count: result.value?.layers.length ?? 0 }) : "";
    scrollTo(0, 0);
  }

  #takeDrops() {
    const veil = this.find(".drop-veil");
    /** @type {(event: DragEvent) => boolean} */
    const carriesFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
    // Entering a child leaves its parent: only counting both tells whether the pointer is still inside.
    let depth = 0;
    /** @type {(change: 1 | -1) => (event: DragEvent) => void} */
    const over = (change) => (event) => {
      if (!carriesFiles(event)) return;
      event.preventDefault();
      depth = Math.max(0, depth + change);
      veil.hidden = depth === 0;
    };
    this.listen(document, "dragenter", over(1));
    this.listen(document, "dragleave", over(-1));
    this.listen(document, "dragover", (event) => {
      if (!carriesFiles(event)) return;
      event.preventDefault();
      if (event.dataTransfer) event.dataTransfer.dropEffect = "copy";
    });
    this.listen(document, "drop", (event) => {
      if (!carriesFiles(event)) return;
      event.preventDefault();
      depth = 0;
      veil.hidden = true;
      takeFiles(filesIn(event.dataTransfer));
    });
  }

  /** @param {ClipboardEvent} event */
  #paste(event) {
    const files = filesIn(event.clipboardData);
    // The editor takes them into its document.
    if (files.length === 0 || screen.value === "result") return;
    event.preventDefault();
    takeFiles(files);
  }
}

export function register() {
  registerLogin();
  registerMenu();
  registerNotices();
  registerShortcuts();
  registerTopbar();
  registerJobs();
  registerStart();
  registerProgress();
  customElements.define("un-app", App);
}
