// Makes page.html of src/: one file without any other. build.js --check says whether it is what src/ makes.
import * as fs from "node:fs";
import * as path from "node:path";
import { build } from "esbuild";

const folder = import.meta.dirname;
const at = (...names) => path.join(folder, ...names);
const licence = fs.readFileSync(at("node_modules/d3-hierarchy/LICENSE"), "utf8").trim();

const made = await build({
  entryPoints: [at("src/main.ts")],
  bundle: true,
  write: false,
  minify: true,
  charset: "ascii",
  format: "iife",
  target: "es2022",
  legalComments: "none",
});
const style = fs.readFileSync(at("src/style.css"), "utf8").trim();
const script = made.outputFiles[0].text.trim().replaceAll("</script", "<\\/script");
const page = `<!doctype html>
<!-- Written by flatpoint report; its script holds d3-hierarchy under this licence:
${licence}
-->
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:">
<link rel="icon" href="data:,">
<title>flatpoint</title>
<style>
${style}
</style>
</head>
<body>
<h1>flatpoint report</h1>
<main><noscript>This page needs JavaScript; it loads nothing from anywhere.</noscript></main>
<script type="application/json" id="data"><!--data--></script>
<script>
${script}
</script>
</body>
</html>
`;

if (process.argv[2] !== "--check") {
  fs.writeFileSync(at("page.html"), page);
} else if (fs.readFileSync(at("page.html"), "utf8") !== page) {
  console.error("tools/report/page.html is not what its sources make: npm run build");
  process.exitCode = 1;
}
