/**
 * Reads flatpoint metadata files: which tensors a sharded checkpoint holds, how they are cut, and where each piece lies.
 *
 * Opening checks the shape of the file (rules F1 to F8 of docs/format.md). Look-ups check the ranges that they follow:
 * whatever the bytes are, they answer or throw a FlatpointError, and never read outside the file. Numbers that are int64 in
 * the file are bigints.
 */
import "./node.js";

export * from "./core.js";
export { DataFolder, type DataOptions } from "./data.js";
