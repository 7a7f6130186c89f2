// One tensor: its boxes to scale in two of its dimensions, holes and overlaps, and where each chunk lies.
import { type Checkpoint, type Entry, Kind, type Problem, type Shape, Trouble } from "./data.js";
import { choice, colour, grouped, html, human, short, svg, table } from "./dom.js";
import { fileName, rankOf } from "./places.js";

const SIDE = 420;
const MOST_BOXES = 1500;
const CELLS = 48;
const PAGE = 100;

interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}

export class TensorView {
  readonly element = html("section", { "aria-label": "Tensor", id: "tensor" });
  private across = 0;
  private down = 0;
  private by = 0;
  private page = 0;
  private problems: Problem[] = [];

  constructor(
    private readonly checkpoint: Checkpoint,
    private entry: Entry,
    private readonly number: number,
  ) {
    const dimensions = entry.shape?.size.length ?? 0;
    [this.down, this.across] = dimensions < 2 ? [-1, dimensions - 1] : [0, 1];
    this.problems = checkpoint.problems.filter((problem) => problem.entry === this.number);
    this.draw();
  }

  private draw(): void {
    const { entry, checkpoint } = this;
    const { shape } = entry;
    const heading = html("h2", { tabindex: -1 }, short(entry.name, 400));
    const facts = shape
      ? `${checkpoint.dtypes[shape.dtype]} [${shape.size.map(grouped).join(", ")}], ${grouped(shape.chunks)} chunks, ${human(entry.bytes)}`
      : `${entry.kind === Kind.Bytes ? "bytes" : "an opaque object"}, ${human(entry.bytes)}`;
    this.element.replaceChildren(heading, html("p", {}, facts));
    if (entry.name.length > 400) this.element.append(html("details", {}, html("summary", {}, "The whole name"), html("pre", {}, entry.name)));
    for (const problem of this.problems) this.element.append(html("p", { class: "problem" }, problem.message));
    if (shape?.boxes) this.element.append(this.choices(shape.size.length), this.picture(shape, shape.boxes));
    if (shape && !shape.boxes) this.element.append(html("p", {}, "The boxes are left out to keep this page small; flatpoint show has them."));
    else this.element.append(this.chunks());
  }

  private choices(dimensions: number): HTMLElement {
    const names = Array.from({ length: dimensions }, (_, i) => `dimension ${i}`);
    const again = (change: () => void): void => {
      change();
      this.draw();
    };
    const line = html("p", { class: "choices" });
    if (dimensions > 0) line.append(choice("Across", names, this.across, (n) => again(() => (this.across = n))));
    if (dimensions > 1) line.append(choice("Down", names, this.down, (n) => again(() => (this.down = n))));
    line.append(choice("Colour", ["file", "rank"], this.by, (n) => again(() => (this.by = n))));
    return line;
  }

  private fillOf(chunk: number): string {
    if (this.entry.count === 0) return colour(7);
    const file = this.checkpoint.itemFile[this.entry.begin + chunk];
    if (file >= this.checkpoint.files.length) return colour(7);
    return colour(this.by === 0 ? file : (rankOf(this.checkpoint.files[file]) ?? 7));
  }

  /** A box in the plane that is shown. A dimension that is not there has one element. */
  private box(offset: (dimension: number) => number, size: (dimension: number) => number, scale: Box): Box {
    const along = (dimension: number, unit: number, all: number): [number, number] =>
      dimension < 0 ? [0, all] : [offset(dimension) * unit, Math.max(size(dimension), 0) * unit];
    const [x, width] = along(this.across, scale.x, scale.width);
    const [y, height] = along(this.down, scale.y, scale.height);
    return { x, y, width, height };
  }

  private picture({ size, chunks }: Shape, boxes: Float64Array[]): SVGElement {
    const elements = (dimension: number): number => (dimension < 0 ? 1 : Math.max(size[dimension], 1));
    const [wide, high] = [elements(this.across), elements(this.down)];
    // To scale, but no side so thin that nothing can be seen.
    const ratio = Math.min(Math.max(high / wide, 0.1), 1.5);
    const [width, height] = ratio > 1 ? [SIDE, SIDE * ratio] : [2 * SIDE, 2 * SIDE * ratio];
    const scale: Box = { x: width / wide, y: height / high, width, height };
    const text = `${grouped(chunks)} boxes of ${short(this.entry.name, 80)}, ${this.problems.length} holes, overlaps and boxes outside`;
    const picture = svg("svg", { viewBox: `-2 -2 ${width + 4} ${height + 4}`, class: "boxes", role: "img", "aria-label": text });
    picture.append(hatches(), svg("rect", { width, height, class: "whole" }));
    const at = (i: number): Box => this.box((d) => boxes[2 * d][i], (d) => boxes[2 * d + 1][i], scale);
    if (chunks > MOST_BOXES) picture.append(...this.cells(at, chunks, scale));
    else for (let i = 0; i < chunks; i++) picture.append(svg("rect", { ...numbers(at(i)), class: "chunk", fill: this.fillOf(i) }, svg("title", {}, this.where(i))));
    for (const problem of this.problems) {
      const box = this.box((d) => problem.offsets[d], (d) => problem.sizes[d], scale);
      const kind = Trouble[problem.kind].toLowerCase();
      picture.append(svg("rect", { ...numbers(box), class: kind, fill: `url(#${kind === "hole" ? "hole" : "overlap"})`, "data-offsets": problem.offsets.join(), "data-sizes": problem.sizes.join() }, svg("title", {}, problem.message)));
    }
    return picture;
  }

  /** Too many boxes to draw: the chunk that has the middle of each cell, and how many begin there. */
  private cells(at: (i: number) => Box, chunks: number, scale: Box): SVGElement[] {
    const count = new Uint32Array(CELLS * CELLS);
    const some = new Int32Array(CELLS * CELLS).fill(-1);
    const cell = (value: number, all: number): number => Math.min(CELLS - 1, Math.max(0, Math.floor((value / all) * CELLS)));
    for (let i = 0; i < chunks; i++) {
      const box = at(i);
      if (box.width === 0 || box.height === 0) continue;
      const number = cell(box.y, scale.height) * CELLS + cell(box.x, scale.width);
      count[number]++;
      const [right, low] = [cell(box.x + box.width * 0.999, scale.width), cell(box.y + box.height * 0.999, scale.height)];
      for (let y = cell(box.y, scale.height); y <= low; y++) for (let x = cell(box.x, scale.width); x <= right; x++) some[y * CELLS + x] = i;
    }
    const marks: SVGElement[] = [];
    const [width, height] = [scale.width / CELLS, scale.height / CELLS];
    some.forEach((chunk, number) => {
      if (chunk < 0) return;
      const box = { x: (number % CELLS) * width, y: Math.floor(number / CELLS) * height, width, height };
      marks.push(svg("rect", { ...numbers(box), class: "cell", fill: this.fillOf(chunk) }, svg("title", {}, `${grouped(count[number])} chunks begin here, such as ${this.where(chunk)}`)));
    });
    return marks;
  }

  private where(chunk: number): string {
    const { shape, begin, count } = this.entry;
    const list = (boxes: Float64Array[], part: number): string => `[${boxes.filter((_, i) => i % 2 === part).map((column) => grouped(column[chunk])).join(", ")}]`;
    const box = shape?.boxes ? `chunk ${chunk} at ${list(shape.boxes, 0)} of ${list(shape.boxes, 1)}` : "";
    return count === 0 ? box : `${box} in ${short(fileName(this.checkpoint, this.checkpoint.itemFile[begin + chunk]), 60)}`;
  }

  private chunks(): HTMLElement {
    const { shape, begin, count } = this.entry;
    const { itemFile, itemOffset, itemLength, files } = this.checkpoint;
    const all = shape?.chunks ?? count;
    const first = this.page * PAGE;
    const rows = Array.from({ length: Math.min(PAGE, all - first) }, (_, k) => {
      const i = first + k;
      const at = begin + i;
      const boxes = shape?.boxes;
      const box = boxes ? [0, 1].map((part) => `[${boxes.filter((_, k) => k % 2 === part).map((column) => grouped(column[i])).join(", ")}]`) : ["-", "-"];
      const stored = count > 0 && itemFile[at] < files.length;
      const place = stored ? [short(files[itemFile[at]]), `${grouped(itemOffset[at])} … ${grouped(itemOffset[at] + itemLength[at])}`] : [count > 0 ? "no storage information" : "not in this page", "-"];
      return [grouped(i), ...box, ...place];
    });
    const turn = html("p", { class: "choices" });
    const pages = Math.ceil(all / PAGE);
    if (pages > 1) {
      turn.append(choice("Chunks", Array.from({ length: Math.min(pages, 20_000) }, (_, p) => `${grouped(p * PAGE)} …`), this.page, (n) => {
        this.page = n;
        this.draw();
      }));
    }
    return html("div", {}, turn, table(["chunk", "offsets", "sizes", "file", "bytes from … to"], rows));
  }
}

function numbers({ x, y, width, height }: Box): Record<string, number> {
  return { x, y, width, height };
}

function hatches(): SVGElement {
  const pattern = (id: string, path: string): SVGElement =>
    svg("pattern", { id, width: 8, height: 8, patternUnits: "userSpaceOnUse" }, svg("rect", { width: 8, height: 8, class: "paper" }), svg("path", { d: path, class: "hatch" }));
  return svg("defs", {}, pattern("hole", "M0 8L8 0"), pattern("overlap", "M0 8L8 0M0 0L8 8"));
}
