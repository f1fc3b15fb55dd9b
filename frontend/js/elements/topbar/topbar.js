// @ts-check
import { goHome } from "../../router.js";
import { html, render } from "../../lib/html.js";
import { LANGUAGES, language, t } from "../../lib/i18n.js";
import { icon } from "../../lib/icons.js";
import { isDark, theme, toggleTheme } from "../../lib/theme.js";
import { View, closest } from "../../lib/view.js";
import { recent } from "../../recent-jobs.js";
import { screen } from "../../state.js";
import { signOut, signedInAs } from "../../session.js";
import { Jobs } from "../jobs/jobs.js";

/**
 * The bar at the top: the way home, this browser's jobs, language, light or dark.
 *
 *     <un-topbar></un-topbar>
 */
class Topbar extends View {
  mount() {
    this.watch([language, theme], () => this.#draw());
    this.watch([recent, screen, signedInAs], () => this.#sync());
    this.addEventListener("click", (event) => {
      if (closest(event, "[data-home]")) {
        event.preventDefault();
        goHome();
      }
      if (closest(event, "[data-theme-switch]")) {
        toggleTheme();
        this.find("[data-theme-switch]").focus();
      }
      if (closest(event, "[data-sign-out]")) signOut();
      if (closest(event, "[data-jobs]")) this.find("un-jobs", Jobs).show();
    });
    this.addEventListener("change", (event) => {
      if (!(event.target instanceof HTMLSelectElement)) return;
      language.value = event.target.value;
      this.find("select").focus();
    });
  }

  #draw() {
    render(this, html`
      <header>
        <a class="brand" href="./" data-home aria-label="${t("top.home")}">
          <img src="img/logo.svg" alt="" width="28" height="28"><span>Unflatten</span>
        </a>
        <nav aria-label="${t("top.nav")}">
          <button type="button" class="button quiet small" data-home data-new>${icon("plus")}<span>${t("top.new")}</span></button>
          <button type="button" class="button quiet small" data-jobs aria-haspopup="dialog">
            ${icon("history")}<span>${t("top.jobs")}</span><span class="count"></span>
          </button>
          <a class="button quiet small docs" href="docs">API</a>
          <button type="button" class="button quiet small" data-sign-out>${t("top.signOut")}</button>
          <label class="language">
            <span class="visually-hidden">${t("top.language")}</span>
            <select>${LANGUAGES.map(({ code, name }) =>
              html`<option value="${code}" lang="${code}" ${code === language.value ? html`selected` : ""}>${name}</option>`)}</select>
          </label>
          <button type="button" class="button quiet small square" data-theme-switch
            aria-label="${t(isDark() ? "top.light" : "top.dark")}" title="${t(isDark() ? "top.light" : "top.dark")}">
            ${icon(isDark() ? "sun" : "moon")}</button>
        </nav>
      </header>
      <un-jobs></un-jobs>`);
    this.#sync();
  }

  #sync() {
    this.find("[data-new]").hidden = screen.value === "empty";
    this.find("[data-jobs]").hidden = recent.value.length === 0;
    this.find("[data-sign-out]").hidden = !signedInAs.value;
    this.find("[data-sign-out]").title = signedInAs.value;
    this.find(".count").textContent = String(recent.value.length);
  }
}

export function register() {
  customElements.define("un-topbar", Topbar);
}
