// Serves a folder to a headless browser that opens page.html there, and prints what the page answers: serve.js FOLDER BROWSER
import { spawn } from "node:child_process";
import * as fs from "node:fs";
import * as http from "node:http";
import * as os from "node:os";
import * as path from "node:path";

const [folder, browser] = process.argv.slice(2);
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".json": "application/json" };
const profile = fs.mkdtempSync(path.join(os.tmpdir(), "browser-"));
let running;

function finish(text, status) {
  (status === 0 ? console.log : console.error)(text);
  running?.on("exit", () => fs.rmSync(profile, { recursive: true, force: true })).kill("SIGKILL");
  server.close();
  server.closeAllConnections();
  process.exitCode = status;
}

const server = http.createServer((request, response) => {
  if (request.method === "POST") {
    let text = "";
    request.on("data", (part) => (text += part));
    request.on("end", () => {
      response.end();
      finish(text, 0);
    });
    return;
  }
  const file = path.join(folder, path.normalize(new URL(request.url, "http://localhost").pathname));
  if (!fs.existsSync(file)) return response.writeHead(404).end();
  response.writeHead(200, { "content-type": TYPES[path.extname(file)] ?? "application/octet-stream" });
  fs.createReadStream(file).pipe(response);
});

server.listen(0, "127.0.0.1", () => {
  const page = `http://127.0.0.1:${server.address().port}/page.html`;
  const options = ["--headless", "--no-sandbox", "--disable-gpu", `--user-data-dir=${profile}`, page];
  running = spawn(browser, options, { stdio: "ignore" });
  running.on("error", (error) => finish(String(error), 1));
  setTimeout(() => finish("the page did not answer within two minutes", 1), 120_000).unref();
});
