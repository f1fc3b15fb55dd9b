import assert from "node:assert/strict";
import { test } from "node:test";

import { groupOf, hit, membersOf, pathOf, pathTo, rows, shifted, siblings } from "../../../../frontend/js/editor/tree.js";
import { group, keysOf, layer, named, nested } from "./layers.mjs";

const layerIn = (layers, key) => layers.find((one) => one.key === key);

test("a path leads from the outermost group to the layer", () => {
  assert.deepEqual(pathOf(layer(7)), [7]);
  assert.deepEqual(pathOf(layerIn(nested(), 6)), [1, 4, 6]);
  assert.deepEqual(pathTo(nested(), 6), [1, 4, 6]);
  assert.deepEqual(pathTo(nested(), 4), [1, 4]);
  assert.deepEqual(pathTo(nested(), 1), [1]);
});

test("there is no path to what is not there", () => {
  assert.deepEqual(pathTo([], 1), []);
  assert.deepEqual(pathTo(nested(), 77), []);
  assert.deepEqual(pathTo(nested(), null), []);
});

test("a key stands for a layer or for all parts of a group", () => {
  assert.deepEqual(keysOf(membersOf(nested(), 9)), [9]);
  assert.deepEqual(keysOf(membersOf(nested(), 1)), [3, 5, 6]);
  assert.deepEqual(keysOf(membersOf(nested(), 4)), [5, 6]);
  assert.deepEqual(membersOf([], 0), []);
  assert.equal(groupOf(nested(), 9), null);
  assert.equal(groupOf([], 1), null);
  assert.deepEqual(groupOf(nested(), 4), group(4));
});

test("siblings are what is right inside a group", () => {
  assert.deepEqual(siblings(nested(), []), [0, 1, 9]);
  assert.deepEqual(siblings(nested(), [1]), [3, 4]);
  assert.deepEqual(siblings(nested(), [1, 4]), [5, 6]);
  assert.deepEqual(siblings([], []), []);
});

test("a group moves as a whole, one place at a time", () => {
  assert.deepEqual(keysOf(shifted(nested(), 1, 1)), [0, 9, 3, 5, 6]);
  assert.deepEqual(keysOf(shifted(nested(), 1, -1)), [3, 5, 6, 0, 9]);
  assert.deepEqual(keysOf(shifted(nested(), 0, 1)), [3, 5, 6, 0, 9]);
  assert.deepEqual(keysOf(shifted(nested(), 4, -1)), [0, 5, 6, 3, 9]);
});

test("nothing moves past the end of its group", () => {
  assert.equal(shifted(nested(), 9, 1), null);
  assert.equal(shifted(nested(), 0, -1), null);
  assert.equal(shifted(nested(), 6, 1), null, "a part stays in its group");
  assert.equal(shifted(nested(), 5, -1), null);
  assert.equal(shifted([layer(0)], 0, 1), null);
  assert.equal(shifted([], 0, 1), null);
});

test("moving changes no layer and not the list that was given", () => {
  const before = nested();
  const copy = structuredClone(before);
  const after = shifted(before, 1, 1);
  assert.deepEqual(before, copy);
  for (const one of after) assert.equal(one, layerIn(before, one.key));
});

test("a list shows the highest first, each group above its parts", () => {
  const shown = rows(nested()).map(({ key, depth, group: own }) => [key, depth, own ? "group" : "layer"]);
  assert.deepEqual(shown, [
    [9, 0, "layer"],
    [1, 0, "group"],
    [4, 1, "group"],
    [6, 2, "layer"],
    [5, 2, "layer"],
    [3, 1, "layer"],
    [0, 0, "layer"],
  ]);
  assert.deepEqual(rows([]), []);
  assert.deepEqual(rows([layer(0)]).map(({ key, depth }) => [key, depth]), [[0, 0]]);
});

test("a folded group is one row", () => {
  const shown = (...keys) => rows(nested(), new Set(keys)).map(({ key }) => key);
  assert.deepEqual(shown(4), [9, 1, 4, 3, 0]);
  assert.deepEqual(shown(1), [9, 1, 0]);
  assert.deepEqual(shown(1, 4), [9, 1, 0]);
  assert.deepEqual(shown(77), [9, 1, 4, 6, 5, 3, 0]);
});

test("a click goes through a group that the service made, unless it was chosen in the list", () => {
  const around = named(100, "objects");
  const layers = [layer(0), layer(1, { groups: [around] }), ...[7, 8].map((key) => layer(key, { groups: [around, group(2)] }))];
  const [one, seven] = [layerIn(layers, 1), layerIn(layers, 7)];
  const objects = one.groups[0].key;
  assert.equal(hit(layers, one, null, false), 1);
  assert.equal(hit(layers, seven, null, false), 2, "the group of what was split is a thing");
  assert.equal(hit(layers, seven, 2, true), 7);
  assert.equal(hit(layers, seven, 8, false), 7);
  assert.equal(hit(layers, one, 8, false), 1);
  assert.equal(hit(layers, one, objects, false), objects, "so that it can be dragged");
  assert.equal(hit(layers, one, objects, true), 1);
  assert.equal(hit(layers, layerIn(layers, 0), objects, false), 0);
});

test("two groups side by side are two rows", () => {
  const layers = [layer(2, { groups: [group(0)] }), layer(3, { groups: [group(1)] })];
  assert.deepEqual(rows(layers).map(({ key }) => key), [1, 3, 0, 2]);
});

test("a click chooses the outermost group, a double click goes one group in", () => {
  const layers = nested();
  const six = layerIn(layers, 6);
  assert.equal(hit(layers, six, null, false), 1);
  assert.equal(hit(layers, six, 9, false), 1);
  assert.equal(hit(layers, six, 1, false), 1);
  assert.equal(hit(layers, six, 1, true), 4);
  assert.equal(hit(layers, six, 4, true), 6);
  assert.equal(hit(layers, six, 6, true), 6, "no further in than the layer");
  assert.equal(hit(layers, six, 3, false), 4, "beside what is chosen inside the group");
  assert.equal(hit(layers, six, 5, false), 6);
  assert.equal(hit(layers, layerIn(layers, 9), 5, false), 9);
});

test("a group of thousands of layers", () => {
  const many = Array.from({ length: 2000 }, (_, key) => layer(key + 1, { groups: [group(0)] }));
  assert.equal(rows(many).length, 2001);
});
