// Bytes by module. Marks are as many as can be told apart: the smallest parts of a module are one.
import { hierarchy, treemap } from "d3-hierarchy";
import type { Checkpoint, Entry } from "./data.js";
import { choice, colour, html, human, ink, pressable, short, svg } from "./dom.js";
import { ownerName } from "./places.js";

const WIDTH = 1000;
const HEIGHT = 480;
const MOST_PARTS = 150; // of one module
const MOST_MARKS = 900;
const MOST_DEPTH = 5;

/** Grey is left for what many own. */
const ownerColour = (file: number): string => colour(file % 7);

interface Part {
  label: string;
  /** All entries of the part; the module that it is begins with `prefix`. */
  entries: Entry[];
  prefix: string;
  bytes: number;
  isEntry: boolean;
  parts: Part[];
}

/** A module with one part is shown together with that. */
function lengthen(part: Part, prefix: string): void {
  const [first, last] = [part.entries[0].name, part.entries[part.entries.length - 1].name];
  let shared = 0;
  while (shared < first.length && first[shared] === last[shared]) shared++;
  const common = first.slice(0, first.lastIndexOf(".", shared - 1) + 1);
  if (common.length <= part.prefix.length || !part.entries.every(({ name }) => name.startsWith(common))) return;
  part.prefix = common;
  part.label = common.slice(prefix.length, -1);
}

/** The parts of a module, the largest first; beyond `most` they are one. */
export function partsOf(entries: Entry[], prefix: string, most: number): Part[] {
  const parts = new Map<string, Part>();
  for (const entry of entries) {
    const dot = entry.name.indexOf(".", prefix.length);
    const isEntry = dot < 0 || entry.name.length === prefix.length;
    const key = isEntry ? `e${entry.name}` : `m${entry.name.slice(prefix.length, dot)}`;
    let part = parts.get(key);
    if (!part) {
      const end = isEntry ? entry.name.length : dot + 1;
      const label = entry.name.slice(prefix.length, isEntry ? end : dot);
      part = { label, entries: [], prefix: entry.name.slice(0, end), bytes: 0, isEntry, parts: [] };
      parts.set(key, part);
    }
    part.entries.push(entry);
    part.bytes += entry.bytes;
  }
  for (const part of parts.values()) if (!part.isEntry) lengthen(part, prefix);
  const sorted = [...parts.values()].sort((a, b) => b.bytes - a.bytes);
  if (sorted.length <= most) return sorted;
  const rest = sorted.splice(most - 1);
  const entriesOfRest = rest.flatMap((part) => part.entries);
  const bytes = rest.reduce((sum, part) => sum + part.bytes, 0);
  sorted.push({ label: `${rest.length} more`, entries: entriesOfRest, prefix, bytes, isEntry: false, parts: [] });
  return sorted;
}

/** Shows what is inside the largest modules first, as deep as there is room. */
function unfold(root: Part): void {
  let waiting = [{ part: root, depth: 0 }];
  for (let marks = 0; waiting.length > 0; ) {
    const next = waiting.reduce((a, b) => (b.part.bytes > a.part.bytes ? b : a));
    waiting = waiting.filter((each) => each !== next);
    const parts = partsOf(next.part.entries, next.part.prefix, next.depth === 0 ? MOST_PARTS : Math.min(MOST_PARTS, 40));
    if (marks + parts.length > MOST_MARKS) return;
    marks += parts.length;
    next.part.parts = parts;
    if (next.depth + 1 === MOST_DEPTH) continue;
    for (const part of parts) if (!part.isEntry && part.prefix !== next.part.prefix) waiting.push({ part, depth: next.depth + 1 });
  }
}

export class Treemap {
  readonly element = html("section", { "aria-label": "Bytes by module" });
  private prefix = "";
  private by = 0;
  private found: Set<Entry> | undefined;

  constructor(
    private readonly checkpoint: Checkpoint,
    private readonly open: (entry: Entry) => void,
  ) {
    this.draw();
  }

  /** Shows a module: everything that begins with `prefix`. */
  zoom(prefix: string): void {
    this.prefix = prefix;
    this.draw();
    this.element.querySelector<HTMLElement>("nav [aria-current]")?.focus();
  }

  mark(found: Set<Entry> | undefined): void {
    this.found = found;
    this.draw();
  }

  private colourOf(part: Part): string {
    const largest = part.entries.reduce((a, b) => (b.bytes > a.bytes ? b : a));
    if (this.by === 0) return colour(largest.shape ? largest.shape.dtype : 7);
    const { itemFile } = this.checkpoint;
    const owner = itemFile[largest.begin];
    const end = largest.begin + largest.count;
    return largest.count > 0 && itemFile.subarray(largest.begin, end).every((file) => file === owner) ? ownerColour(owner) : colour(7);
  }

  private describe(part: Part): string {
    const [first] = part.entries;
    const what = part.isEntry ? "" : `, ${part.entries.length} FQNs`;
    const detail = !part.isEntry
      ? ""
      : this.by === 0
        ? `, ${first.shape ? this.checkpoint.dtypes[first.shape.dtype] : "no tensor"}`
        : `, ${ownerName(this.checkpoint, first)}`;
    return `${short(part.label)}: ${human(part.bytes)}${what}${detail}`;
  }

  private draw(): void {
    const { all, dtypes } = this.checkpoint;
    const inside = this.prefix === "" ? all : all.filter((entry) => entry.name.startsWith(this.prefix));
    const root: Part = { label: "", entries: inside, prefix: this.prefix, bytes: 0, isEntry: false, parts: [] };
    unfold(root);
    const nothing = inside.every((entry) => entry.bytes === 0); // then all are equal
    const laid = treemap<Part>().size([WIDTH, HEIGHT]).paddingTop((node) => (node.depth > 0 && node.children ? 18 : 0)).paddingInner(1).round(true)(
      hierarchy(root, (part) => part.parts).sum((part) => (part.parts.length > 0 ? 0 : nothing ? 1 : part.bytes)),
    );
    const picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "treemap", role: "group", "aria-label": "Treemap of bytes" });
    for (const node of laid.descendants().slice(1)) {
      const [width, height] = [node.x1 - node.x0, node.y1 - node.y0];
      if (!(width >= 1 && height >= 1)) continue;
      picture.append(this.mark1(node.data, node.x0, node.y0, width, height));
    }
    const legend = this.by === 0 ? dtypes.map((name, i) => [name, colour(i)]) : [...this.checkpoint.files.slice(0, 7).map((name, i) => [name, ownerColour(i)]), ["several files, or none", colour(7)]];
    this.element.replaceChildren(
      html("h2", {}, "Bytes by module"),
      this.way(),
      choice("Colour", ["dtype", "owner (file)"], this.by, (number) => {
        this.by = number;
        this.draw();
      }),
      html("p", { class: "legend" }, ...legend.map(([name, fill]) => html("span", {}, html("i", { style: `background:${fill}` }), short(name, 40)))),
      picture,
    );
  }

  private mark1(part: Part, x: number, y: number, width: number, height: number): SVGElement {
    const fill = this.colourOf(part);
    const text = this.describe(part);
    const lost = this.found && !part.entries.some((entry) => this.found!.has(entry));
    const group = svg("g", { class: lost ? "part lost" : "part", "aria-label": text, transform: `translate(${x},${y})` });
    group.append(svg("rect", { width, height, fill }), svg("title", {}, text));
    if (width > 40 && height > 14) {
      const letters = Math.floor(width / 7);
      const label = part.label.length > letters ? `${part.label.slice(0, letters - 1)}…` : part.label;
      group.append(svg("text", { x: 4, y: 13, fill: ink(fill) }, label));
    }
    pressable(group, () => (part.isEntry ? this.open(part.entries[0]) : this.zoom(part.prefix)));
    return group;
  }

  /** The modules around the one that is shown. A hostile name has 70 000 of them: the last few do. */
  private way(): HTMLElement {
    const nav = html("nav", { "aria-label": "Modules around" });
    const step = (label: string, prefix: string, isLast: boolean): void => {
      const button = html("button", isLast ? { "aria-current": "true" } : {}, short(label, 40));
      button.addEventListener("click", () => this.zoom(prefix));
      nav.append(button);
    };
    step("all", "", this.prefix === "");
    const dots: number[] = [];
    for (let dot = this.prefix.length - 1; dot >= 0 && dots.length < 12; dot = this.prefix.lastIndexOf(".", dot - 1)) {
      dots.unshift(dot);
      if (dot === 0) break;
    }
    for (const dot of dots) {
      const before = dot === 0 ? -1 : this.prefix.lastIndexOf(".", dot - 1);
      step(this.prefix.slice(before + 1, dot), this.prefix.slice(0, dot + 1), dot === this.prefix.length - 1);
    }
    return nav;
  }
}
