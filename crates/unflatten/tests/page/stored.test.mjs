import assert from "node:assert/strict";
import { test } from "node:test";

import { withStored } from "../../../../frontend/js/editor/stored.js";
import { group, keysOf, layer } from "./layers.mjs";

const UNEDITED = { visible: true, opacity: 1, x: 0, y: 0, scale: 1, hue: 0, saturation: 1, lightness: 1 };
const BOX = { x: 10, y: 20, width: 100, height: 50 };

function node(number, edit = {}, fields = {}) {
  return { layer: number, name: `Layer ${number}`, kind: "object", bounding_box: BOX, edit: { ...UNEDITED, ...edit }, ...fields };
}

const tree = (...layers) => ({ job_id: "job", layers });

test("a document without edits is as the engine made it", () => {
  const layers = [layer(0), layer(1)];
  assert.deepEqual(withStored(layers, tree(node(0), node(1))), layers);
  assert.deepEqual(withStored([], tree()), []);
});

test("the service's order and edits are taken over", () => {
  const edit = { visible: false, opacity: 0.5, x: 40, y: -3, scale: 2, hue: 90, saturation: 0, lightness: 1.5 };
  const [first, second] = withStored([layer(0), layer(1)], tree(node(1, edit), node(0)));
  assert.equal(first.key, 1);
  assert.equal(second.key, 0);
  for (const [field, value] of Object.entries(edit)) assert.equal(first[field], value, field);
});

test("a name that was given over the API is the layer's own from then on", () => {
  const [one] = withStored([layer(0)], tree(node(0, {}, { name: "여름 세일 제목" })));
  assert.equal(one.name, "여름 세일 제목");
  assert.equal(one.info.name, "여름 세일 제목");
});

test("parts follow the edits of the layer that was split", () => {
  const part = (key, number) => layer(key, { job: "child", origin: { x: 10, y: 20 }, groups: [group(1)], info: { z_index: number, bounding_box: { x: 0, y: 0, width: 10, height: 10 } } });
  const child = { job_id: "child", layers: [node(0, { opacity: 0.5 }, { bounding_box: { x: 0, y: 0, width: 10, height: 10 } }), node(1, { x: 2 }, { bounding_box: { x: 0, y: 0, width: 10, height: 10 } })] };
  const split = node(1, { x: 5, opacity: 0.5, visible: false, hue: 170 }, { name: "원", child: { job_id: "child", x: 10, y: 20, tree: child } });
  const [ground, low, high] = withStored([layer(0), part(5, 0), part(6, 1)], tree(node(0), split));
  assert.deepEqual(keysOf([ground, low, high]), [0, 5, 6]);
  assert.deepEqual([low.x, high.x], [5, 7]);
  assert.deepEqual([low.opacity, high.opacity], [0.25, 0.5]);
  assert.deepEqual([low.visible, high.visible, ground.visible], [false, false, true]);
  assert.deepEqual(low.groups, [{ key: 1, name: "원" }]);
  assert.equal(high.hue, 170);
});

test("a split layer scales about its own middle", () => {
  const box = { x: 0, y: 0, width: 100, height: 50 };
  const part = layer(5, { job: "child", origin: { x: 10, y: 20 }, groups: [group(0)], info: { z_index: 0, bounding_box: { x: 0, y: 0, width: 10, height: 10 } } });
  const child = { job_id: "child", layers: [node(0, {}, { bounding_box: part.info.bounding_box })] };
  const [scaled] = withStored([part], tree(node(0, { scale: 2 }, { bounding_box: { ...box, x: 10, y: 20 }, child: { job_id: "child", x: 10, y: 20, tree: child } })));
  assert.equal(scaled.scale, 2);
  // Its middle was (15, 25), that of the whole is (60, 45): it moves away from there by as much again.
  assert.deepEqual([scaled.x, scaled.y], [-45, -20]);
});

test("what edits of groups in groups add up to stays within what the service takes", () => {
  const far = { x: 90_000, y: -90_000, scale: 10, saturation: 3, lightness: 3, hue: 150 };
  const part = layer(5, { job: "child", groups: [group(0)], info: { z_index: 0 } });
  const child = { job_id: "child", layers: [node(0, far)] };
  const [one] = withStored([part], tree(node(0, far, { child: { job_id: "child", x: 0, y: 0, tree: child } })));
  assert.equal(one.x, 100_000);
  assert.equal(one.y, -100_000);
  assert.equal(one.scale, 16);
  assert.equal(one.saturation, 4);
  assert.equal(one.lightness, 4);
  assert.equal(one.hue, -60, "300 degrees are -60");
});

test("a layer of no size can be edited too", () => {
  const empty = layer(0, { info: { bounding_box: null } });
  const [one] = withStored([empty], tree(node(0, { x: 4, scale: 0.001 }, { bounding_box: null })));
  assert.equal(one.x, 4);
});

test("what only one of two answers knows stays as it was", () => {
  const layers = [layer(0), layer(1), layer(2)];
  const edited = withStored(layers, tree(node(0, { x: 9 }), node(7)));
  assert.deepEqual(keysOf(edited), [0, 1, 2]);
  assert.equal(edited[0].x, 9);
  assert.equal(edited[1], layers[1]);
});

test("a layer whose split has not ended stands for itself", () => {
  const [one] = withStored([layer(0)], tree(node(0, { x: 1 }, { child: { job_id: "child", x: 0, y: 0, tree: null } })));
  assert.equal(one.x, 1);
});
