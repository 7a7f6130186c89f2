/**
 * Reads flatpoint metadata files: which tensors a sharded checkpoint holds, how they are cut, and where each piece lies.
 *
 * Opening checks the shape of the file (rules F1 to F8 of docs/format.md). Look-ups check the ranges that they follow:
 * whatever the bytes are, they answer or throw a FlatpointError, and never read outside the file. Numbers that are int64 in
 * the file are bigints.
 */
export { Metadata } from "../../../generated/typescript/flatpoint/fb/metadata.js";
export { Columns, type EntryRow, type LooseStorageRow, type StorageMeta, TextColumn } from "./columns.js";
export { DataFolder, type DataOptions } from "./data.js";
export { type Code, FlatpointError } from "./errors.js";
export { type FileFacts, MetadataFile } from "./file.js";
export { type BoxRange } from "./ranges.js";
export { Chunk, type ChunkData, Entry, type StorageInfo, Tensor } from "./tensor.js";
export { asBytes, asText } from "./text.js";
