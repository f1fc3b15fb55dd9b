// @ts-check

/** What the canvas and the keys need of the tools that work on pixels. */
export { resize } from "./brush.js";
export { closeLasso, lasso } from "./lasso.js";
export { Overlay } from "./overlay.js";
export { drop, isPicking, lift, removeLast, selection } from "./picking.js";
export { Worker } from "./worker.js";
