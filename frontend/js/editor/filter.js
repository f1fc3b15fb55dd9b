// @ts-check

/**
 * The CSS filter that gives a layer its colours; `null` where they are its own.
 * @param {Pick<import("../types.js").Layer, "hue" | "saturation" | "lightness">} layer
 */
export function filterOf({ hue, saturation, lightness }) {
  if (hue === 0 && saturation === 1 && lightness === 1) return null;
  return `hue-rotate(${hue}deg) saturate(${saturation}) brightness(${lightness})`;
}
