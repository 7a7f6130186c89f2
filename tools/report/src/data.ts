// The block of data that the tool writes into the page (tools/flatpoint/report_data.cpp), unpacked into columns.

export interface Finding {
  kind: string;
  message: string;
  broken: boolean;
}

/** What coverage says of a tensor. The kinds are those of flatpoint/coverage.hpp. */
export interface Problem {
  entry: number;
  kind: Trouble;
  offsets: number[];
  sizes: number[];
  message: string;
}
export enum Trouble {
  Outside,
  Overlap,
  Hole,
  EmptyInside,
}

interface Head {
  tool: string;
  path: string;
  origin: string;
  version: string;
  entries: number;
  files: string[];
  dtypes: string[];
  dtypeBytes: number[];
  findings: Finding[];
  suppressed: number;
  problems: Problem[];
  notTiled: number;
  placesLeftOut: number;
  columns: string;
}

export enum Kind {
  Tensor,
  Bytes,
  Opaque,
}

/** What tensors of one dtype, size and set of boxes share. */
export interface Shape {
  dtype: number;
  size: number[];
  chunks: number;
  /** Per dimension the chunks' offsets, then their sizes; unset where there are too many for the page. */
  boxes: Float64Array[] | undefined;
}

export interface Entry {
  name: string;
  kind: Kind;
  shape: Shape | undefined;
  /** Of the columns of items: one per chunk, or one of bytes. */
  begin: number;
  count: number;
  /** Stored, or of the elements where nothing is said of the places. */
  bytes: number;
}

export interface Checkpoint extends Head {
  all: Entry[];
  items: number;
  chunks: number;
  bytes: number;
  /** Per item; a file too many is one without storage information. */
  itemFile: Uint32Array;
  itemOffset: Float64Array;
  itemLength: Float64Array;
}

/** Numbers as the tool packs them. */
class Bytes {
  private at = 0;
  constructor(private readonly bytes: Uint8Array) {}

  varint(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.bytes[this.at++];
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  }

  signed(): number {
    const value = this.varint();
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  runs(count: number): Float64Array {
    const values = new Float64Array(count);
    for (let at = 0; at < count; ) {
      const length = this.varint();
      const first = this.signed();
      const step = this.signed();
      for (let i = 0; i < length; i++) values[at++] = first + i * step;
    }
    return values;
  }

  take(count: number): Uint8Array {
    this.at += count;
    return this.bytes.subarray(this.at - count, this.at);
  }
}

/** Texts that repeat: 0 and the text, or its number from 1 on. */
function repeated<T>(read: () => T, bytes: Bytes): () => T {
  const known: T[] = [];
  return () => {
    const number = bytes.varint();
    if (number === 0) known.push(read());
    return known[number === 0 ? known.length - 1 : number - 1];
  };
}

function names(bytes: Bytes): () => string {
  const decoder = new TextDecoder();
  let last = new Uint8Array(256);
  return () => {
    const shared = bytes.varint();
    const rest = bytes.varint();
    if (shared + rest > last.length) {
      const longer = new Uint8Array(2 * (shared + rest));
      longer.set(last);
      last = longer;
    }
    last.set(bytes.take(rest), shared);
    return decoder.decode(last.subarray(0, shared + rest));
  };
}

export function volume(size: number[]): number {
  return size.reduce((product, value) => Math.min(product * Math.max(value, 0), 2 ** 64), 1);
}

function unpack(text: string): Bytes {
  const packed = atob(text);
  const bytes = new Uint8Array(packed.length);
  for (let i = 0; i < packed.length; i++) bytes[i] = packed.charCodeAt(i);
  return new Bytes(bytes);
}

export function readCheckpoint(text: string): Checkpoint {
  const head = JSON.parse(text) as Head;
  const bytes = unpack(head.columns);
  head.columns = "";
  const nextName = names(bytes);
  const nextRuns = repeated(() => bytes.runs(bytes.varint()), bytes);
  const nextShape = repeated((): Shape => {
    const dtype = bytes.varint();
    const size = Array.from({ length: bytes.varint() }, () => bytes.signed());
    const chunks = bytes.varint();
    if (bytes.varint() === 0) return { dtype, size, chunks, boxes: undefined };
    const values = bytes.runs(2 * size.length * chunks);
    const boxes = Array.from({ length: 2 * size.length }, (_, i) => values.subarray(i * chunks, (i + 1) * chunks));
    return { dtype, size, chunks, boxes };
  }, bytes);

  const all: Entry[] = [];
  const places: (Float64Array[] | undefined)[] = [];
  let items = 0;
  let chunks = 0;
  for (let i = 0; i < head.entries; i++) {
    const name = nextName();
    const kind = bytes.varint() as Kind;
    const shape = kind === Kind.Tensor ? nextShape() : undefined;
    chunks += shape?.chunks ?? 0;
    const place = bytes.varint() === 1 ? [nextRuns(), nextRuns(), nextRuns()] : undefined;
    const count = place?.[0].length ?? 0;
    all.push({ name, kind, shape, begin: items, count, bytes: 0 });
    places.push(place);
    items += count;
  }
  const found = { ...head, all, items, chunks, bytes: 0, ...place(all, places, items, head.files.length) };
  for (const entry of all) {
    if (entry.bytes === 0 && entry.shape) entry.bytes = volume(entry.shape.size) * head.dtypeBytes[entry.shape.dtype];
    found.bytes += entry.bytes;
  }
  return found;
}

/** Items say how far behind the last of their file they begin. */
function place(all: Entry[], places: (Float64Array[] | undefined)[], items: number, files: number) {
  const itemFile = new Uint32Array(items);
  const itemOffset = new Float64Array(items);
  const itemLength = new Float64Array(items);
  const ends = new Float64Array(files + 1);
  for (let number = 0, at = 0; number < all.length; number++) {
    const columns = places[number];
    if (!columns) continue;
    const [file, gap, length] = columns;
    let bytes = 0; // one number of an object, changed a million times, is slow
    for (let i = 0; i < file.length; i++, at++) {
      const owner = file[i];
      const begin = ends[owner] + gap[i];
      itemFile[at] = owner;
      itemLength[at] = length[i];
      itemOffset[at] = begin;
      if (owner < files) ends[owner] = begin + length[i];
      bytes += length[i];
    }
    all[number].bytes = bytes;
  }
  return { itemFile, itemOffset, itemLength };
}
