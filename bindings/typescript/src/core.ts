// What every platform has.
export { Metadata } from "../../../generated/typescript/flatpoint/fb/metadata.js";
export { Columns, type EntryRow, type LooseStorageRow, type StorageMeta, TextColumn } from "./columns.js";
export { type Code, FlatpointError } from "./errors.js";
export { type FileFacts, MetadataFile } from "./file.js";
export { type BoxRange } from "./ranges.js";
export { Chunk, type ChunkData, Entry, type StorageInfo, Tensor } from "./tensor.js";
export { asBytes, asText } from "./text.js";
