// Whole chunks out of local data files, by what the columns say alone: no zip, no pickle.
import * as fs from "node:fs";
import * as path from "node:path";

import { FlatpointError } from "./errors.js";
import type { MetadataFile } from "./file.js";
import { platform } from "./platform.js";
import type { Chunk, ChunkData } from "./tensor.js";
import { asText } from "./text.js";

export interface DataOptions {
  /** The folder was copied: other times say nothing. */
  acceptTimes?: boolean;
  /** Open files whose path leaves the folder; metadata from elsewhere may name any file of this machine. */
  allowOutside?: boolean;
}

/** Where the data files of a checkpoint lie. */
export class DataFolder {
  constructor(
    private readonly metadata: MetadataFile,
    private readonly folder: string,
    private readonly options: DataOptions = {},
  ) {}

  /**
   * The elements of a whole chunk. A data file of another length than the metadata states is refused ("changed"), and so is
   * one of another time, unless the metadata has a checksum of the chunk and it holds, or `acceptTimes`. Other codes of
   * errors: "not_plain", "holes", "truncated", "outside", "not_found", "io".
   */
  readChunk(chunk: Chunk): Uint8Array {
    const data = chunk.knownData();
    const { bytes, isOtherTime } = this.read(data);
    if (!isOtherTime) return bytes;
    const holds = this.hasChecksum(data, bytes);
    if (holds) return bytes;
    const why = holds === undefined ? "has no known checksum" : "does not have its checksum";
    throw new FlatpointError("changed", `a data file was written after the metadata was, and row ${chunk.row} ${why}`);
  }

  /** Compares a chunk with its checksum ("checksum" where it differs); false where there is none. */
  checkChunk(chunk: Chunk): boolean {
    const data = chunk.data();
    if (data?.checksum === undefined) return false;
    const holds = this.hasChecksum(data, this.read(data).bytes);
    if (holds === false)
      throw new FlatpointError("checksum", `the bytes of row ${chunk.row} do not have their checksum`);
    return holds !== undefined;
  }

  /** Undefined where that is not known. */
  private hasChecksum({ checksum }: ChunkData, bytes: Uint8Array): boolean | undefined {
    if (checksum === undefined) return undefined;
    const kind = this.metadata.checksumKind;
    if (kind === "xxh3") return platform().xxh3(bytes) === checksum;
    return kind === "crc32" ? BigInt(crc32(bytes)) === checksum : undefined;
  }

  private read({ file, byteOffset, length }: ChunkData): { bytes: Uint8Array; isOtherTime: boolean } {
    const name = this.metadata.fileName(file);
    const relative = asText(name);
    const leaves = relative === "" || path.isAbsolute(relative) || relative.split(/[/\\]/).includes("..");
    if (relative.includes("\0") || (leaves && !this.options.allowOutside)) {
      throw new FlatpointError("outside", `${relative}: the path of a data file leaves the checkpoint's folder`);
    }
    const at = Buffer.concat([Buffer.from(path.isAbsolute(relative) ? "" : this.folder + path.sep), name]);
    let descriptor: number | undefined;
    try {
      descriptor = fs.openSync(at, "r");
      const before = fs.fstatSync(descriptor, { bigint: true });
      const facts = this.metadata.fileFacts(file);
      if (!before.isFile()) throw new FlatpointError("io", `${relative}: not a regular file`);
      if (facts.length !== undefined && facts.length !== before.size) {
        const message = `${relative}: has ${before.size} bytes, the metadata knows one of ${facts.length}`;
        throw new FlatpointError("changed", message);
      }
      if (byteOffset + length > before.size) {
        throw new FlatpointError("truncated", `${relative}: ends at byte ${before.size}, inside a chunk`);
      }
      const bytes = readAt(descriptor, byteOffset, length, relative);
      const after = fs.fstatSync(descriptor, { bigint: true });
      if (after.size !== before.size || after.mtimeNs !== before.mtimeNs) {
        throw new FlatpointError("changed", `${relative}: was written while it was read`);
      }
      const isOther = facts.modifiedNs !== undefined && facts.modifiedNs !== before.mtimeNs;
      return { bytes, isOtherTime: isOther && !this.options.acceptTimes };
    } catch (error) {
      if (error instanceof FlatpointError) throw error;
      const missing = (error as NodeJS.ErrnoException).code === "ENOENT";
      throw new FlatpointError(missing ? "not_found" : "io", String((error as Error).message));
    } finally {
      if (descriptor !== undefined) fs.closeSync(descriptor);
    }
  }
}

function readAt(descriptor: number, begin: bigint, length: bigint, name: string): Uint8Array {
  const bytes = new Uint8Array(Number(length));
  const most = 1 << 30; // Node reads below 2 GiB at once
  let done = 0;
  while (done < bytes.length) {
    const count = fs.readSync(descriptor, bytes, done, Math.min(most, bytes.length - done), begin + BigInt(done));
    if (count === 0) throw new FlatpointError("truncated", `${name}: shrank while it was read`);
    done += count;
  }
  return bytes;
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, i) => {
  let value = i;
  for (let bit = 0; bit < 8; ++bit) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

/** As zip has it. */
function crc32(bytes: Uint8Array): number {
  let crc = ~0;
  for (const byte of bytes) crc = (crc >>> 8) ^ CRC_TABLE[(crc ^ byte) & 0xff];
  return ~crc >>> 0;
}
