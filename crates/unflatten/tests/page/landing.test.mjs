import assert from "node:assert/strict";
import { test } from "node:test";

import { landed, landings } from "../../../../frontend/js/editor/landing.js";
import { rows } from "../../../../frontend/js/editor/tree.js";
import { group, keysOf, layer, named, nested, outline } from "./layers.mjs";

const NONE = new Set();

/** What comes of dropping a row in each of the gaps where it may go. */
function outcomes(layers, key, folded = NONE) {
  return Object.fromEntries([...landings(layers, folded, key)].map(([gap, landing]) => [gap, landed(layers, key, landing)]));
}

/** The same as outlines. */
const outlines = (layers, key, folded) => Object.fromEntries(Object.entries(outcomes(layers, key, folded)).map(([gap, after]) => [gap, outline(after)]));

test("a layer goes between its siblings, and a group is passed as a whole", () => {
  // Rows: 9, group 1, group 4, 6, 5, 3, 0.
  assert.deepEqual(rows(nested()).map(({ key }) => key), [9, 1, 4, 6, 5, 3, 0]);
  const moved = outcomes(nested(), 9);
  assert.deepEqual(Object.keys(moved), ["6", "7"], "not into the group, and not where it is");
  assert.deepEqual(keysOf(moved[6]), [0, 9, 3, 5, 6]);
  assert.deepEqual(keysOf(moved[7]), [9, 0, 3, 5, 6]);
  assert.deepEqual(keysOf(outcomes(nested(), 1)[7]), [3, 5, 6, 0, 9], "a group goes with all that is in it");
});

test("a part of a layer that was split stays in its group", () => {
  const moved = outcomes(nested(), 5);
  assert.deepEqual(Object.keys(moved), ["3"]);
  assert.deepEqual(keysOf(moved[3]), [0, 3, 6, 5, 9]);
  assert.deepEqual(Object.keys(outcomes(nested(), 3)), ["2"]);
  assert.deepEqual(keysOf(outcomes(nested(), 3)[2]), [0, 5, 6, 3, 9]);
});

test("gaps are counted in the rows that are shown", () => {
  const moved = outcomes(nested(), 9, new Set([1]));
  assert.deepEqual(Object.keys(moved), ["2", "3"], "the group is one row");
  assert.deepEqual(keysOf(moved[2]), [0, 9, 3, 5, 6]);
});

test("a layer may leave a group that the service made, and comes to lie outside it", () => {
  const [things, words] = [named(101, "objects"), named(103, "text")];
  const layers = [layer(0), ...[1, 2].map((key) => layer(key, { groups: [things] })), ...[3, 4].map((key) => layer(key, { groups: [words] }))];
  // Rows: Text, 4, 3, Objects, 2, 1, 0.
  assert.deepEqual(outlines(layers, 3), {
    0: "0 Objects(1 2) Text(4) 3",
    1: "0 Objects(1 2) Text(4 3)",
    3: "0 Objects(1 2) 3 Text(4)",
    6: "0 3 Objects(1 2) Text(4)",
    7: "3 0 Objects(1 2) Text(4)",
  });
  const objects = layers[1].groups[0].key;
  assert.deepEqual(outlines(layers, objects), { 0: "0 Text(3 4) Objects(1 2)", 7: "Objects(1 2) 0 Text(3 4)" });
  const split = [layer(0), layer(1, { groups: [things] }), ...[7, 8].map((key) => layer(key, { groups: [things, group(2)] }))];
  assert.ok(Object.values(outlines(split, 2)).includes("Group 2(7 8) 0 Objects(1)"), "all parts may leave together");
  assert.ok(!Object.values(outlines(split, 7)).some((one) => !one.includes("Group 2(")), "but none alone");
});

test("nothing lands where nothing is", () => {
  assert.equal(landings([], NONE, 1).size, 0);
  assert.equal(landings([layer(0)], NONE, 0).size, 0);
});
