// @ts-check
import { loadCapabilities } from "./capabilities.js";
import { closeJob, openJob } from "./current-job.js";
import { showLanguage } from "./lib/i18n.js";
import { showTheme } from "./lib/theme.js";
import { startRouter } from "./router.js";
import { register as registerApp } from "./elements/app/app.js";

showTheme();
showLanguage();
loadCapabilities();
registerApp();
startRouter({ openJob, closeJob });
