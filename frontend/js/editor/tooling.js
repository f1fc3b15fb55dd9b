// @ts-check
import { signal } from "../lib/signal.js";
import { report } from "../notices.js";
import { mode, tool } from "./display.js";

/**
 * Tools that work on pixels. They are loaded when somebody takes the first of them.
 *
 * @typedef {typeof import("../tools/tools.js")} Tools
 */

export const PIXEL_TOOLS = /** @type {const} */ (["pick", "wand", "lasso", "brush", "eraser"]);

const isTaken = () => PIXEL_TOOLS.some((one) => one === tool.value);

/** @type {import("../lib/signal.js").Signal<Tools | null>} */
export const tools = signal(null);


/** Whether the pointer works on pixels and moves nothing. */
export const isPixelTool = () => isTaken() && mode.value === "layers";

tool.subscribe(() => {
  if (!isTaken()) return;
  // Asked for again, it comes from the browser.
  import("../tools/tools.js").then((loaded) => void (tools.value = loaded), report);
});
