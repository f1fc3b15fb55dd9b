// @ts-check
import { doc, layersNow, partsAt } from "../../editor/document.js";
import { groupTitle, layerTitle, shortTitle, wholeTitle } from "../../editor/names.js";
import { html } from "../../lib/html.js";
import { percent, t, tOr } from "../../lib/i18n.js";
import { icon } from "../../lib/icons.js";
import { result } from "../../state.js";

/**
 * A row of the list, as it is first drawn.
 *
 * @typedef {import("../../types.js").Layer} Layer
 * @typedef {import("../../types.js").LayerInfo} LayerInfo
 * @typedef {import("../../types.js").Row} Row
 */

const THUMBNAIL_PX = 96;
// Deeper rows are indented no further.
const DEEPEST = 4;

/** @param {Row} row */
export function rowMarkup(row) {
  const { key, depth, layer } = row;
  const name = nameIn(row);
  return html`
    <li data-key="${key}" data-depth="${Math.min(depth, DEEPEST)}" class="${classOf(row)}">
      ${control("eye", "visible", name, html`<span class="on">${icon("eye")}</span><span class="off">${icon("eyeOff")}</span>`)}
      <button type="button" class="pick" data-pick>
        <canvas class="checker" width="${THUMBNAIL_PX}" height="${THUMBNAIL_PX}" aria-hidden="true"></canvas>
        <span class="words"><b title="${wholeIn(row)}">${name}</b>
          <span class="meta">${layer ? layerWords(layer.info) : t("layers.group", { count: partsAt(key).length })}</span>
          ${layer ? flagsOf(layer).map((words) => html`<span class="chip warn">${words}</span>`) : ""}
        </span>
      </button>
      ${layer ? html`<span class="splitting" hidden><progress max="100" aria-label="${t("split.running", { name })}"></progress>
        <button type="button" class="button quiet small square" data-stop aria-label="${t("layers.stop", { name })}" title="${t("layers.stop", { name })}">${icon("close")}</button></span>` : ""}
      <span class="row-tools">
        ${control("solo", "solo", name, icon("solo"))}
        ${layer ? control("save", "dragOut", name, icon("download")) : ""}
        ${control("lock", "lock", name, html`<span class="on">${icon("lock")}</span><span class="off">${icon("unlock")}</span>`)}
        ${layer ? "" : control("fold", "parts", name, icon("fold"))}
        <span class="grip" aria-hidden="true">${icon("grip")}</span>
      </span>
    </li>`;
}

/**
 * A button of a row.
 * @param {"eye" | "solo" | "lock" | "fold" | "save"} action
 * @param {string} words what its words end in
 * @param {string} name
 * @param {import("../../lib/html.js").Content} picture
 */
function control(action, words, name, picture) {
  const title = t(`layers.${words}`, { name });
  const attribute = { eye: html`data-eye`, solo: html`data-solo`, lock: html`data-lock`, fold: html`data-fold`, save: html`data-take draggable="true"` }[action];
  return html`<button type="button" class="button quiet small square" ${attribute} aria-label="${title}" title="${title}">${picture}</button>`;
}

/** @type {(row: Row) => string} */
export const nameIn = ({ layer, group }) => (layer ? shortTitle(layer) : group ? groupTitle(group) : "");
/** @type {(row: Row) => string} */
export const wholeIn = (row) => (row.layer ? wholeTitle(row.layer) : nameIn(row));

/**
 * What a row is: a `group` that the service put together is `named`, the other groups are layers that were split, and
 * their layers are `part`s.
 * @param {Row} row
 */
function classOf({ layer, group }) {
  if (group) return group.code ? "group named" : "group";
  return layer?.groups.some(({ code }) => !code) ? "part" : "";
}

/** @param {LayerInfo} info */
function layerWords({ kind, coverage, visible_share: seen, flags }) {
  const words = [tOr(`kind.${kind}`, kind), t("layers.coverage", { share: percent(coverage) })];
  if (seen < 0.995 && !flags.empty) words.push(t("layers.seen", { share: percent(seen) }));
  return words.join(" · ");
}

/** @param {Layer} layer */
function flagsOf({ job, info: { flags, kind } }) {
  const words = [];
  if (flags.empty) words.push(t("flag.empty"));
  if (flags.duplicate_of !== null && flags.duplicate_of !== undefined) {
    const other = layersNow().find((layer) => layer.job === job && layer.info.z_index === flags.duplicate_of);
    words.push(t("flag.duplicate", { name: other ? layerTitle(other) : flags.duplicate_of }));
  }
  if (flags.copy_of_composite) words.push(t("flag.copy"));
  if (kind === "background" && job === doc.value?.id && result.value?.background?.quality === "rough") words.push(t("flag.rough"));
  return words;
}
