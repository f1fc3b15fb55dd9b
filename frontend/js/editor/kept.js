/**
 * Edits outlive a reload: this browser keeps those of the results that were
 * worked on last, by result and layer.
 */
const KEY = "unflatten.edits";
const RESULTS_MAX = 24;
const FIELDS = ["name", "visible", "locked", "opacity", "x", "y", "scale", "hue", "saturation", "lightness"];

const nameOf = ({ job, info }) => `${job}/${info.z_index}`;
const changesOf = (layer, before) => FIELDS.filter((field) => layer[field] !== before[field]);

function read() {
  try {
    return JSON.parse(localStorage.getItem(KEY)) ?? [];
  } catch {
    return [];
  }
}

/** Keeps how `layers` differ from those that were delivered. */
export function saveEdits(id, layers, delivered) {
  const before = new Map(delivered.map((layer) => [layer.key, layer]));
  const kept = layers.map((layer) => {
    const fields = changesOf(layer, before.get(layer.key) ?? layer);
    return [nameOf(layer), Object.fromEntries(fields.map((field) => [field, layer[field]]))];
  });
  const isChanged = layers.some((layer, at) => layer.key !== delivered[at]?.key || Object.keys(kept[at][1]).length > 0);
  const others = read().filter((one) => one.id !== id);
  const all = isChanged ? [{ id, layers: kept }, ...others].slice(0, RESULTS_MAX) : others;
  try {
    localStorage.setItem(KEY, JSON.stringify(all));
  } catch {
    // No room, or storage is off: the edits last as long as the page.
  }
}

/** `layers` with the edits that were kept; the very same where there are none. */
export function loadEdits(id, layers) {
  const found = read().find((one) => one.id === id);
  if (!found) return layers;
  const kept = new Map(found.layers);
  const order = new Map(found.layers.map(([name], at) => [name, at]));
  // Layers that were split since have no place of their own: they stay where their neighbours are.
  let last = -1;
  const placed = layers.map((layer) => {
    last = order.get(nameOf(layer)) ?? last + 0.001;
    return { at: last, layer: { ...layer, ...kept.get(nameOf(layer)) } };
  });
  return placed.sort((a, b) => a.at - b.at).map(({ layer }) => layer);
}
