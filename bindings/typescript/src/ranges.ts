// Which bytes of which data files are a box of a tensor: arithmetic alone.
import { FlatpointError } from "./errors.js";
import type { ChunkData } from "./tensor.js";

const MAX_RANGES = 1 << 24;

/**
 * `length` bytes from `byteOffset` of a data file on are those of the box from `boxOffset` on, where the box lies row-major
 * without gaps.
 */
export interface BoxRange {
  file: number;
  byteOffset: bigint;
  length: bigint;
  boxOffset: bigint;
}

/** One dimension of a chunk, or of a part of it. */
export interface Interval {
  begin: bigint;
  size: bigint;
}

/** A box inside the tensor that it belongs to. */
export interface Box {
  offsets: readonly bigint[];
  sizes: readonly bigint[];
}

/** Bytes of so many elements; undefined where a size is negative or they leave 64 bits. */
export function byteCount(sizes: readonly bigint[], itemSize: bigint): bigint | undefined {
  if (sizes.some((n) => n < 0n)) return undefined;
  const bytes = sizes.reduce((product, n) => product * n, itemSize);
  return bytes < 2n ** 64n ? bytes : undefined;
}

/** Where what a chunk and a box share begins along a dimension, and how much that is. */
export function shared(chunk: Interval, offset: bigint, size: bigint): Interval {
  const begin = offset > chunk.begin ? offset : chunk.begin;
  const [boxEnd, chunkEnd] = [offset + size, chunk.begin + chunk.size];
  return { begin, size: (boxEnd < chunkEnd ? boxEnd : chunkEnd) - begin };
}

/** Appends the ranges of what a chunk and a box share: not nothing. */
export function listRanges(chunk: Interval[], data: ChunkData, box: Box, itemSize: bigint, ranges: BoxRange[]): void {
  let [run, chunkStride, boxStride] = [itemSize, itemSize, itemSize];
  let { byteOffset } = data;
  let boxOffset = 0n;
  let joined = true; // all behind this dimension is one run
  const outer: [length: bigint, chunkStride: bigint, boxStride: bigint][] = [];
  for (let d = chunk.length - 1; d >= 0; --d) {
    const { begin, size: length } = shared(chunk[d], box.offsets[d], box.sizes[d]);
    byteOffset += (begin - chunk[d].begin) * chunkStride;
    boxOffset += (begin - box.offsets[d]) * boxStride;
    if (joined) run *= length;
    else outer.push([length, chunkStride, boxStride]);
    joined &&= length === chunk[d].size && length === box.sizes[d];
    chunkStride *= chunk[d].size;
    boxStride *= box.sizes[d];
  }
  const list = (byteAt: bigint, boxAt: bigint, levels: number): void => {
    if (levels === 0) {
      if (ranges.length === MAX_RANGES) throw new FlatpointError("too_large", `more than ${MAX_RANGES} ranges`);
      ranges.push({ file: data.file, byteOffset: byteAt, length: run, boxOffset: boxAt });
      return;
    }
    const [length, inChunk, inBox] = outer[levels - 1];
    for (let i = 0n; i < length; ++i) list(byteAt + i * inChunk, boxAt + i * inBox, levels - 1);
  };
  list(byteOffset, boxOffset, outer.length);
}

/** The end of what ranges hold of a box from its start on without a gap. */
export function covered(ranges: readonly BoxRange[]): bigint {
  const sorted = ranges.toSorted((a, b) => (a.boxOffset < b.boxOffset ? -1 : a.boxOffset > b.boxOffset ? 1 : 0));
  let end = 0n;
  for (const { boxOffset, length } of sorted) {
    if (boxOffset > end) break;
    if (boxOffset + length > end) end = boxOffset + length;
  }
  return end;
}
