// Which file and rank hold what: names of owners, and the map of files and tensors.
import type { Checkpoint, Entry } from "./data.js";
import { grouped, html, human, short, table } from "./dom.js";

/** The rank in the name of a file that DCP writes, __RANK_NUMBER.distcp. */
export function rankOf(file: string): number | undefined {
  const rank = /(?:^|\/)__(\d+)_\d+\.distcp$/.exec(file);
  return rank ? Number(rank[1]) : undefined;
}

export function fileName(checkpoint: Checkpoint, file: number): string {
  return file < checkpoint.files.length ? checkpoint.files[file] : "no storage information";
}

export function ownerName(checkpoint: Checkpoint, entry: Entry): string {
  if (entry.count === 0) return "no place";
  const first = checkpoint.itemFile[entry.begin];
  const last = checkpoint.itemFile[entry.begin + entry.count - 1];
  const name = short(fileName(checkpoint, first), 40);
  return first === last ? name : `${name} and others`;
}

const ROWS = 64;
const COLUMNS = 160;

/** A cell for each file and tensor, or for as many neighbours as there is room for. */
export function filesMap(checkpoint: Checkpoint): HTMLElement {
  const { all, files, itemFile, itemLength } = checkpoint;
  const rows = Math.min(files.length, ROWS);
  const columns = Math.min(all.length, COLUMNS);
  const cells = new Float64Array(rows * columns);
  const bytes = new Float64Array(files.length);
  const items = new Uint32Array(files.length);
  all.forEach((entry, number) => {
    const column = Math.floor((number * columns) / all.length);
    for (let at = entry.begin; at < entry.begin + entry.count; at++) {
      const file = itemFile[at];
      if (file >= files.length) continue;
      cells[Math.floor((file * rows) / files.length) * columns + column] += itemLength[at];
      bytes[file] += itemLength[at];
      items[file]++;
    }
  });
  const order = [...files.keys()].sort((a, b) => bytes[b] - bytes[a]).slice(0, 200);
  const list = order.map((file) => [short(files[file]), String(rankOf(files[file]) ?? "-"), grouped(items[file]), human(bytes[file])]);
  return html(
    "section",
    { "aria-label": "Files and tensors" },
    html("h2", {}, "Files × tensors"),
    files.length === 0 ? html("p", {}, "Nothing is said of data files.") : picture(checkpoint, cells, rows, columns),
    table(["file", "rank", "items", "bytes"], list),
    order.length < files.length ? html("p", {}, `The ${order.length} largest of ${grouped(files.length)} files.`) : "",
  );
}

function picture(checkpoint: Checkpoint, cells: Float64Array, rows: number, columns: number): HTMLElement {
  const { all, files } = checkpoint;
  const text = `${files.length} files by ${all.length} FQNs; the darker, the more bytes. The table below has the files' sums.`;
  const canvas = html("canvas", { width: columns, height: rows, class: "map", role: "img", "aria-label": text });
  const said = html("p", { "aria-live": "polite", class: "said" }, text);
  const most = cells.reduce((a, b) => Math.max(a, b), 1);
  const pen = canvas.getContext("2d")!;
  cells.forEach((value, cell) => {
    if (value === 0) return;
    pen.fillStyle = `rgba(0,114,178,${0.15 + (0.85 * Math.log1p(value)) / Math.log1p(most)})`;
    pen.fillRect(cell % columns, Math.floor(cell / columns), 1, 1);
  });
  canvas.addEventListener("pointermove", (event) => {
    const box = canvas.getBoundingClientRect();
    const column = Math.min(columns - 1, Math.floor(((event.clientX - box.left) / box.width) * columns));
    const row = Math.min(rows - 1, Math.floor(((event.clientY - box.top) / box.height) * rows));
    const file = Math.ceil((row * files.length) / rows);
    const entry = all[Math.ceil((column * all.length) / columns)];
    said.textContent = `${short(files[file], 60)} × ${short(entry.name, 80)}: ${human(cells[row * columns + column])}`;
  });
  return html("div", {}, canvas, said);
}
