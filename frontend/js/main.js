// @ts-check
import { loadCapabilities } from "./capabilities.js";
import { closeJob, openJob } from "./current-job.js";
import { showLanguage } from "./lib/i18n.js";
import { showTheme } from "./lib/theme.js";
import { startRouter } from "./router.js";
import { whenSignedIn } from "./session.js";
import { register as registerApp } from "./elements/app/app.js";

showTheme();
showLanguage();
registerApp();
whenSignedIn().then(() => {
  loadCapabilities();
  startRouter({ openJob, closeJob });
});
