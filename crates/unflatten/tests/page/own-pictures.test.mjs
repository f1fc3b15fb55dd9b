import assert from "node:assert/strict";
import { test } from "node:test";

import { elementsFrom, layersFrom, pictureLayer } from "../../../../frontend/js/editor/elements.js";
import { mergeable, mergedInto } from "../../../../frontend/js/editor/merging.js";
import { fitting, gradientLine, placedIn } from "../../../../frontend/js/editor/own-pictures.js";
import { doc } from "../../../../frontend/js/editor/document.js";
import { keysOf, layer, nested, outline } from "./layers.mjs";

const ID = `${"a".repeat(40)}-300x100`;

test("a picture fits into a box or covers it, about its middle", () => {
  const box = { x: 10, y: 20, width: 100, height: 50 };
  assert.equal(fitting({ width: 300, height: 100 }, box), 1 / 3);
  assert.equal(fitting({ width: 300, height: 100 }, box, true), 0.5);
  assert.equal(fitting({ width: 1, height: 1 }, { width: 9000, height: 9000 }), 16);
  const { picture, edit } = placedIn({ id: ID, width: 300, height: 100 }, box);
  assert.deepEqual([picture.x, picture.y, edit.scale_x, edit.x], [-90, -5, 1 / 3, 0]);
});

test("a layer with a picture is an element with one, and back", () => {
  const before = layer(3, { rotation: 15, opacity: 0.5, name: "Logo" });
  const shown = pictureLayer(before, { id: ID, x: 4, y: 5 });
  assert.deepEqual(shown.info.bounding_box, { x: 4, y: 5, width: 300, height: 100 });
  assert.deepEqual([shown.name, shown.rotation, shown.opacity], ["Logo", 15, 0.5]);
  assert.equal(pictureLayer(layer(3), { id: ID }).name, "Layer 3", "that nobody named");
  const [element] = elementsFrom([shown]);
  assert.deepEqual([element.picture, element.layer], [{ id: ID, x: 4, y: 5 }, { job_id: "job", layer: 3 }]);
  const own = pictureLayer({ ...before, made: null, name: null }, { id: ID });
  const [again] = layersFrom({ elements: elementsFrom([own]), results: [] });
  assert.deepEqual([again.name, again.picture, again.made], [own.name, { id: ID }, null]);
});

test("what is merged stands where the highest was, and groups stay together", () => {
  doc.value = { id: "job", width: 800, height: 600, layers: nested() };
  const layers = nested();
  assert.deepEqual(keysOf(mergeable(layers, [9, 4])), [5, 6, 9]);
  const made = layer(77);
  assert.equal(outline(mergedInto(layers, mergeable(layers, [4, 9]), made)), "0 Group 1(3) 77");
  assert.equal(outline(mergedInto(layers, mergeable(layers, [3, 5]), made)), "0 Group 1(Group 4(6) 77) 9");
  assert.equal(outline(mergedInto(layers, mergeable(layers, [0, 5]), made)), "Group 1(3 Group 4(6)) 77 9");
  doc.value = { ...doc.value, layers: nested().map((one) => ({ ...one, locked: one.key === 0 })) };
  assert.deepEqual(keysOf(mergeable(layers, [0, 9])), [9], "what is locked stays");
  doc.value = null;
});

test("a gradient reaches the corners", () => {
  const round = ({ x, y }) => [Math.round(x) + 0, Math.round(y) + 0];
  const down = gradientLine({ width: 200, height: 100 }, 180);
  assert.deepEqual([round(down.from), round(down.to)], [[100, 0], [100, 100]]);
  const right = gradientLine({ width: 200, height: 100 }, 90);
  assert.deepEqual([round(right.from), round(right.to)], [[0, 50], [200, 50]]);
});
