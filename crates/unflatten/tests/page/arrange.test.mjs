// Which layers there are and what groups they are in: deleted, copied, grouped.
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { duplicatePicked, duplicated, groupPicked, grouped, newKey, outermost, pickAll, removePicked, ungroupPicked, ungrouped, without } from "../../../../frontend/js/editor/arrange.js";
import { pick, pickAlso, picked, selected } from "../../../../frontend/js/editor/display.js";
import { doc, layerOf, layersNow } from "../../../../frontend/js/editor/document.js";
import { editAll, moveAll } from "../../../../frontend/js/editor/edits.js";
import { startHistory, undo } from "../../../../frontend/js/editor/history.js";
import { closeDocument } from "../../../../frontend/js/editor/open.js";
import { groupOf } from "../../../../frontend/js/editor/tree.js";
import { group, keysOf, layer, named, nested, outline } from "./layers.mjs";

function open(layers) {
  doc.value = { id: "job", width: 800, height: 600, layers };
  startHistory();
}

beforeEach(() => closeDocument());

test("what is inside something else that is meant is meant with it", () => {
  assert.deepEqual(outermost(nested(), [6, 1, 9]), [1, 9]);
  assert.deepEqual(outermost(nested(), [6, 5]), [6, 5]);
  assert.deepEqual(keysOf(without(nested(), [4, 9])), [0, 3]);
  assert.deepEqual(without(nested(), [0, 1, 9]), []);
});

test("a copy lies right above, with keys of its own", () => {
  const { layers, keys } = duplicated(nested(), [1, 9], 16);
  assert.equal(layers.length, 9);
  const [copy, text] = keys;
  assert.equal(outline(layers).replaceAll(/\d{6,}/g, "n"), "0 Group 1(3 Group 4(5 6)) Group 1(n Group 4(n n)) 9 n");
  assert.equal(new Set(layers.flatMap(({ key, groups }) => [key, ...groups.map((one) => one.key)])).size, 7 + 2 + 3 + 1);
  assert.deepEqual(layers.filter((one) => one.key === text).map(({ x, y, name }) => [x, y, name]), [[16, 16, "Layer 9"]]);
  assert.equal(groupOf(layers, copy).name, "Group 1");
  const inner = duplicated(nested(), [5], 0).layers;
  assert.deepEqual(inner[3].groups.map(({ key }) => key), [1, 4], "in the same groups");
});

test("a copy of a split layer's group is a plain group", () => {
  const split = { ...group(2), split: { layer: { job_id: "job", layer: 2 }, child: "child" } };
  const { layers } = duplicated([layer(7, { groups: [split] })], [2], 0);
  assert.deepEqual(layers.map(({ groups }) => "split" in groups[0]), [true, false]);
  const { layers: texts } = duplicated([layer(7, { groups: [named(100, "text")] })], [100], 0);
  assert.deepEqual(texts.map(({ groups }) => groups[0].code), ["text", undefined]);
});

test("a new key is a whole number and no layer's of a result", () => {
  const keys = Array.from({ length: 1000 }, newKey);
  assert.equal(new Set(keys).size, 1000);
  assert.ok(keys.every((key) => Number.isSafeInteger(key) && key < 2 ** 52 && key % 4096 === 4095));
});

test("a group is where the highest of its layers was", () => {
  const own = group(50, "Own");
  assert.equal(outline(grouped([0, 1, 2, 3].map((key) => layer(key)), [0, 2], own)), "1 Own(0 2) 3");
  assert.equal(outline(grouped(nested(), [9, 0], own)), "Group 1(3 Group 4(5 6)) Own(0 9)");
  assert.equal(outline(grouped(nested(), [1, 9], own)), "0 Own(Group 1(3 Group 4(5 6)) 9)", "groups stay together");
  assert.equal(outline(grouped(nested(), [5, 6], own)), "0 Group 1(3 Group 4(Own(5 6))) 9", "inside what is around all of them");
  assert.equal(outline(grouped(nested(), [3, 6], own)), "0 Group 1(Group 4(5) Own(3 6)) 9");
  assert.equal(outline(grouped(nested(), [5, 0], own)), "Group 1(3 Group 4(6)) Own(0 5) 9");
  assert.deepEqual(grouped(nested(), [], own), nested());
});

test("what was in a group looks as before without it", () => {
  const [background, ...others] = nested();
  const faded = [background, ...others.map((one) => ({
    ...one, opacity: 0.5, groups: one.groups.map((own) => (own.key === 1 ? { ...own, opacity: 0.5, visible: false } : own)),
  }))];
  const after = ungrouped(faded, [1]);
  assert.equal(outline(after), "0 3 Group 4(5 6) 9");
  assert.deepEqual(after.map(({ opacity, visible }) => [opacity, visible]), [[1, true], [0.25, false], [0.25, false], [0.25, false], [0.5, true]]);
});

test("several are selected, changed and moved as one step", () => {
  open(nested());
  selected.value = 9;
  assert.deepEqual(picked.value, [9]);
  pickAlso(0);
  assert.deepEqual([picked.value, selected.value], [[9, 0], 0]);
  selected.value = 9;
  assert.deepEqual(picked.value, [9, 0], "one of them is looked at");
  editAll(picked.value, { opacity: 0.5, blend: "multiply" });
  moveAll(picked.value, 3, 4);
  assert.deepEqual([0, 9].map((key) => [layerOf(key).x, layerOf(key).opacity, layerOf(key).blend]), [[3, 0.5, "multiply"], [3, 0.5, "multiply"]]);
  undo();
  undo();
  assert.deepEqual(layersNow(), nested());
  pickAlso(9);
  assert.deepEqual([picked.value, selected.value], [[0], 0]);
  selected.value = 3;
  assert.deepEqual(picked.value, [3]);
  selected.value = null;
  assert.deepEqual(picked.value, []);
});

test("delete, duplicate, group and ungroup do what is selected and can be undone", () => {
  open(nested().map((one) => (one.key === 0 ? { ...one, locked: true } : one)));
  const before = layersNow();
  for (const act of [removePicked, duplicatePicked, groupPicked, ungroupPicked]) act();
  assert.equal(layersNow(), before, "nothing is selected");
  pick([0]);
  removePicked();
  assert.equal(layersNow(), before, "what is locked stays");
  pick([9, 4]);
  removePicked();
  assert.deepEqual([keysOf(layersNow()), picked.value], [[0, 3], []]);
  undo();
  pickAll();
  assert.deepEqual(picked.value, [1, 9]);
  groupPicked();
  assert.equal(outline(layersNow()), "0 Group(Group 1(3 Group 4(5 6)) 9)");
  ungroupPicked();
  assert.deepEqual([outline(layersNow()), picked.value], ["0 Group 1(3 Group 4(5 6)) 9", [1, 9]]);
  duplicatePicked();
  assert.equal(layersNow().length, 9);
  assert.equal(picked.value.length, 2);
  assert.ok(!picked.value.includes(1));
});
