import assert from "node:assert/strict";
import { test } from "node:test";

import { html } from "../../../../frontend/js/lib/html.js";
import { icon } from "../../../../frontend/js/lib/icons.js";

test("text is escaped", () => {
  assert.equal(html`<p>${`<script>alert("1" & '2')</script>`}</p>`.source, "<p>&lt;script&gt;alert(&quot;1&quot; &amp; &#39;2&#39;)&lt;/script&gt;</p>");
});

test("no value gets out of an attribute", () => {
  assert.equal(html`<b title="${'" onclick="steal()'}"></b>`.source, '<b title="&quot; onclick=&quot;steal()"></b>');
});

test("markup inside markup passes once, arrays of it too", () => {
  const names = ["a", "<b>"];
  assert.equal(html`<ul>${names.map((name) => html`<li>${name}</li>`)}</ul>`.source, "<ul><li>a</li><li>&lt;b&gt;</li></ul>");
  assert.equal(html`${["<", ">"]}`.source, "&lt;&gt;", "strings in an array are text");
  assert.equal(html`${[]}`.source, "");
});

test("what looks like markup is none", () => {
  assert.equal(html`${{ source: "<img>", toString: () => "<i>" }}`.source, "&lt;i&gt;");
  assert.equal(html`${"&lt;"}`.source, "&amp;lt;", "escaped text is text");
});

test("nothing is shown for what is absent, but zero is shown", () => {
  assert.equal(html`[${null}${undefined}${false}${""}]`.source, "[]");
  assert.equal(html`[${0}]`.source, "[0]");
});

test("Korean, emoji and backslashes stay as they are", () => {
  assert.equal(html`<p>${"여름 세일 50% 🎉 \\n"}</p>`.source, "<p>여름 세일 50% 🎉 \\n</p>");
});

test("an icon says nothing to screen readers", () => {
  assert.match(icon("close").source, /aria-hidden="true"/);
  assert.throws(() => icon("no such icon"));
});
