// Makes docs/report.png, the picture in README.md: picture.js FLATPOINT, the tool.
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const root = path.resolve(import.meta.dirname, "../..");
const folder = fs.mkdtempSync(path.join(os.tmpdir(), "picture-"));
const file = path.join(folder, "report.html");
execFileSync(process.argv[2], ["report", "tests/samples/synthetic_w64_1000/.metadata", "-o", file], { cwd: root });
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
const page = await browser.newPage({ viewport: { width: 900, height: 900 } });
await page.goto(pathToFileURL(file).href);
await page.waitForSelector("html[data-ready]");
await page.screenshot({ path: path.join(root, "docs/report.png"), clip: await around(["h1", ".treemap"]), fullPage: true });
await browser.close();
fs.rmSync(folder, { recursive: true });

/** From the first of these elements to the last. */
async function around(selectors) {
  const boxes = await Promise.all(selectors.map((selector) => page.locator(selector).boundingBox()));
  return { x: 0, y: Math.max(boxes[0].y - 10, 0), width: 900, height: boxes[1].y + boxes[1].height - boxes[0].y + 20 };
}
