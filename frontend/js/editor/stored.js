import { middleOf, scaledAbout } from "./geometry.js";

const HERE = { x: 0, y: 0 };

/**
 * `layers` with the edits that the service keeps, which are those made over the
 * API: `tree` is the answer of `GET /api/jobs/{id}/document`.
 *
 * What a layer was split into follows its edits, as in the service; of opacities
 * and colours it takes the product, since a group here has none of its own.
 */
export function withStored(layers, tree) {
  const byName = new Map(layers.map((layer) => [`${layer.job}/${layer.info.z_index}`, layer]));
  const edited = inside(tree, HERE, 0, byName);
  // Something was split or deleted between two answers of the service: the next look at it will find them agree.
  return edited.length === layers.length ? edited : layers;
}

/** The layers of one result, the lowest first; its canvas lies at `origin`, in `depth` groups. */
function inside({ job_id: job, layers }, origin, depth, byName) {
  return layers.flatMap((node) => {
    const layer = byName.get(`${job}/${node.layer}`);
    if (layer) return changed([layer], node, origin).map((one) => named(one, node.name));
    const { child } = node;
    if (!child?.tree) return [];
    const parts = inside(child.tree, { x: origin.x + child.x, y: origin.y + child.y }, depth + 1, byName);
    return changed(parts, node, origin).map((part) => ({ ...part, groups: renamed(part.groups, depth, node.name) }));
  });
}

function named(layer, name) {
  return { ...layer, name, info: { ...layer.info, name } };
}

function renamed(groups, depth, name) {
  return groups.map((group, at) => (at === depth ? { ...group, name } : group));
}

/** A layer, or all that it was split into, with its edit. */
function changed(layers, { edit, bounding_box: box }, origin) {
  const middle = middleOf(box ?? { ...HERE, width: 0, height: 0 });
  return scaledAbout(layers, edit.scale, { x: origin.x + middle.x, y: origin.y + middle.y }).map((layer) => ({
    ...layer,
    visible: layer.visible && edit.visible,
    x: layer.x + edit.x,
    y: layer.y + edit.y,
    opacity: layer.opacity * edit.opacity,
    hue: turned(layer.hue + edit.hue),
    saturation: layer.saturation * edit.saturation,
    lightness: layer.lightness * edit.lightness,
  }));
}

/** An angle in degrees, from -180 to 180. */
function turned(angle) {
  return angle - 360 * Math.round(angle / 360);
}
