// Entries, tensors, the boxes of their chunks, and where those lie.
import { ChunkLayout } from "../../../generated/typescript/flatpoint/fb/chunk-layout.js";
import { StorageType } from "../../../generated/typescript/flatpoint/fb/storage-type.js";
import { StridesKind } from "../../../generated/typescript/flatpoint/fb/strides-kind.js";
import { type Columns, type EntryRow, NO_DATA_BEGIN, NO_FILE, UNKNOWN } from "./columns.js";
import { FlatpointError, corrupt } from "./errors.js";
import { DTYPES, LAYOUTS, MEMORY_FORMATS, itemSize, knownName, typeName } from "./names.js";
import { type Box, type BoxRange, type Interval, byteCount, covered, listRanges, shared } from "./ranges.js";
import { inRange } from "./tables.js";
import { asText } from "./text.js";

const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;

/** _StorageInfo: the bytes [byteOffset, byteOffset + length) of a data file. Texts are bytes. */
export interface StorageInfo {
  /** Number of the file, for grouping. */
  file: number;
  relativePath: Uint8Array;
  byteOffset: bigint;
  length: bigint;
  /** In DCP's stored order; undefined is None. */
  transformDescriptors: Uint8Array[] | undefined;
}

/**
 * The bytes [byteOffset, byteOffset + length) of a data file that are a chunk's elements: row-major, little-endian, of the
 * tensor's dtype. Before they are read, the file is compared with `MetadataFile.fileFacts`, as `DataFolder` does.
 */
export interface ChunkData {
  file: number;
  byteOffset: bigint;
  length: bigint;
  /** Of `MetadataFile.checksumKind`. */
  checksum: bigint | undefined;
}

/** Rule E6. Undefined without storage information. */
export function storageAt(columns: Columns, row: number, lengthAt: number): StorageInfo | undefined {
  if (row < columns.chunkFiles.length) {
    const file = columns.chunkFiles[row];
    if (file === NO_FILE) return undefined;
    const relativePath = columns.files.text(file);
    if (relativePath && row < columns.chunkByteOffsets.length && lengthAt < columns.chunkLengths.length) {
      const list = columns.chunkTransforms.length > 0 ? columns.chunkTransforms[row] : 0;
      return {
        file,
        relativePath,
        byteOffset: columns.chunkByteOffsets[row],
        length: columns.chunkLengths[lengthAt],
        transformDescriptors: list === 0 ? undefined : transforms(columns, list - 1),
      };
    }
  }
  throw corrupt(`E6: storage information of row ${row}`);
}

function transforms(columns: Columns, list: number): Uint8Array[] {
  if (list < columns.transformListCount) {
    const begin = list === 0 ? 0 : columns.transformListEnd(list - 1);
    const end = columns.transformListEnd(list);
    if (begin <= end && end <= columns.transformNames.length) {
      return Array.from({ length: end - begin }, (_, i) => columns.transformNames.text(begin + i) ?? new Uint8Array());
    }
  }
  throw corrupt(`E6: transform list ${list}`);
}

/** One FQN of state_dict_metadata. */
export class Entry {
  /** UTF-8 with Python's surrogates kept. */
  readonly fqn: Uint8Array;
  private readonly row: EntryRow;

  /** Rules E1 and E4. */
  constructor(
    private readonly columns: Columns,
    /** In the sorted order. */
    readonly position: number,
  ) {
    this.fqn = columns.name(position);
    this.row = columns.entry(position);
    if (!inRange(this.row.chunkBegin, this.row.chunkCount, columns.chunkRows)) {
      throw corrupt(`E4: rows of entry ${position}`);
    }
  }

  /** The FQN as a string; what is no UTF-8 becomes U+FFFD. */
  get name(): string {
    return asText(this.fqn);
  }

  get isTensor(): boolean {
    return this.row.storageType === StorageType.Tensor;
  }

  get isBytes(): boolean {
    return this.row.storageType === StorageType.Bytes;
  }

  /** The tensor; undefined for bytes and for objects of classes that are not DCP's. */
  tensor(): Tensor | undefined {
    return this.isTensor ? new Tensor(this.columns, this.row, this.name) : undefined;
  }

  /** Where a bytes item lies; undefined without storage information, and for what is not bytes. */
  bytesStorage(): StorageInfo | undefined {
    if (!this.isBytes || this.row.chunkCount === 0) return undefined;
    return storageAt(this.columns, this.row.chunkBegin, this.row.lengthBegin);
  }
}

/** TensorStorageMetadata. */
export class Tensor {
  private readonly dimensions: BigInt64Array;
  private readonly boxes: BigInt64Array;

  /** Rules E2, E3 and E5. */
  constructor(
    private readonly columns: Columns,
    private readonly row: EntryRow,
    readonly name: string,
  ) {
    const dimensions = row.ndim * (row.strides === StridesKind.Explicit ? 2 : 1);
    if (!inRange(row.sizeBegin, dimensions, columns.sizes.length)) throw corrupt(`E2: size of ${name}`);
    this.dimensions = columns.sizes.subarray(row.sizeBegin, row.sizeBegin + dimensions);
    const values = boxValues(columns, row);
    if (values === undefined || (values > 0 && !inRange(row.boxBegin, values, columns.boxes.length))) {
      throw corrupt(`E3: boxes of ${name}`);
    }
    this.boxes = columns.boxes.subarray(row.boxBegin, row.boxBegin + values);
    if (row.reordered && !inRange(row.orderBegin, row.chunkCount, columns.chunkOrder.length)) {
      throw corrupt(`E5: chunk order of ${name}`);
    }
  }

  get ndim(): number {
    return this.row.ndim;
  }

  /** Elements per dimension. */
  get size(): bigint[] {
    return Array.from(this.dimensions.subarray(0, this.ndim));
  }

  /** torch's name without "torch."; "unknown:N" where this version does not know it. Likewise the layout. */
  get dtype(): string {
    return typeName(DTYPES, this.row.dtype, this.columns.typeNames, this.row.dtypeName);
  }

  /** Bytes of an element; 0 for a dtype that has none here. */
  get itemSize(): number {
    return itemSize(this.row.dtype);
  }

  get layout(): string {
    return typeName(LAYOUTS, this.row.layout, this.columns.typeNames, this.row.layoutName);
  }

  get memoryFormat(): string {
    return knownName(MEMORY_FORMATS, this.row.memoryFormat);
  }

  get requiresGrad(): boolean {
    return this.row.requiresGrad;
  }

  get pinMemory(): boolean {
    return this.row.pinMemory;
  }

  /** In elements; undefined in files from before torch 2.15. */
  get strides(): bigint[] | undefined {
    if (this.row.strides === StridesKind.Explicit) return Array.from(this.dimensions.subarray(this.ndim));
    if (this.row.strides !== StridesKind.Contiguous) return undefined;
    const cell = this.chunkCount > 0 ? this.cell(0) : undefined;
    return contiguousStrides(cell === undefined ? this.size : new Chunk(this.columns, this.row, this, cell).sizes);
  }

  get chunkCount(): number {
    return this.row.chunkCount;
  }

  /** The i-th chunk in DCP's order. */
  chunk(i: number): Chunk {
    if (!(i >= 0 && i < this.chunkCount)) throw new RangeError(`no chunk ${i}`);
    const cell = this.cell(i);
    if (cell === undefined) throw corrupt(`E5: chunk ${i} of ${this.name}`);
    return new Chunk(this.columns, this.row, this, cell);
  }

  /** The i-th chunk by rows: sorted by offsets. */
  chunkByRow(i: number): Chunk {
    if (!(i >= 0 && i < this.chunkCount)) throw new RangeError(`no chunk ${i}`);
    return new Chunk(this.columns, this.row, this, i);
  }

  /** All chunks in DCP's order. */
  *chunks(): IterableIterator<Chunk> {
    for (let i = 0; i < this.chunkCount; ++i) yield this.chunk(i);
  }

  /** The row, less the first, of DCP's i-th chunk; undefined where the order names none. */
  private cell(i: number): number | undefined {
    const cell = this.row.reordered ? this.columns.chunkOrder[this.row.orderBegin + i] : i;
    return cell < this.chunkCount ? cell : undefined;
  }

  /** The first chunk that starts at an offset. O(ndim * log chunks). */
  findChunk(offset: readonly bigint[]): Chunk | undefined {
    if (offset.length !== this.ndim) return undefined;
    let cell: number | undefined;
    if (this.row.chunkLayout === ChunkLayout.Whole) cell = offset.every((n) => n === 0n) ? 0 : undefined;
    else if (this.row.chunkLayout === ChunkLayout.Explicit) cell = this.findExplicit(offset);
    else cell = this.findInGrid(offset);
    return cell === undefined ? undefined : new Chunk(this.columns, this.row, this, cell);
  }

  private findExplicit(offset: readonly bigint[]): number | undefined {
    const compare = (row: number) => {
      for (let d = 0; d < this.ndim; ++d) {
        const value = this.boxes[2 * this.ndim * row + d];
        if (value !== offset[d]) return value < offset[d] ? -1 : 1;
      }
      return 0;
    };
    const row = partitionPoint(0, this.chunkCount, (i) => compare(i) < 0);
    return row < this.chunkCount && compare(row) === 0 ? row : undefined;
  }

  private findInGrid(offset: readonly bigint[]): number | undefined {
    let cell = 0;
    let splits = this.ndim;
    for (let d = 0; d < this.ndim; ++d) {
      const count = Number(this.boxes[d]);
      const isEven = this.row.chunkLayout === ChunkLayout.EvenGrid;
      if (isEven && (offset[d] < 0n || this.boxes[this.ndim + d] < 0n)) return undefined;
      const along = partitionPoint(0, count, (i) => this.point(d, splits, i) < offset[d]);
      if (along === count || this.point(d, splits, along) !== offset[d]) return undefined;
      cell = cell * count + along;
      splits += count + 1;
    }
    return cell;
  }

  /**
   * The rows of all chunks that overlap a box, ascending, as torch decides it: in every dimension each begins before the
   * other ends. Nothing overlaps a box of other dimensions.
   */
  overlapping(offsets: readonly bigint[], sizes: readonly bigint[]): number[] {
    if (offsets.length !== this.ndim || sizes.length !== this.ndim) return [];
    const ends = offsets.map((begin, d) => endOf(begin, sizes[d]));
    if (this.row.chunkLayout === ChunkLayout.Grid || this.row.chunkLayout === ChunkLayout.EvenGrid) {
      return this.overlappingCells(offsets, ends);
    }
    const overlaps = (row: number) =>
      offsets.every((offset, d) => {
        const { begin, size } = this.interval(row, d);
        return begin < ends[d] && offset < endOf(begin, size);
      });
    const rows: number[] = [];
    for (let row = 0; row < this.chunkCount; ++row) if (overlaps(row)) rows.push(row);
    return rows;
  }

  /**
   * The ranges of a box (without one: of the tensor), as long as they can be: by row of the chunks that overlap it, each in
   * order of its elements. Codes of errors: "invalid_argument" for a box outside the tensor, "not_plain" where a chunk's data
   * is not known, "holes" for elements that no chunk holds, "too_large".
   */
  ranges(offsets: readonly bigint[] = this.size.map(() => 0n), sizes: readonly bigint[] = this.size): BoxRange[] {
    const box = { offsets, sizes };
    const bytes = this.boxBytes(box);
    const ranges: BoxRange[] = [];
    if (bytes === 0n) return ranges;
    for (const row of this.overlapping(offsets, sizes)) {
      const chunk = Array.from({ length: this.ndim }, (_, d) => this.interval(row, d));
      if (chunk.some((own, d) => shared(own, offsets[d], sizes[d]).size <= 0n)) continue;
      listRanges(chunk, this.chunkByRow(row).knownData(), box, BigInt(this.itemSize), ranges);
    }
    const end = covered(ranges);
    if (end < bytes) {
      throw new FlatpointError(
        "holes",
        `${this.name}: no chunk holds element ${end / BigInt(this.itemSize)} of the box`,
      );
    }
    return ranges;
  }

  private boxBytes({ offsets, sizes }: Box): bigint {
    const whole = this.size;
    const fits = (n: bigint, d: number) => offsets[d] >= 0n && sizes[d] >= 0n && offsets[d] + sizes[d] <= n;
    if (offsets.length !== whole.length || sizes.length !== whole.length || !whole.every(fits)) {
      const message = `a box at [${offsets.join(", ")}] with sizes [${sizes.join(", ")}] does not lie in [${whole.join(", ")}]`;
      throw new FlatpointError("invalid_argument", `${this.name}: ${message}`);
    }
    if (sizes.includes(0n)) return 0n;
    const bytes = byteCount(sizes, BigInt(this.itemSize));
    if (bytes === undefined) throw new FlatpointError("too_large", `${this.name}: the box has more than 2^64 bytes`);
    if (bytes === 0n) throw new FlatpointError("not_plain", `${this.name}: dtype ${this.dtype} has no item size`);
    return bytes;
  }

  /** By a range of cells per dimension; the outermost varies slowest. None where a step is negative, against rule V5. */
  private overlappingCells(offsets: readonly bigint[], ends: readonly bigint[]): number[] {
    let cells = [0];
    let splits = this.ndim;
    for (let d = 0; d < this.ndim; ++d) {
      if (this.row.chunkLayout === ChunkLayout.EvenGrid && this.boxes[this.ndim + d] < 0n) return [];
      const count = Number(this.boxes[d]);
      const first = partitionPoint(0, count, (i) => this.point(d, splits, i + 1) <= offsets[d]);
      const last = partitionPoint(0, count, (i) => this.point(d, splits, i) < ends[d]);
      const finer: number[] = [];
      for (const cell of cells) for (let i = first; i < last; ++i) finer.push(cell * count + i);
      cells = finer;
      splits += count + 1;
    }
    return cells;
  }

  /** Where cell i of a grid begins along a dimension whose split points begin at `splits`. */
  private point(d: number, splits: number, i: number): bigint {
    if (this.row.chunkLayout === ChunkLayout.Grid) return this.boxes[splits + i];
    const n = this.dimensions[d];
    const point = BigInt(i) * this.boxes[this.ndim + d];
    return BigInt.asIntN(64, point) === point && point < n ? point : n;
  }

  /** One dimension of the chunk in a row. */
  interval(cell: number, d: number): Interval {
    if (this.row.chunkLayout === ChunkLayout.Whole) return { begin: 0n, size: this.dimensions[d] };
    if (this.row.chunkLayout === ChunkLayout.Explicit) {
      const at = 2 * this.ndim * cell + d;
      return { begin: this.boxes[at], size: this.boxes[at + this.ndim] };
    }
    let splits = this.ndim;
    let below = this.chunkCount;
    for (let before = 0; before < d; ++before) {
      const count = Number(this.boxes[before]);
      below /= count;
      cell %= below;
      splits += count + 1;
    }
    const i = Math.floor(cell / (below / Number(this.boxes[d])));
    const begin = this.point(d, splits, i);
    return { begin, size: BigInt.asIntN(64, this.point(d, splits, i + 1) - begin) };
  }
}

/** How many values of `boxes` a tensor takes; undefined where its chunks are no such boxes. */
function boxValues(columns: Columns, row: EntryRow): number | undefined {
  if (row.chunkLayout === ChunkLayout.Whole) return row.chunkCount === 1 ? 0 : undefined;
  if (row.chunkLayout === ChunkLayout.Explicit) return 2 * row.ndim * row.chunkCount;
  if (row.chunkLayout !== ChunkLayout.Grid && row.chunkLayout !== ChunkLayout.EvenGrid) return undefined;
  if (!inRange(row.boxBegin, row.ndim, columns.boxes.length)) return undefined;
  let cells = 1n;
  let values = 2n * BigInt(row.ndim);
  for (const count of columns.boxes.subarray(row.boxBegin, row.boxBegin + row.ndim)) {
    cells *= count;
    if (count < 1n || cells > BigInt(row.chunkCount)) return undefined;
    if (row.chunkLayout === ChunkLayout.Grid) values += count;
  }
  return cells === BigInt(row.chunkCount) ? Number(values) : undefined;
}

/** ChunkStorageMetadata: one chunk of a tensor. */
export class Chunk {
  constructor(
    private readonly columns: Columns,
    private readonly entry: EntryRow,
    private readonly tensor: Tensor,
    private readonly cell: number,
  ) {}

  get offsets(): bigint[] {
    return Array.from({ length: this.tensor.ndim }, (_, d) => this.tensor.interval(this.cell, d).begin);
  }

  get sizes(): bigint[] {
    return Array.from({ length: this.tensor.ndim }, (_, d) => this.tensor.interval(this.cell, d).size);
  }

  /** Of the chunk columns. */
  get row(): number {
    return this.entry.chunkBegin + this.cell;
  }

  /** Where the chunk lies; undefined without storage information. */
  storage(): StorageInfo | undefined {
    return storageAt(this.columns, this.row, this.entry.lengthBegin + (this.entry.lengthsDiffer ? this.cell : 0));
  }

  /** Its elements inside that range; undefined where the file does not tell, or they are not plain. Rule E7. */
  data(): ChunkData | undefined {
    const { chunkDataBegins, chunkChecksums, fileLengths } = this.columns;
    const begin = chunkDataBegins.at(chunkDataBegins.length === 1 ? 0 : this.row) ?? NO_DATA_BEGIN;
    if (begin === NO_DATA_BEGIN || this.tensor.itemSize === 0) return undefined;
    const storage = this.storage();
    if (storage === undefined) return undefined;
    const length = byteCount(this.sizes, BigInt(this.tensor.itemSize));
    const end = fileLengths.at(storage.file) ?? UNKNOWN;
    if (
      storage.transformDescriptors?.length ||
      length === undefined ||
      BigInt(begin) + length > storage.length ||
      storage.byteOffset + storage.length > end
    ) {
      throw corrupt(`E7: data of row ${this.row}`);
    }
    const checksum = chunkChecksums.at(this.row);
    return {
      file: storage.file,
      byteOffset: storage.byteOffset + BigInt(begin),
      length,
      checksum: checksum === UNKNOWN ? undefined : checksum,
    };
  }

  /** The same, an error where it is not known. */
  knownData(): ChunkData {
    const data = this.data();
    if (data !== undefined) return data;
    const name = `${this.tensor.name}: row ${this.row}`;
    if (this.storage() === undefined) throw new FlatpointError("holes", `${name} has no storage`);
    const message = "where its elements begin is not known";
    throw new FlatpointError("not_plain", `${name}: ${message}`);
  }
}

/** torch's empty(size).stride(); products that leave int64 give 0. */
function contiguousStrides(size: readonly bigint[]): bigint[] {
  let stride = 1n;
  return size
    .toReversed()
    .map((n) => {
      const own = stride;
      stride *= n > 1n ? n : 1n;
      if (stride > INT64_MAX) stride = 0n;
      return own;
    })
    .toReversed();
}

/** begin + size; where that leaves int64, its last number. */
function endOf(begin: bigint, size: bigint): bigint {
  const end = begin + size;
  return end > INT64_MAX ? INT64_MAX : end < INT64_MIN ? INT64_MIN : end;
}

/** The first number in [begin, end) for which `before` does not hold. */
export function partitionPoint(begin: number, end: number, before: (i: number) => boolean): number {
  while (begin < end) {
    const middle = begin + Math.floor((end - begin) / 2);
    if (before(middle)) begin = middle + 1;
    else end = middle;
  }
  return begin;
}
