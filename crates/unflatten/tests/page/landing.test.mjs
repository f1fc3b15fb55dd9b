import assert from "node:assert/strict";
import { test } from "node:test";

import { landed, landings, meant } from "../../../../frontend/js/editor/landing.js";
import { rows } from "../../../../frontend/js/editor/tree.js";
import { group, layer, nested, outline } from "./layers.mjs";

const NONE = new Set();

/** What comes of dropping a row in each of the gaps where it may go, as outlines; one of several places is `|`. */
function outlines(layers, key, folded = NONE) {
  const found = [...landings(layers, folded, key)].sort(([a], [b]) => a - b);
  return Object.fromEntries(found.map(([gap, places]) => [gap, places.map((landing) => outline(landed(layers, key, landing))).join(" | ")]));
}

test("a layer goes between any rows, into groups and out of them", () => {
  // Rows: 9, group 1, group 4, 6, 5, 3, 0.
  assert.deepEqual(rows(nested()).map(({ key }) => key), [9, 1, 4, 6, 5, 3, 0]);
  assert.deepEqual(outlines(nested(), 9), {
    2: "0 Group 1(3 Group 4(5 6) 9)",
    3: "0 Group 1(3 Group 4(5 6 9))",
    4: "0 Group 1(3 Group 4(5 9 6))",
    5: "0 Group 1(3 9 Group 4(5 6)) | 0 Group 1(3 Group 4(9 5 6))",
    6: "0 9 Group 1(3 Group 4(5 6)) | 0 Group 1(9 3 Group 4(5 6))",
    7: "9 0 Group 1(3 Group 4(5 6))",
  });
  assert.deepEqual(outlines(nested(), 5)[0], "0 Group 1(3 Group 4(6)) 9 5");
  assert.deepEqual(outlines(nested(), 5)[3], "0 Group 1(3 Group 4(6 5)) 9");
});

test("a group goes with all that is in it, and never into itself", () => {
  assert.deepEqual(outlines(nested(), 1), { 0: "0 9 Group 1(3 Group 4(5 6))", 7: "Group 1(3 Group 4(5 6)) 0 9" });
  assert.deepEqual(outlines(nested(), 4)[0], "0 Group 1(3) 9 Group 4(5 6)");
});

test("a group that the last of its layers leaves is gone", () => {
  const layers = [layer(0), layer(1, { groups: [group(8)] }), layer(2)];
  assert.equal(outlines(layers, 1)[0], "0 2 1");
});

test("gaps are counted in the rows that are shown", () => {
  const places = outlines(nested(), 9, new Set([1]));
  assert.deepEqual(places, { 2: "0 9 Group 1(3 Group 4(5 6))", 3: "9 0 Group 1(3 Group 4(5 6))" });
});

test("where a group ends, what is dragged to the right goes into it", () => {
  const places = landings(nested(), NONE, 9).get(6);
  assert.deepEqual(meant(places, [], false).parent, []);
  assert.deepEqual(meant(places, [], true).parent, [1]);
  assert.deepEqual(meant(places, [1], false).parent, [1], "what is in the group stays in it");
  assert.equal(meant([], [], false), null);
});

test("nothing lands where nothing is", () => {
  assert.equal(landings([], NONE, 1).size, 0);
  assert.equal(landings([layer(0)], NONE, 0).size, 0);
});
