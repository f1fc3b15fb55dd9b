/**
 * Edits outlive a reload: this browser keeps those of the results that were
 * worked on last, by result and layer.
 */
const KEY = "unflatten.edits";
const RESULTS_MAX = 24;
const FIELDS = ["name", "visible", "locked", "opacity", "x", "y", "scale", "hue", "saturation", "lightness"];
// A drag changes the layers with every frame.
const WRITE_AFTER_MS = 400;

const nameOf = ({ job, info }) => `${job}/${info.z_index}`;
const groupNames = (layer) => layer.groups.map((group) => group.name);

/** What differs of a layer from the one that was delivered. */
function changesOf(layer, before) {
  const changes = Object.fromEntries(FIELDS.filter((field) => layer[field] !== before[field]).map((field) => [field, layer[field]]));
  const given = groupNames(before);
  const names = groupNames(layer).map((name, at) => (name === given[at] ? null : name));
  return names.some((name) => name !== null) ? { ...changes, groups: names } : changes;
}

function changed(layer, { groups: names, ...fields }) {
  const isSame = names?.length === layer.groups.length;
  return { ...layer, ...fields, groups: isSame ? layer.groups.map((group, at) => ({ ...group, name: names[at] ?? group.name })) : layer.groups };
}

function read() {
  try {
    return JSON.parse(localStorage.getItem(KEY)) ?? [];
  } catch {
    return [];
  }
}

let unwritten = null;
let timer = 0;

/** Keeps how `layers` differ from those that were delivered, a moment later. */
export function saveEdits(id, layers, delivered) {
  unwritten = { id, layers, delivered };
  timer ||= setTimeout(flushEdits, WRITE_AFTER_MS);
}

/** Writes what is still to be kept. */
export function flushEdits() {
  clearTimeout(timer);
  timer = 0;
  if (!unwritten) return;
  const { id, layers, delivered } = unwritten;
  unwritten = null;
  const before = new Map(delivered.map((layer) => [layer.key, layer]));
  const kept = layers.map((layer) => [nameOf(layer), changesOf(layer, before.get(layer.key) ?? layer)]);
  const isReordered = layers.some((layer, at) => layer.key !== delivered[at]?.key);
  const isChanged = isReordered || kept.some(([, changes]) => Object.keys(changes).length > 0);
  const others = read().filter((one) => one.id !== id);
  const all = isChanged ? [{ id, layers: kept, isReordered }, ...others].slice(0, RESULTS_MAX) : others;
  try {
    localStorage.setItem(KEY, JSON.stringify(all));
  } catch {
    // No room, or storage is off: the edits last as long as the page.
  }
}

addEventListener("pagehide", flushEdits);

/** `layers` with the edits that were kept; the very same where there are none. */
export function loadEdits(id, layers) {
  const found = read().find((one) => one.id === id);
  if (!found) return layers;
  const kept = new Map(found.layers);
  const edited = layers.map((layer) => changed(layer, kept.get(nameOf(layer)) ?? {}));
  // The service's order, which a script may have changed since. (Records of earlier versions do not say.)
  if (found.isReordered === false) return edited;
  const order = new Map(found.layers.map(([name], at) => [name, at]));
  // Layers that were split since have no place of their own: they stay where their neighbours are.
  let last = -1;
  const placed = edited.map((layer) => {
    last = order.get(nameOf(layer)) ?? last + 0.001;
    return { at: last, layer };
  });
  return placed.sort((a, b) => a.at - b.at).map(({ layer }) => layer);
}
