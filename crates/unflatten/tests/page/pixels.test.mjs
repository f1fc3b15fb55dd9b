import assert from "node:assert/strict";
import { test } from "node:test";

import { resize } from "../../../../frontend/js/pixels/resize.js";
import { turn, turnedBox } from "../../../../frontend/js/pixels/turn.js";
import { make } from "../../../../frontend/js/pixels/worker.js";

/** A picture from what each pixel is. */
function picture(width, height, pixel) {
  const data = new Uint8ClampedArray(4 * width * height);
  for (let y = 0; y < height; y += 1) for (let x = 0; x < width; x += 1) data.set(pixel(x, y), 4 * (y * width + x));
  return { width, height, data };
}

const at = ({ data, width }, x, y) => [...data.subarray(4 * (y * width + x), 4 * (y * width + x) + 4)];
const sample = picture(7, 4, (x, y) => [x * 30, y * 60, 90, x === 0 ? 80 : 255]);

test("quarter turns move pixels and change none", () => {
  assert.deepEqual(turnedBox(sample, 90), { x: 1, y: -2, width: 4, height: 7 });
  const once = turn(sample, 90);
  assert.deepEqual(at(once, 3, 0), at(sample, 0, 0));
  assert.deepEqual(at(once, 0, 6), at(sample, 6, 3));
  assert.deepEqual(turn(once, -90), sample);
  assert.deepEqual(turn(turn(sample, 180), -180), sample);
  assert.deepEqual(turn(sample, 360), sample);
});

test("other turns cover the same area and bleed no colour", () => {
  const framed = picture(44, 24, (x, y) => (x >= 2 && x < 42 && y >= 2 && y < 22 ? [255, 0, 0, 255] : [0, 255, 0, 0]));
  const { data, width, height } = turn(framed, 30);
  assert.deepEqual([width, height], [52, 44]);
  let area = 0;
  for (let n = 0; n < data.length; n += 4) {
    area += data[n + 3] / 255;
    if (data[n + 3] > 0) assert.deepEqual([...data.subarray(n, n + 3)], [255, 0, 0]);
  }
  assert.ok(Math.abs(area - 800) < 6, `${area}`);
});

test("flat colours stay, and a transparent neighbour does not bleed", () => {
  const half = picture(64, 64, (x) => (x < 32 ? [255, 0, 0, 255] : [0, 255, 0, 0]));
  for (const size of [{ width: 33, height: 47 }, { width: 150, height: 150 }]) {
    const { data } = resize(half, size);
    assert.equal(data.length, 4 * size.width * size.height);
    for (let n = 0; n < data.length; n += 4) assert.ok(data[n + 1] === 0 && (data[n + 3] < 3 || data[n] >= 254));
  }
  const faint = resize(picture(16, 16, () => [200, 100, 50, 3]), { width: 8, height: 8 });
  assert.deepEqual(at(faint, 4, 4), [200, 100, 50, 3]);
});

test("an order is scaled, then turned", () => {
  const made = make({ id: 1, picture: sample, size: { width: 14, height: 4 }, turn: 90 });
  assert.deepEqual([made.width, made.height], [4, 14]);
  assert.equal(make({ id: 2, picture: sample, size: sample, turn: 0 }), sample);
});
