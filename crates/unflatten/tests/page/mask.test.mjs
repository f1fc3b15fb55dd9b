// Outlines of masks.
import assert from "node:assert/strict";
import { test } from "node:test";

import { combined, outlineOf, trimmed } from "../../../../frontend/js/tools/mask.js";
import { alike } from "../../../../frontend/js/tools/wand.js";

/** A mask of rows such as ".#"; it lies at (10, 20). */
function mask(...rows) {
  const data = Uint8Array.from(rows.join(""), (sign) => (sign === "#" ? 200 : 60));
  return { x: 10, y: 20, width: rows[0].length, height: rows.length, data };
}

/** The corners of each loop of a path. */
const corners = (path) => path.split("M").slice(1).map((loop) => loop.replace("Z", "").split(/[L ]/).map(Number));

test("an outline runs along the edges of pixels", () => {
  assert.equal(outlineOf(mask("...", "...")), "");
  assert.deepEqual(corners(outlineOf(mask("...", ".#.", "...")))[0].length, 8, "four corners");
  assert.equal(outlineOf(mask("#")), "M10 20L11 20 11 21 10 21Z");
  const [outer, inner] = corners(outlineOf(mask("###", "#.#", "###")));
  assert.ok(outer && inner, "a hole has an outline too");
  // Two pixels that touch at a corner.
  assert.ok(corners(outlineOf(mask("#.", ".#"))).length >= 1);
});

test("a long straight edge has two corners, and a slope few", () => {
  const rows = Array.from({ length: 60 }, () => "#".repeat(200));
  assert.ok(corners(outlineOf(mask(...rows)))[0].length <= 12);
  const slope = Array.from({ length: 100 }, (_, y) => "#".repeat(y + 1).padEnd(100, "."));
  const [loop] = corners(outlineOf(mask(...slope)));
  assert.ok(loop.length <= 24, `${loop.length / 2} corners`);
});

test("all of what belongs to a mask is within its outline", () => {
  // The area by the shoelace formula: holes count the other way round.
  const area = (loop) => {
    const points = loop.flatMap((value, at) => (at % 2 === 0 ? [[value, loop[at + 1]]] : []));
    return points.reduce((sum, [x, y], at) => {
      const [u, v] = points[(at + 1) % points.length];
      return sum + (x * v - u * y) / 2;
    }, 0);
  };
  let seed = 7;
  const random = () => (seed = (seed * 1103515245 + 12345) % 2 ** 31) / 2 ** 31;
  for (let round = 0; round < 30; round += 1) {
    const [width, height] = [4, 5];
    const rows = Array.from({ length: height }, () => Array.from({ length: width }, () => (random() < 0.5 ? "#" : ".")).join(""));
    const count = rows.join("").split("#").length - 1;
    const found = corners(outlineOf(mask(...rows))).reduce((sum, loop) => sum + area(loop), 0);
    // A line may leave the edges by less than a pixel.
    assert.ok(Math.abs(found - count) <= count * 0.4 + 2, `${rows.join(" ")}: ${found} instead of ${count}`);
  }
});

/** A mask as rows, with where it lies. */
const shown = (found) => found && [found.x, found.y, Array.from({ length: found.height }, (_, y) =>
  Array.from({ length: found.width }, (_, x) => (found.data[y * found.width + x] >= 128 ? "#" : ".")).join("")).join("/")];

test("masks are added, taken away, and trimmed", () => {
  const [one, other] = [mask("##", "##"), { ...mask("##", "##"), x: 11, y: 21 }];
  assert.deepEqual(shown(combined(one, other, { adds: true, takes: false })), [10, 20, "##./###/.##"]);
  assert.deepEqual(shown(combined(one, other, { adds: false, takes: true })), [10, 20, "##/#."]);
  assert.deepEqual(shown(combined(one, other, { adds: false, takes: false })), [11, 21, "##/##"]);
  assert.equal(combined(one, one, { adds: false, takes: true }), null);
  assert.equal(combined(null, one, { adds: false, takes: true }), null);
  assert.deepEqual(shown(combined(null, one, { adds: true, takes: false })), [10, 20, "##/##"]);
  assert.deepEqual(shown(trimmed(mask("....", "..#.", "....", ".#.."))), [11, 21, ".#/../#."]);
  assert.equal(trimmed(mask("..", "..")), null);
});

test("the wand finds pixels of a colour, those that hang together or all", () => {
  // A spiral, and a spot of the same colour beside it.
  const rows = ["#######", "......#", "#####.#", "#...#.#", "#.###.#", "#.....#", "#######", ".......", "..#...."];
  const data = Uint8ClampedArray.from([...rows.join("")].flatMap((sign) => (sign === "#" ? [200, 10, 10, 255] : [10, 10, 200, 255])));
  const image = { data, width: 7, height: 9 };
  const as = (found) => [...found].map((value) => (value ? "#" : ".")).join("").match(/.{7}/g);
  assert.deepEqual(as(alike(image, 0, 20, true)), [...rows.slice(0, 8), "......."]);
  assert.deepEqual(as(alike(image, 0, 20, false)), rows);
  assert.deepEqual(as(alike(image, 0, 255, true)), Array(9).fill("#######"));
  assert.equal(as(alike(image, 8 * 7 + 2, 20, true)).join("").split("#").length - 1, 1);
});
