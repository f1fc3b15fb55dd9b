// @ts-check
import { copyPicked, cutPicked, paste } from "../../editor/clipboard.js";
import { mode } from "../../editor/display.js";
import { addPicture } from "../../editor/own-pictures.js";
import { closest } from "../../lib/view.js";

/** Where copying means letters. */
const FIELDS = "textarea, input:not([type=range], [type=checkbox], [type=radio], [type=color]), dialog";

/**
 * Whether an event of the clipboard is about layers, and not about words that are selected on the page or in a field.
 * @param {ClipboardEvent} event
 */
function isAboutLayers(event) {
  const isFree = !event.defaultPrevented && mode.value === "layers" && !closest(event, FIELDS);
  return isFree && (event.type === "paste" || document.getSelection()?.isCollapsed !== false);
}

/** What the browser's clipboard calls layers: it has them in place of a picture that was copied before. */
const TYPE = "application/x-unflatten-layers";

/**
 * Takes layers when the browser is told to cut, copy or paste.
 * @param {ClipboardEvent} event
 */
export function onClipboard(event) {
  const data = event.clipboardData;
  if (!data || !isAboutLayers(event)) return;
  if (event.type === "paste") {
    // A picture was copied later than any layer.
    const [picture] = [...data.files].filter(({ type }) => type.startsWith("image/"));
    if (picture) void addPicture(picture);
    if (picture || (data.files.length === 0 && paste())) event.preventDefault();
  } else if (event.type === "cut" ? cutPicked() : copyPicked()) {
    data.setData(TYPE, "1");
    event.preventDefault();
  }
}
