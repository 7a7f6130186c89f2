// The page: overview, search, treemap, one tensor, files.
import { type Checkpoint, type Entry, readCheckpoint } from "./data.js";
import { grouped, html, human, short, table } from "./dom.js";
import { filesMap } from "./places.js";
import { TensorView } from "./tensor.js";
import { Treemap } from "./treemap.js";

const MOST_FOUND = 100;
const MOST_FINDINGS = 200;

function overview(checkpoint: Checkpoint, open: (entry: Entry) => void): HTMLElement {
  const { findings, problems, notTiled, suppressed, placesLeftOut } = checkpoint;
  const section = html("section", { "aria-label": "Overview" }, html("h2", {}, "Findings"));
  const rows: (Node | string)[][] = findings.map((finding) => [html("span", { class: finding.broken ? "problem" : "" }, finding.kind), short(finding.message, 400)]);
  for (const problem of problems) {
    const entry = checkpoint.all[problem.entry];
    const button = html("button", {}, short(entry.name, 60));
    button.addEventListener("click", () => open(entry));
    rows.push([html("span", { class: "problem" }, "coverage"), html("span", {}, button, ` ${problem.message}`)]);
  }
  if (rows.length === 0) section.append(html("p", {}, "None: every rule of the format holds, and the chunks of every tensor tile it. Data files were not looked at."));
  else section.append(table(["finding", "what"], rows.slice(0, MOST_FINDINGS)));
  const notShown = suppressed + Math.max(rows.length - MOST_FINDINGS, 0);
  if (notTiled > 0) section.append(html("p", { class: "problem" }, `${grouped(notTiled)} tensors are not tiled by their chunks.`));
  if (notShown > 0) section.append(html("p", {}, `… and ${grouped(notShown)} more of these; flatpoint verify --coverage tells more.`));
  if (placesLeftOut > 0) section.append(html("p", {}, `The places of ${grouped(placesLeftOut)} chunks are left out to keep this page small.`));
  section.append(html("h2", {}, "Overview"), facts(checkpoint), dtypes(checkpoint));
  return section;
}

function facts(checkpoint: Checkpoint): HTMLElement {
  const list = html("dl");
  const tensors = checkpoint.all.filter((entry) => entry.shape).length;
  const say = (label: string, text: string): void => list.append(html("dt", {}, label), html("dd", {}, text));
  say("file", `${short(checkpoint.path)} (${checkpoint.origin})`);
  say("FQNs", `${grouped(checkpoint.entries)}, ${grouped(tensors)} of them tensors`);
  say("chunks", grouped(checkpoint.chunks));
  say("bytes", `${grouped(checkpoint.bytes)} (${human(checkpoint.bytes)})`);
  say("data files", grouped(checkpoint.files.length));
  say("version", checkpoint.version);
  return list;
}

function dtypes(checkpoint: Checkpoint): HTMLElement {
  const sums = checkpoint.dtypes.map((name) => ({ name, tensors: 0, bytes: 0 }));
  for (const { shape, bytes } of checkpoint.all) {
    if (!shape) continue;
    sums[shape.dtype].tensors++;
    sums[shape.dtype].bytes += bytes;
  }
  sums.sort((a, b) => b.bytes - a.bytes);
  return table(["dtype", "tensors", "bytes"], sums.map(({ name, tensors, bytes }) => [name, grouped(tensors), human(bytes)]));
}

function search(checkpoint: Checkpoint, map: Treemap, open: (entry: Entry) => void): HTMLElement {
  const input = html("input", { type: "search", placeholder: "part of a name", "aria-label": "Search by name", spellcheck: "false" });
  const said = html("p", { "aria-live": "polite" });
  const list = html("ul", { class: "found" });
  let waiting = 0;
  const look = (): void => {
    const found = input.value === "" ? [] : checkpoint.all.filter((entry) => entry.name.includes(input.value));
    map.mark(input.value === "" ? undefined : new Set(found));
    said.textContent = input.value === "" ? "" : `${grouped(found.length)} FQNs${found.length > MOST_FOUND ? `, the first ${MOST_FOUND}` : ""}`;
    list.replaceChildren(
      ...found.slice(0, MOST_FOUND).map((entry) => {
        const button = html("button", {}, short(entry.name));
        button.addEventListener("click", () => open(entry));
        return html("li", {}, button, ` ${human(entry.bytes)}`);
      }),
    );
  };
  input.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(look, 120);
  });
  return html("section", { "aria-label": "Search", role: "search" }, html("h2", {}, "Search"), input, said, list);
}

function show(): void {
  const begin = performance.now();
  const checkpoint = readCheckpoint(document.getElementById("data")!.textContent!);
  const main = document.querySelector("main")!;
  const place = html("div", { id: "shown" });
  const open = (entry: Entry): void => {
    const view = new TensorView(checkpoint, entry, checkpoint.all.indexOf(entry));
    place.replaceChildren(view.element);
    view.element.scrollIntoView({ block: "start" });
    view.element.querySelector("h2")?.focus();
  };
  const map = new Treemap(checkpoint, open);
  main.replaceChildren(overview(checkpoint, open), search(checkpoint, map, open), map.element, place, filesMap(checkpoint));
  document.title = `${short(checkpoint.path, 80)} - flatpoint`;
  document.documentElement.dataset.ready = String(Math.round(performance.now() - begin));
}

show();
