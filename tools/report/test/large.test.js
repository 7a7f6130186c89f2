// A million chunks of a hundred thousand tensors: the page stays small, and is there at once.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { browse, flatpoint, metadata, scratch } from "./browser.js";

test("a million chunks", { timeout: 600_000 }, async () => {
  const folder = scratch();
  const names = '[f"model.layers.{i // 9}.mlp.experts.{i % 9}.weight" for i in range(100_000)], chunks=10';
  const source = metadata(path.join(folder, "large"), names);
  const file = path.join(folder, "large.html");
  const begin = performance.now();
  flatpoint("report", source, "-o", file);
  const wrote = performance.now() - begin;
  const { size } = fs.statSync(file);
  const browser = await browse();
  const page = await browser.open(file);
  const paint = await page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0]?.startTime);
  const ready = await page.evaluate(() => Number(document.documentElement.dataset.ready));
  const looked = performance.now();
  await page.getByRole("searchbox").fill("layers.777.");
  await page.waitForFunction(() => document.querySelectorAll(".found li").length === 9);
  const found = performance.now() - looked;
  const marks = await page.locator("svg *").count();
  console.log(`wrote ${(size / 1e6).toFixed(2)} MB in ${Math.round(wrote)} ms; script ${ready} ms, first paint ${Math.round(paint)} ms, search ${Math.round(found)} ms, ${marks} elements drawn`);
  assert.ok(size < 5_000_000, `${size} bytes`);
  assert.ok(marks < 10_000);
  assert.match(await page.locator("dl").innerText(), /chunks\s+1,000,000/);
  assert.deepEqual(browser.complaints, []);
  await browser.close();
});
