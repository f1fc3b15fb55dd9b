import { groupOf, membersOf, pathOf, siblings } from "../../../../frontend/js/editor/tree.js";

// Layers to test with.

/** A layer of 100 x 50 pixels at (10, 20), or what `fields` say. */
export function layer(key, fields = {}) {
  const info = {
    file: `layer_${key}.png`, z_index: key, name: `Layer ${key}`, kind: "object", coverage: 0.5, visible_share: 1,
    flags: { empty: false, copy_of_composite: false }, bounding_box: { x: 10, y: 20, width: 100, height: 50 },
  };
  const made = { info: { ...info, ...fields.info }, origin: fields.origin ?? { x: 0, y: 0 } };
  return {
    key, job: "job", info: made.info, origin: made.origin, made, picture: null, groups: [], name: `Layer ${key}`,
    visible: true, locked: false, opacity: 1, blend: "normal", x: 0, y: 0, scale_x: 1, scale_y: 1, rotation: 0, effects: null, hue: 0, saturation: 1, lightness: 1, text: null,
    ...withoutInfo(fields),
  };
}

function withoutInfo({ info: _, ...fields }) {
  return fields;
}

export const group = (key, name = `Group ${key}`) => ({ key, name, given: name, visible: true, opacity: 1, blend: "normal" });

/** A group that the service made. */
export const named = (key, code) => ({ ...group(key, { text: "Text", objects: "Objects", people: "People" }[code]), code });

/**
 * A background, a group (1) of a layer and of a group (4) of two, and a text above:
 *
 *     9 text
 *     1 group: 4 group: 6, 5
 *              3
 *     0 background
 */
export function nested() {
  const [outer, inner] = [group(1), group(4)];
  return [
    layer(0), layer(3, { groups: [outer] }), layer(5, { groups: [outer, inner] }), layer(6, { groups: [outer, inner] }), layer(9),
  ];
}

export const keysOf = (layers) => layers.map(({ key }) => key);

/** "0 Text(1 2)": layers and the groups around them. */
export function outline(layers, depth = 0) {
  return siblings(layers, depth === 0 ? [] : pathOf(layers[0]).slice(0, depth)).map((key) => {
    const found = groupOf(layers, key);
    return found ? `${found.name}(${outline(membersOf(layers, key), depth + 1)})` : key;
  }).join(" ");
}
