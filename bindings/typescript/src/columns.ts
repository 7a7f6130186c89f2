// The columns of a file as typed arrays: the raw form that bulk work reads. Rules F1 to F8.
import { FlatpointError, corrupt } from "./errors.js";
import { type Column, TableReader, type Values, inRange, scalar, structs, table, vector } from "./tables.js";

const FORMAT_MAJOR = 1;
export const TRAILER_SIZE = 24;
const MAX_FILE_SIZE = 0x7fffffff;
/** `chunk_files` of a row without storage information. */
export const NO_FILE = 0xffffffff;
/** What says "unknown" in `chunk_data_begins`, and in `chunk_checksums` and `file_lengths`; in `file_times` 0 does. */
export const NO_DATA_BEGIN = 0xffffffff;
export const UNKNOWN = 2n ** 64n - 1n;

const ENTRY_SIZE = 48;
const LOOSE_STORAGE_SIZE = 20;
const TRANSFORM_LIST_SIZE = 8;

// Every table of schema/metadata.fbs, fields in order.
export const STORAGE_META = [
  vector("checkpoint_id", "u8"),
  scalar("checkpoint_id_type", "u8"),
  vector("save_id", "u8"),
  vector("load_id", "u8"),
  scalar("has_modules", "u8"),
  vector("modules", "u8"),
  vector("module_ends", "u32"),
];
export const SOURCE = [
  scalar("length", "u64"),
  scalar("digest", "u64"),
  scalar("modified_ns", "i64"),
  scalar("modified_recently", "u8"),
  vector("etag", "u8"),
  scalar("kind", "u8"),
];
export const METADATA = [
  scalar("format_major", "u16"),
  scalar("format_minor", "u16"),
  scalar("fragment_rank", "i32", -1),
  structs("entries", ENTRY_SIZE, 4, true),
  vector("fqns", "u8", true),
  vector("fqn_slots", "u32", true),
  vector("fqn_order", "u32"),
  vector("sizes", "i64"),
  vector("boxes", "i64"),
  vector("chunk_order", "u32"),
  vector("chunk_files", "u32"),
  vector("chunk_byte_offsets", "u64"),
  vector("chunk_lengths", "u64"),
  vector("chunk_transforms", "u16"),
  vector("file_names", "u8"),
  vector("file_name_ends", "u32"),
  vector("type_names", "u8"),
  vector("type_name_ends", "u32"),
  vector("transform_names", "u8"),
  vector("transform_name_ends", "u32"),
  structs("transform_lists", TRANSFORM_LIST_SIZE, 4),
  scalar("has_storage_data", "u8"),
  vector("storage_order", "u32"),
  structs("index_hints", 16, 8),
  structs("loose_storage", LOOSE_STORAGE_SIZE, 4),
  scalar("has_planner_data", "u8"),
  vector("fqn_paths", "u16"),
  structs("path_elements", 4, 2),
  vector("path_ends", "u32"),
  vector("planner_order", "u32"),
  table("storage_meta", STORAGE_META),
  vector("version", "u8"),
  structs("opaque", 24, 4),
  vector("opaque_names", "u8"),
  vector("opaque_pickles", "u8"),
  vector("metadata_class", "u8"),
  vector("storage_info_class", "u8"),
  table("source", SOURCE),
  vector("chunk_data_begins", "u32"),
  scalar("checksum_kind", "u8"),
  vector("chunk_checksums", "u64"),
  vector("file_lengths", "u64"),
  vector("file_times", "i64"),
  vector("file_formats", "u8"),
];

/** One FQN as it lies in the file. */
export interface EntryRow {
  fqnBegin: number;
  fqnLength: number;
  sizeBegin: number;
  boxBegin: number;
  chunkBegin: number;
  chunkCount: number;
  orderBegin: number;
  lengthBegin: number;
  dtype: number;
  layout: number;
  memoryFormat: number;
  requiresGrad: boolean;
  pinMemory: boolean;
  strides: number;
  dtypeName: number;
  layoutName: number;
  ndim: number;
  storageType: number;
  chunkLayout: number;
  reordered: boolean;
  lengthsDiffer: boolean;
}

/** Storage information whose MetadataIndex names no chunk, as it lies in the file. */
export interface LooseStorageRow {
  fqnBegin: number;
  fqnLength: number;
  offsetBegin: number;
  lengthBegin: number;
  hasOffset: boolean;
  ndim: number;
}

/** Many texts in one blob: text i is bytes[ends[i - 1] .. ends[i]). */
export class TextColumn {
  constructor(
    readonly bytes: Uint8Array,
    readonly ends: Uint32Array,
  ) {}

  get length(): number {
    return this.ends.length;
  }

  /** Text i; undefined where it lies nowhere. */
  text(i: number): Uint8Array | undefined {
    if (i >= this.ends.length) return undefined;
    const begin = i === 0 ? 0 : this.ends[i - 1];
    const end = this.ends[i];
    return begin <= end && end <= this.bytes.length ? this.bytes.subarray(begin, end) : undefined;
  }
}

/** DCP's StorageMeta, its texts as bytes. Undefined is None. */
export interface StorageMeta {
  checkpointId: Uint8Array | undefined;
  saveId: Uint8Array | undefined;
  loadId: Uint8Array | undefined;
  modules: Uint8Array[] | undefined;
}

/** The columns that a loader needs. Absent columns are empty, values are unchecked. */
export class Columns {
  readonly formatMajor: number;
  readonly formatMinor: number;
  readonly fragmentRank: number;
  readonly entryCount: number;
  readonly fqns: Uint8Array;
  readonly fqnSlots: Uint32Array;
  readonly sizes: BigInt64Array;
  readonly boxes: BigInt64Array;
  readonly chunkOrder: Uint32Array;
  readonly chunkFiles: Uint32Array;
  readonly chunkByteOffsets: BigUint64Array;
  readonly chunkLengths: BigUint64Array;
  readonly chunkTransforms: Uint16Array;
  readonly files: TextColumn;
  readonly typeNames: TextColumn;
  readonly transformNames: TextColumn;
  readonly transformListCount: number;
  readonly looseCount: number;
  /** One value for all rows, or one per row. */
  readonly chunkDataBegins: Uint32Array;
  readonly checksumKind: number;
  readonly chunkChecksums: BigUint64Array;
  readonly fileLengths: BigUint64Array;
  readonly fileTimes: BigInt64Array;
  readonly fileFormats: Uint8Array;
  readonly version: Uint8Array | undefined;
  readonly storageMeta: StorageMeta | undefined;
  /** Rows of the chunk columns that belong to chunks; the rest belong to loose storage. */
  readonly chunkRows: number;

  private readonly entries: DataView;
  private readonly looseStorage: DataView;
  private readonly transformLists: DataView;

  /** Rules F5 to F8 of a FlatBuffer that begins at a multiple of 8 of its ArrayBuffer. */
  constructor(flatbuffer: Uint8Array<ArrayBuffer>) {
    const reader = new TableReader(flatbuffer);
    const root = reader.follow(0);
    // The version comes first: a newer major may have a shape that today's checks refuse.
    const { format_major, format_minor } = reader.read(root, METADATA.slice(0, 2));
    if (format_major !== FORMAT_MAJOR) {
      const message = `F7: format version ${Number(format_major)}.${Number(format_minor)}; this reader knows ${FORMAT_MAJOR}.x`;
      throw new FlatpointError("version", message);
    }
    const fields = reader.read(root, METADATA);
    const column = <T extends Column>(name: string, type: new () => T) => (fields[name] as T | undefined) ?? new type();
    const rows = (name: string, size: number): [DataView, number] => {
      const bytes = column(name, Uint8Array);
      return [new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), bytes.length / size];
    };
    const texts = (bytes: string, ends: string) => new TextColumn(column(bytes, Uint8Array), column(ends, Uint32Array));
    this.formatMajor = format_major;
    this.formatMinor = format_minor as number;
    this.fragmentRank = fields.fragment_rank as number;
    [this.entries, this.entryCount] = rows("entries", ENTRY_SIZE);
    this.fqns = column("fqns", Uint8Array);
    this.fqnSlots = column("fqn_slots", Uint32Array);
    this.sizes = column("sizes", BigInt64Array);
    this.boxes = column("boxes", BigInt64Array);
    this.chunkOrder = column("chunk_order", Uint32Array);
    this.chunkFiles = column("chunk_files", Uint32Array);
    this.chunkByteOffsets = column("chunk_byte_offsets", BigUint64Array);
    this.chunkLengths = column("chunk_lengths", BigUint64Array);
    this.chunkTransforms = column("chunk_transforms", Uint16Array);
    this.files = texts("file_names", "file_name_ends");
    this.typeNames = texts("type_names", "type_name_ends");
    this.transformNames = texts("transform_names", "transform_name_ends");
    [this.transformLists, this.transformListCount] = rows("transform_lists", TRANSFORM_LIST_SIZE);
    [this.looseStorage, this.looseCount] = rows("loose_storage", LOOSE_STORAGE_SIZE);
    this.chunkDataBegins = column("chunk_data_begins", Uint32Array);
    this.checksumKind = fields.checksum_kind as number;
    this.chunkChecksums = column("chunk_checksums", BigUint64Array);
    this.fileLengths = column("file_lengths", BigUint64Array);
    this.fileTimes = column("file_times", BigInt64Array);
    this.fileFormats = column("file_formats", Uint8Array);
    this.version = fields.version as Uint8Array | undefined;
    this.storageMeta = storageMeta(fields.storage_meta as Values | undefined);
    this.chunkRows = this.chunkFiles.length - this.looseCount;
    const wrong = this.mismatch((name) => (fields[name] as Column | undefined)?.length ?? 0);
    if (wrong !== undefined) throw corrupt(`F8: ${wrong}`);
  }

  /** Rule F8: columns that run beside each other have the same length. */
  private mismatch(lengthOf: (name: string) => number): string | undefined {
    const slots = this.fqnSlots.length;
    if (slots === 0 || !Number.isInteger(Math.log2(slots)) || slots < 2 * this.entryCount) {
      return "fqn_slots is not a power of two of at least twice the entries";
    }
    const rows = this.chunkFiles.length;
    const absentOr: [string, number][] = [
      ["fqn_order", this.entryCount],
      ["fqn_paths", this.entryCount],
      ["chunk_byte_offsets", rows],
      ["chunk_transforms", rows],
      ["chunk_checksums", rows],
      ["file_lengths", this.files.length],
      ["file_times", this.files.length],
      ["file_formats", this.files.length],
    ];
    for (const [name, wanted] of absentOr) {
      if (lengthOf(name) !== 0 && lengthOf(name) !== wanted) return `${name} has not ${wanted} values`;
    }
    if (![0, 1, rows].includes(this.chunkDataBegins.length)) {
      return "chunk_data_begins has neither one value nor one per row of chunk_files";
    }
    if (lengthOf("planner_order") > this.entryCount) return "planner_order has more values than entries";
    if (this.looseCount > rows) return "loose_storage has more rows than chunk_files";
    if (lengthOf("storage_order") > rows) return "storage_order has more values than rows of chunk_files";
    return undefined;
  }

  entry(position: number): EntryRow {
    const at = position * ENTRY_SIZE;
    const u32 = (i: number) => this.entries.getUint32(at + 4 * i, true);
    const u8 = (i: number) => this.entries.getUint8(at + i);
    return {
      fqnBegin: u32(0),
      fqnLength: u32(1),
      sizeBegin: u32(2),
      boxBegin: u32(3),
      chunkBegin: u32(4),
      chunkCount: u32(5),
      orderBegin: u32(6),
      lengthBegin: u32(7),
      dtype: u8(32),
      layout: u8(33),
      memoryFormat: u8(34),
      requiresGrad: u8(35) !== 0,
      pinMemory: u8(36) !== 0,
      strides: u8(37),
      dtypeName: this.entries.getUint16(at + 38, true),
      layoutName: this.entries.getUint16(at + 40, true),
      ndim: u8(42),
      storageType: u8(43),
      chunkLayout: u8(44),
      reordered: u8(45) !== 0,
      lengthsDiffer: u8(46) !== 0,
    };
  }

  loose(i: number): LooseStorageRow {
    const at = i * LOOSE_STORAGE_SIZE;
    const u32 = (number: number) => this.looseStorage.getUint32(at + 4 * number, true);
    return {
      fqnBegin: u32(0),
      fqnLength: u32(1),
      offsetBegin: u32(2),
      lengthBegin: u32(3),
      hasOffset: this.looseStorage.getUint8(at + 16) !== 0,
      ndim: this.looseStorage.getUint8(at + 17),
    };
  }

  transformListEnd(i: number): number {
    return this.transformLists.getUint32(i * TRANSFORM_LIST_SIZE, true);
  }

  /** The name of an entry. Rule E1. */
  name(position: number): Uint8Array {
    const at = position * ENTRY_SIZE;
    return this.fqn(this.entries.getUint32(at, true), this.entries.getUint32(at + 4, true), `entry ${position}`);
  }

  fqn(begin: number, length: number, what: string): Uint8Array {
    if (!inRange(begin, length, this.fqns.length)) throw corrupt(`E1: FQN of ${what}`);
    return this.fqns.subarray(begin, begin + length);
  }
}

function storageMeta(fields: Values | undefined): StorageMeta | undefined {
  if (fields === undefined) return undefined;
  const bytes = (name: string) => fields[name] as Uint8Array | undefined;
  const ends = (fields.module_ends as Uint32Array | undefined) ?? new Uint32Array();
  const modules = new TextColumn(bytes("modules") ?? new Uint8Array(), ends);
  return {
    checkpointId: bytes("checkpoint_id"),
    saveId: bytes("save_id"),
    loadId: bytes("load_id"),
    modules: fields.has_modules
      ? Array.from({ length: modules.length }, (_, i) => modules.text(i) ?? new Uint8Array())
      : undefined,
  };
}

/** Rules F1 to F4, from the first 8 bytes, the last 24 and the size of a file. */
export function checkFrame(head: Uint8Array, tail: Uint8Array, size: number): void {
  const ascii = (bytes: Uint8Array) => String.fromCharCode(...bytes);
  if (ascii(head.subarray(4, 8)) !== "FLPT") {
    throw new FlatpointError("not_flatpoint", 'F1: not a flatpoint file: bytes 4 to 7 are not "FLPT"');
  }
  if (size > MAX_FILE_SIZE) {
    throw new FlatpointError("too_large", `F4: ${size} bytes, the format ends below 2 GiB`);
  }
  if (size < TRAILER_SIZE || ascii(tail.subarray(16)) !== "FLPT.END") {
    throw new FlatpointError("truncated", "F2: truncated or appended: the file does not end with a trailer");
  }
  const length = new DataView(tail.buffer, tail.byteOffset).getBigUint64(8, true);
  const body = size - TRAILER_SIZE;
  if (length !== BigInt(body)) {
    const message = `F3: truncated or appended: ${body} bytes where the trailer says ${length}`;
    throw new FlatpointError("truncated", message);
  }
  if (body % 8 !== 0) throw corrupt(`F3: FlatBuffer length ${body} is not a multiple of 8`);
}
