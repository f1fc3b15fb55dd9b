import { loadCapabilities } from "./capabilities.js";
import { route } from "./actions.js";
import { showLanguage } from "./lib/i18n.js";
import { showTheme } from "./lib/theme.js";
import { register as registerApp } from "./elements/app/app.js";

showTheme();
showLanguage();
loadCapabilities();
addEventListener("hashchange", route);
registerApp();
route();
