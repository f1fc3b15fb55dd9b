// @ts-check
import { stored } from "./signal.js";

/** `system`, `light` or `dark`. */
export const theme = stored("unflatten.theme", "system");

const prefersDark = matchMedia("(prefers-color-scheme: dark)");

export function isDark() {
  return theme.value === "dark" || (theme.value === "system" && prefersDark.matches);
}

export function toggleTheme() {
  theme.value = isDark() ? "light" : "dark";
}

export function showTheme() {
  document.documentElement.dataset.theme = isDark() ? "dark" : "light";
}

theme.subscribe(showTheme);
prefersDark.addEventListener("change", showTheme);
