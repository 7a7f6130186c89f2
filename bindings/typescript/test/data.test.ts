// Chunks out of data files: the golden case "data_files", whose files the test writes.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { after, test } from "node:test";

import { DataFolder, FlatpointError, MetadataFile } from "../src/index.js";

const CASES = path.resolve(import.meta.dirname, "../../../../../..", "tests/conformance/golden.cases");
const hex = /^case\tdata_files\t.*\nfile\t(.*)$/m.exec(fs.readFileSync(CASES, "utf8"))![1];
const metadata = MetadataFile.fromBytes(new Uint8Array(Buffer.from(hex, "hex")));

const content = (name: string) =>
  Buffer.from(Array.from({ length: 100 }, (_, i) => (7 * i + name.charCodeAt(0)) % 256));
const [A, B] = [content("a"), content("b")];

const place = fs.mkdtempSync(path.join(os.tmpdir(), "flatpoint-"));
after(() => fs.rmSync(place, { recursive: true }));
for (const name of ["a.bin", "b.bin", "c.bin"]) fs.writeFileSync(path.join(place, name), content(name));

const chunk = (name: string, row = 0) => metadata.find(name)!.tensor()!.chunkByRow(row);
const code = (call: () => unknown) => {
  try {
    call();
    return "none";
  } catch (error) {
    assert(error instanceof FlatpointError, String(error));
    return error.code;
  }
};

test("chunks of data files", () => {
  const folder = new DataFolder(metadata, place);
  const read = (name: string, row = 0, from = folder) => Buffer.from(from.readChunk(chunk(name, row)));
  assert.deepEqual(read("columns", 0), A.subarray(10, 22));
  assert.deepEqual(read("columns", 1), A.subarray(50, 62));
  assert.deepEqual(read("rows"), B.subarray(10, 34)); // of another time, but its checksum holds
  assert.equal(
    code(() => read("stale")),
    "changed",
  );
  assert.equal(
    code(() => read("longer")),
    "changed",
  );
  assert.equal(
    code(() => read("outside")),
    "outside",
  );
  const trusting = new DataFolder(metadata, place, { acceptTimes: true });
  assert.deepEqual(read("stale", 0, trusting), B.subarray(50, 52));

  assert(folder.checkChunk(chunk("columns", 0)));
  assert(!folder.checkChunk(chunk("stale")));
  assert.equal(
    code(() => folder.checkChunk(chunk("columns", 1))),
    "checksum",
  );

  const other = Buffer.from(B);
  other[12] ^= 1;
  fs.writeFileSync(path.join(place, "b.bin"), other);
  assert.equal(
    code(() => read("rows")),
    "changed",
  );
  fs.rmSync(path.join(place, "a.bin"));
  assert.equal(
    code(() => read("columns")),
    "not_found",
  );
  fs.mkdirSync(path.join(place, "sub"));
  fs.writeFileSync(path.join(place, "d.bin"), content("."));
  const outside = new DataFolder(metadata, path.join(place, "sub"), { allowOutside: true });
  assert.deepEqual(read("outside", 0, outside), content(".").subarray(10, 12));
});
