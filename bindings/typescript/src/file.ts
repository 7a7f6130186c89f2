// Files: opening, and look-ups by name.
import { ByteBuffer } from "flatbuffers";

import { Metadata } from "../../../generated/typescript/flatpoint/fb/metadata.js";
import { Columns, type StorageMeta, TRAILER_SIZE, UNKNOWN, checkFrame } from "./columns.js";
import { FlatpointError, corrupt } from "./errors.js";
import { CHECKSUM_KINDS, FILE_FORMATS, knownName } from "./names.js";
import { platform } from "./platform.js";
import { inRange } from "./tables.js";
import { Entry, type StorageInfo, partitionPoint, storageAt } from "./tensor.js";
import { asBytes, compareBytes } from "./text.js";

const MAX_PROBES = 32;
const IS_LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/** What was known of a data file. Undefined: unknown. */
export interface FileFacts {
  length: bigint | undefined;
  /** Nanoseconds since 1970. */
  modifiedNs: bigint | undefined;
  /** "unknown", "torch_save", "safetensors", "archive", "mixed"; "unknown:N". */
  format: string;
}

/** What a metadata file says: its entries, sorted by FQN. Immutable. */
export class MetadataFile {
  readonly columns: Columns;

  private constructor(private readonly bytes: Uint8Array<ArrayBuffer>) {
    if (!IS_LITTLE_ENDIAN) throw new FlatpointError("io", "files are read in place on little-endian machines only");
    this.columns = new Columns(bytes.subarray(0, bytes.length - TRAILER_SIZE));
  }

  /**
   * Reads a file, or the `.metadata.flatpoint` of a folder, and checks rules F1 to F8; nothing beside it is looked at. A
   * browser opens no files: there `fromBlob` or `fromBytes` take what it has.
   */
  static open(path: string | URL): MetadataFile {
    return MetadataFile.fromBytes(platform().readFile(path));
  }

  /** Reads a Blob, such as the File that a person chose or what `fetch` brought. */
  static async fromBlob(blob: Blob): Promise<MetadataFile> {
    const part = async (begin: number, end: number) => new Uint8Array(await blob.slice(begin, end).arrayBuffer());
    checkFrame(await part(0, 8), await part(Math.max(0, blob.size - TRAILER_SIZE), blob.size), blob.size);
    return MetadataFile.fromBytes(await part(0, blob.size));
  }

  /** The same for bytes in memory: borrowed where they begin at a multiple of 8 of their ArrayBuffer, else copied. */
  static fromBytes(bytes: Uint8Array): MetadataFile {
    checkFrame(bytes.subarray(0, 8), bytes.subarray(Math.max(0, bytes.length - TRAILER_SIZE)), bytes.length);
    const inPlace = bytes.byteOffset % 8 === 0 && bytes.buffer instanceof ArrayBuffer;
    return new MetadataFile(inPlace ? (bytes as Uint8Array<ArrayBuffer>) : new Uint8Array(bytes));
  }

  /** Number of FQNs. */
  get length(): number {
    return this.columns.entryCount;
  }

  /** The entry at a position of the sorted order. */
  entry(position: number): Entry {
    if (!(position >= 0 && position < this.length)) throw new RangeError(`no entry ${position}`);
    return new Entry(this.columns, position);
  }

  *[Symbol.iterator](): IterableIterator<Entry> {
    for (let position = 0; position < this.length; ++position) yield this.entry(position);
  }

  /** state_dict_metadata[fqn], compared as bytes. O(1): at most 32 probes, then binary search. */
  find(fqn: string | Uint8Array): Entry | undefined {
    const position = this.position(asBytes(fqn));
    return position === undefined ? undefined : this.entry(position);
  }

  /** storage_data[MetadataIndex(fqn, offset)]. Without an offset that of bytes; [] is a scalar tensor's. */
  findStorage(fqn: string | Uint8Array, offset?: readonly bigint[]): StorageInfo | undefined {
    const entry = this.find(fqn);
    const storage = offset === undefined ? entry?.bytesStorage() : entry?.tensor()?.findChunk(offset)?.storage();
    return storage ?? this.findLoose(asBytes(fqn), offset);
  }

  /** The positions [begin, end) of all FQNs that begin with a prefix; undefined where there is none. */
  prefix(prefix: string | Uint8Array): { begin: number; end: number } | undefined {
    const wanted = asBytes(prefix);
    const begin = partitionPoint(0, this.length, (i) => compareBytes(this.columns.name(i), wanted) < 0);
    const end = partitionPoint(
      begin,
      this.length,
      (i) => compareBytes(this.columns.name(i).subarray(0, wanted.length), wanted) <= 0,
    );
    return begin < end ? { begin, end } : undefined;
  }

  /** relative_path of a data file, one of `columns.files.length`. */
  fileName(file: number): Uint8Array {
    const name = this.columns.files.text(file);
    if (name === undefined) throw corrupt(`V7: name of file ${file}`);
    return name;
  }

  /** A data file as it was when the begins of its chunks' data were read; nothing is known of one that is out of range. */
  fileFacts(file: number): FileFacts {
    const { fileLengths, fileTimes, fileFormats } = this.columns;
    const [length, time] = [fileLengths[file] as bigint | undefined, fileTimes[file] as bigint | undefined];
    return {
      length: length === UNKNOWN ? undefined : length,
      modifiedNs: time === 0n ? undefined : time,
      format: knownName(FILE_FORMATS, fileFormats[file] ?? 0),
    };
  }

  /** What `ChunkData.checksum` is: "xxh3", "crc32"; "unknown:N" where this version does not know it. */
  get checksumKind(): string | undefined {
    return this.columns.checksumKind === 0 ? undefined : knownName(CHECKSUM_KINDS, this.columns.checksumKind);
  }

  /** Metadata.version; undefined is None. */
  get version(): Uint8Array | undefined {
    return this.columns.version;
  }

  /** Metadata.storage_meta; undefined is None. */
  get storageMeta(): StorageMeta | undefined {
    return this.columns.storageMeta;
  }

  /** Whether the trailer's digest is that of the bytes (rule F9). Goes over the whole file. */
  digestMatches(): boolean {
    const body = this.bytes.length - TRAILER_SIZE;
    const stated = new DataView(this.bytes.buffer, this.bytes.byteOffset).getBigUint64(body, true);
    return stated === platform().xxh3(this.bytes.subarray(0, body));
  }

  /**
   * The generated root table, for what this package does not wrap: orders, hints, planner paths, opaque records. Its vectors
   * lie inside the file; the numbers in them are whatever the file says.
   */
  root(): Metadata {
    return Metadata.getRootAsMetadata(new ByteBuffer(this.bytes));
  }

  private position(fqn: Uint8Array): number | undefined {
    const { fqnSlots, entryCount } = this.columns;
    const hash = platform().xxh3(fqn);
    const low = Number(hash & 0xffffffffn);
    const high = Number(hash >> 32n);
    const indexBits = 32 - Math.clz32(entryCount);
    for (let probe = 0; probe < MAX_PROBES; ++probe) {
      const slot = fqnSlots[(low + probe) % fqnSlots.length];
      if (slot === 0) return undefined;
      const position = (slot & ((1 << indexBits) - 1)) - 1;
      if (slot >>> indexBits !== high >>> indexBits || position < 0 || position >= entryCount) continue;
      if (compareBytes(this.columns.name(position), fqn) === 0) return position;
    }
    const position = partitionPoint(0, entryCount, (i) => compareBytes(this.columns.name(i), fqn) < 0);
    return position < entryCount && compareBytes(this.columns.name(position), fqn) === 0 ? position : undefined;
  }

  /** Storage information without a chunk: sorted by FQN, no offset first, then offset. */
  private findLoose(fqn: Uint8Array, offset: readonly bigint[] | undefined): StorageInfo | undefined {
    const columns = this.columns;
    const compare = (i: number): number => {
      const row = columns.loose(i);
      const name = columns.fqn(row.fqnBegin, row.fqnLength, `loose storage ${i}`);
      if (!inRange(row.offsetBegin, row.ndim, columns.sizes.length)) throw corrupt(`E2: offset of loose storage ${i}`);
      const byName = compareBytes(name, fqn) || Number(row.hasOffset) - Number(offset !== undefined);
      if (byName !== 0 || offset === undefined) return byName;
      for (let d = 0; d < Math.min(row.ndim, offset.length); ++d) {
        const value = columns.sizes[row.offsetBegin + d];
        if (value !== offset[d]) return value < offset[d] ? -1 : 1;
      }
      return row.ndim - offset.length;
    };
    const i = partitionPoint(0, columns.looseCount, (middle) => compare(middle) < 0);
    if (i === columns.looseCount || compare(i) !== 0) return undefined;
    return storageAt(columns, columns.chunkRows + i, columns.loose(i).lengthBegin);
  }
}
