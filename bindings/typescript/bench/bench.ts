// One line of numbers for bench/readers/readers.py: bench.js FILE [JSON]. Opening is checking bytes in memory: Node cannot map files.
import * as fs from "node:fs";

import { MetadataFile, type Tensor } from "../src/index.js";

/** Median seconds of that many runs. */
function median(runs: number, work: () => void): number {
  const times = Array.from({ length: runs }, () => {
    const begin = process.hrtime.bigint();
    work();
    return Number(process.hrtime.bigint() - begin) / 1e9;
  });
  return times.sort((a, b) => a - b)[runs >> 1];
}

const [path, json] = process.argv.slice(2);
const bytes = new Uint8Array(fs.readFileSync(path));
const file = MetadataFile.fromBytes(bytes);
const names = Array.from(file, (entry) => entry.fqn);
const tensors = Array.from(file, (entry) => entry.tensor()).filter((t): t is Tensor => t !== undefined);
const boxes = tensors.map((t) => [t.size.map((n) => n / 2n), t.size.map(() => 1n)] as const);
const open = median(51, () => MetadataFile.fromBytes(bytes).find(names[0]));
const find = median(11, () => names.forEach((name) => file.find(name)));
const overlap = median(11, () => tensors.forEach((t, i) => t.overlapping(...boxes[i])));
const text = json ? fs.readFileSync(json, "utf8") : "0";
const parsed = median(3, () => JSON.parse(text));
console.log(open * 1e6, (find / names.length) * 1e9, (overlap / tensors.length) * 1e6, json ? parsed * 1e3 : 0);
