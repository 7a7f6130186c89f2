// A metadata file whose columns are put together by hand with the generated builders: the schema serves writers too.
// Run as a program it writes the file: node dist/bindings/typescript/test/by-hand.test.js FILE
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";

import { xxh3 } from "@node-rs/xxhash";
import { Builder, type Offset } from "flatbuffers";

import { ChunkLayout } from "../../../generated/typescript/flatpoint/fb/chunk-layout.js";
import { Entry } from "../../../generated/typescript/flatpoint/fb/entry.js";
import { Layout } from "../../../generated/typescript/flatpoint/fb/layout.js";
import { MemoryFormat } from "../../../generated/typescript/flatpoint/fb/memory-format.js";
import { Metadata } from "../../../generated/typescript/flatpoint/fb/metadata.js";
import { ScalarType } from "../../../generated/typescript/flatpoint/fb/scalar-type.js";
import { StorageMeta } from "../../../generated/typescript/flatpoint/fb/storage-meta.js";
import { StorageType } from "../../../generated/typescript/flatpoint/fb/storage-type.js";
import { StridesKind } from "../../../generated/typescript/flatpoint/fb/strides-kind.js";
import { MetadataFile, asBytes } from "../src/index.js";

const WRITTEN = path.resolve(
  import.meta.dirname,
  "../../../../../..",
  "tests/conformance/written/typescript.flatpoint",
);
const NAMES = ["a.bytes", "b.grid", "c.explicit"];
const FILES = ["__0_0.distcp", "__1_0.distcp"];

/** The hash column of docs/format.md. */
function fqnSlots(names: string[]): number[] {
  let count = 1;
  while (count < 2 * names.length) count *= 2;
  const slots = new Array<number>(count).fill(0);
  const indexBits = 32 - Math.clz32(names.length);
  names.forEach((name, entry) => {
    const hash = xxh3.xxh64(asBytes(name));
    const tag = ((Number(hash >> 32n) >>> indexBits) << indexBits) >>> 0;
    for (let probe = 0; probe < 32; ++probe) {
      const at = (Number(hash & 0xffffffffn) + probe) % count;
      if (slots[at] !== 0) continue;
      slots[at] = (tag | (entry + 1)) >>> 0;
      break;
    }
  });
  return slots;
}

const endOf = (texts: string[], i: number) => texts.slice(0, i + 1).join("").length;
const ends = (texts: string[]) => texts.map((_, i) => endOf(texts, i));

interface Row {
  size: number;
  box: number;
  chunk: number;
  count: number;
  length: number;
  ndim: number;
  type: StorageType;
  layout: ChunkLayout;
  strides: StridesKind;
}

/** Bytes; a tensor of [4, 2] in an even grid of two chunks, in reverse; a tensor of [5] with a hole between its chunks. */
function entries(builder: Builder): Offset {
  const { Tensor, Bytes } = StorageType;
  const { Absent, Contiguous } = StridesKind;
  const { Whole, EvenGrid, Explicit } = ChunkLayout;
  const rows: Row[] = [
    { size: 0, box: 0, chunk: 0, count: 1, length: 0, ndim: 0, type: Bytes, layout: Whole, strides: Absent },
    { size: 0, box: 0, chunk: 1, count: 2, length: 1, ndim: 2, type: Tensor, layout: EvenGrid, strides: Contiguous },
    { size: 2, box: 4, chunk: 3, count: 2, length: 1, ndim: 1, type: Tensor, layout: Explicit, strides: Absent },
  ];
  Metadata.startEntriesVector(builder, rows.length);
  for (let i = rows.length - 1; i >= 0; --i) {
    const r = rows[i];
    const begin = endOf(NAMES, i) - NAMES[i].length;
    const dtype = r.type === Bytes ? ScalarType.Uint8 : ScalarType.Float32;
    const format = MemoryFormat.Contiguous;
    // prettier-ignore
    Entry.createEntry(builder, begin, NAMES[i].length, r.size, r.box, r.chunk, r.count, 0, r.length, dtype, Layout.Strided,
      format, i === 2, false, r.strides, 0, 0, r.ndim, r.type, r.layout, i === 1, false);
  }
  return builder.endVector();
}

function make(): Uint8Array {
  const builder = new Builder();
  const text = (value: string) => Metadata.createFqnsVector(builder, asBytes(value));
  const saveId = text("by hand");
  const columns: [(builder: Builder, offset: Offset) => void, Offset][] = [
    [Metadata.addEntries, entries(builder)],
    [Metadata.addFqns, text(NAMES.join(""))],
    [Metadata.addFqnSlots, Metadata.createFqnSlotsVector(builder, fqnSlots(NAMES))],
    [Metadata.addSizes, Metadata.createSizesVector(builder, [4n, 2n, 5n])],
    [Metadata.addBoxes, Metadata.createBoxesVector(builder, [2n, 1n, 2n, 2n, 0n, 2n, 3n, 2n])],
    [Metadata.addChunkOrder, Metadata.createChunkOrderVector(builder, [1, 0])],
    [Metadata.addChunkFiles, Metadata.createChunkFilesVector(builder, [0, 0, 1, 1, 0])],
    [Metadata.addChunkByteOffsets, Metadata.createChunkByteOffsetsVector(builder, [0n, 100n, 0n, 16n, 116n])],
    [Metadata.addChunkLengths, Metadata.createChunkLengthsVector(builder, [100n, 16n])],
    [Metadata.addFileNames, text(FILES.join(""))],
    [Metadata.addFileNameEnds, Metadata.createFileNameEndsVector(builder, ends(FILES))],
    [Metadata.addVersion, text("1.0.0")],
  ];
  StorageMeta.startStorageMeta(builder);
  StorageMeta.addSaveId(builder, saveId);
  StorageMeta.addHasModules(builder, true);
  columns.push([Metadata.addStorageMeta, StorageMeta.endStorageMeta(builder)]);
  Metadata.startMetadata(builder);
  Metadata.addFormatMajor(builder, 1);
  Metadata.addHasStorageData(builder, true);
  for (const [add, offset] of columns) add(builder, offset);
  Metadata.finishMetadataBuffer(builder, Metadata.endMetadata(builder));

  const body = builder.asUint8Array();
  const trailer = Buffer.alloc(24, "FLPT.END", "latin1");
  trailer.writeBigUInt64LE(xxh3.xxh64(body), 0);
  trailer.writeBigUInt64LE(BigInt(body.length), 8);
  return Buffer.concat([body, trailer]);
}

if (process.argv[2]?.endsWith(".flatpoint")) fs.writeFileSync(process.argv[2], make());

test("the generated builders write the file that others read", () => {
  assert.deepEqual(Buffer.from(make()), fs.readFileSync(WRITTEN));
  const file = MetadataFile.fromBytes(make());
  assert.deepEqual(
    Array.from(file, (entry) => entry.name),
    NAMES,
  );
  assert(file.digestMatches());
});
