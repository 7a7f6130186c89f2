// The page of `flatpoint report` in headless Chromium.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { after, before, test } from "node:test";
import { answer, browse, flatpoint, metadata, pictures, sample, scratch } from "./browser.js";

const folder = scratch();
let browser;
let written = 0;

before(async () => {
  browser = await browse();
  fs.mkdirSync(pictures, { recursive: true });
});
after(() => browser?.close());

async function report(checkpoint) {
  const file = path.join(folder, `report${written++}.html`);
  flatpoint("report", checkpoint, "-o", file);
  return browser.open(file);
}

async function search(page, text) {
  await page.getByRole("searchbox").fill(text);
  await page.waitForTimeout(250);
  return page.locator(".found li button");
}

/** Opens the tensor of exactly that name. */
async function open(page, name) {
  const buttons = await search(page, name);
  await buttons.getByText(name, { exact: true }).first().click();
  assert.equal(await page.locator("#tensor h2").innerText(), name);
}

test("what the page says is what the tool says", async () => {
  const page = await report(sample("s07_optimizer_bytes"));
  const { entries } = JSON.parse(flatpoint("ls", sample("s07_optimizer_bytes"), "--json"));
  const facts = await page.locator("dl").innerText();
  assert.match(facts, new RegExp(`FQNs\\s+${entries.length},`));
  const stored = entries.reduce((sum, { stored_bytes }) => sum + stored_bytes, 0);
  assert.ok(facts.includes(`${stored.toLocaleString("en-US")} (`), facts);
  for (const { fqn } of entries) await open(page, fqn);
  assert.deepEqual(browser.complaints, []);
});

test("every chunk lies where `show` has it", async () => {
  for (const name of ["d02_dtensor_2d", "s08_multi_file"]) {
    const page = await report(sample(name));
    for (const { fqn } of JSON.parse(flatpoint("ls", sample(name), "--json")).entries) {
      const { locations } = JSON.parse(flatpoint("find", sample(name), fqn, "--json"));
      await open(page, fqn);
      const places = await page.locator("#tensor tbody tr").evaluateAll((rows) => rows.map((row) => [...row.cells].slice(3).map((cell) => cell.innerText)));
      const expected = locations.map(({ storage: { relative_path: file, byte_offset: offset, length } }) => [file, `${offset.toLocaleString("en-US")} … ${(offset + length).toLocaleString("en-US")}`]);
      assert.deepEqual(places.sort(), expected.sort(), `${name}: ${fqn}`);
    }
  }
  assert.deepEqual(browser.complaints, []);
});

test("the treemap opens modules by pointer and keyboard, and fades what is not looked for", async () => {
  const page = await report(sample("synthetic_w64_1000"));
  const marks = page.locator(".treemap .part");
  assert.ok((await marks.count()) > 10);
  assert.ok((await marks.count()) < 4000);
  assert.ok(await marks.first().getAttribute("aria-label"));
  await marks.first().focus();
  await page.keyboard.press("Enter");
  const around = page.locator("nav button");
  assert.equal(await around.count(), 2);
  const module = await around.last().innerText();
  await page.screenshot({ path: path.join(pictures, "module.png") });
  await around.first().click();
  assert.equal(await around.count(), 1);
  const entry = await (await search(page, `${module}.`)).first().innerText();
  await search(page, entry);
  assert.ok((await page.locator(".part.lost").count()) > 0);
  assert.ok((await page.locator(".part:not(.lost)").count()) > 0);
  await page.getByLabel("Colour").first().selectOption("1");
  await search(page, "");
  assert.equal(await page.locator(".part.lost").count(), 0);
  await page.screenshot({ path: path.join(pictures, "page.png"), fullPage: true });
  assert.deepEqual(browser.complaints, []);
});

test("a hole is drawn where coverage finds it", async () => {
  const file = metadata(path.join(folder, "hole"), '["a.whole", "b.broken"], stored=1, chunks=3');
  const page = await report(file);
  const said = JSON.parse(answer("verify", file, "--coverage", "--json")).findings.filter(({ kind }) => kind === "chunk_hole");
  assert.ok(said.length >= 2);
  const findings = await page.locator("main section").first().innerText();
  assert.match(findings, /2 tensors are not tiled/);
  await page.getByRole("button", { name: "b.broken", exact: true }).first().click();
  const holes = await page.locator(".boxes rect.hole").evaluateAll((rects) => rects.map((rect) => [rect.dataset.offsets, rect.dataset.sizes, rect.getBBox().x, rect.getBBox().width]));
  const texts = await page.locator("#tensor p.problem").allInnerTexts();
  assert.equal(holes.length, said.filter(({ message }) => message.includes("b.broken")).length);
  for (const text of texts) assert.ok(said.some(({ message }) => message.includes("b.broken") && message.includes(text)), text);
  // Three chunks of one element each lie at 0, 2 and 4 of six: what is drawn between them is the holes.
  const chunks = await page.locator(".boxes rect.chunk").evaluateAll((rects) => rects.map((rect) => rect.getBBox().x));
  const unit = chunks[1] / 2;
  for (const [offset, size, x, width] of holes) {
    assert.ok([1, 3, 5].includes(Number(offset)), offset);
    assert.equal(size, "1");
    assert.ok(Math.abs(x - offset * unit) < 0.01 && Math.abs(width - unit) < 0.01);
  }
  await page.screenshot({ path: path.join(pictures, "hole.png"), fullPage: true });
  assert.deepEqual(browser.complaints, []);
});

test("hostile names are text", async () => {
  const names = ["</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<!--<script>", "a\u202eb", "line\nbreak", "\0nul", "__proto__", "constructor.x", "..", "", "€" + "x".repeat(70000), "d.".repeat(35000), '"&amp;'];
  const file = metadata(path.join(folder, "names"), `[${names.map((name) => JSON.stringify(name)).join(", ")}]`);
  const page = await report(file);
  assert.equal(await page.locator("script").count(), 2);
  assert.equal(await page.locator("img").count(), 0);
  for (const name of ["</script><script>alert(1)</script>", "<img src=x", "a\\u202eb", "line\\nbreak", "__proto__", "€xxx", '"&amp;']) {
    const buttons = await search(page, name);
    assert.equal(await buttons.count(), 1, name);
    await buttons.first().click();
    assert.ok((await page.locator("#tensor h2").innerText()).startsWith(name), name);
  }
  await (await search(page, "d.d.d.d.")).first().click();
  assert.equal((await page.locator("#tensor pre").textContent()).length, 70000);
  await page.getByRole("searchbox").fill("");
  await page.waitForTimeout(250);
  await page.locator('.part[aria-label^="d.d.d"]').first().press("Enter");
  assert.equal(await page.locator("nav button").count(), 13);
  await page.locator(".part").first().press("Enter");
  assert.equal((await page.locator("#tensor pre").textContent()).length, 70000);
  assert.ok((await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)) <= 0, "a name makes the page wider");
  assert.deepEqual(browser.complaints, []);
});

test("nothing, and only what is no tensor", async () => {
  const page = await report(sample("s17_empty"));
  assert.match(await page.locator("dl").innerText(), /FQNs\s+0,/);
  assert.deepEqual(browser.complaints, []);
});

test("the page in the dark, and on paper", async () => {
  const page = await report(sample("d02_dtensor_2d"));
  const paper = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await page.emulateMedia({ colorScheme: "dark" });
  assert.equal(await paper(), "rgb(22, 24, 28)");
  await page.screenshot({ path: path.join(pictures, "dark.png"), fullPage: true });
  await page.emulateMedia({ colorScheme: "light", media: "print" });
  assert.equal(await paper(), "rgb(255, 255, 255)");
  assert.equal(await page.getByRole("searchbox").isVisible(), false);
});
