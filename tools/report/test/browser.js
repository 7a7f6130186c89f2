// What the tests of the page share: the tool, a folder of their own, and a Chromium that is watched.
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const root = path.resolve(import.meta.dirname, "../../..");
const tool = process.env.FLATPOINT_TOOL ?? path.join(root, "build-dev/bin/flatpoint");

export const sample = (name) => path.join(root, "tests/samples", name);
export const pictures = path.join(root, ".cache/report");

export function scratch() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "flatpoint-report-"));
  process.on("exit", () => fs.rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export function flatpoint(...words) {
  return execFileSync(tool, words, { encoding: "utf8", maxBuffer: 1 << 28, stdio: ["ignore", "pipe", "ignore"] });
}

/** Like `flatpoint`, for a verb that may say no. */
export function answer(...words) {
  try {
    return flatpoint(...words);
  } catch (error) {
    if (error.status !== 1) throw error;
    return error.stdout;
  }
}

/** A `.metadata` that tests/tool/odd_names.py writes: `call` is the arguments of metadata_with. */
export function metadata(file, call) {
  const script = `import sys, odd_names\nopen(sys.argv[1], "wb").write(odd_names.metadata_with(${call}))`;
  execFileSync("python3", ["-B", "-", file], { input: script, env: { ...process.env, PYTHONPATH: path.join(root, "tests/tool") } });
  return file;
}

/** Opens pages from disk. Whatever a page complains about or asks a network for is kept. */
export async function browse(options = {}) {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
  const context = await browser.newContext(options);
  const complaints = [];
  const open = async (file) => {
    const page = await context.newPage();
    page.on("console", (message) => ["error", "warning"].includes(message.type()) && complaints.push(message.text()));
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("dialog", (dialog) => complaints.push(`dialog: ${dialog.message()}`) && dialog.dismiss());
    const address = pathToFileURL(file).href;
    page.on("request", (request) => !request.url().startsWith("data:") && request.url() !== address && complaints.push(`request: ${request.url()}`));
    await page.goto(address);
    await page.waitForSelector("html[data-ready]", { timeout: 60_000 });
    return page;
  };
  return { open, complaints, close: () => browser.close() };
}
