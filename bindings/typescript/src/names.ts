// torch's names for the numbers of the schema, whose own names are torch's but for capitals.
import { Layout } from "../../../generated/typescript/flatpoint/fb/layout.js";
import { MemoryFormat } from "../../../generated/typescript/flatpoint/fb/memory-format.js";
import { ScalarType } from "../../../generated/typescript/flatpoint/fb/scalar-type.js";
import type { TextColumn } from "./columns.js";
import { asText } from "./text.js";

/** The number that says: the name lies in `type_names`. */
const OTHER = 255;

function lowered(names: { [key: number]: string }): Map<number, string> {
  const numbers = Object.keys(names).map(Number);
  return new Map(numbers.filter((n) => n >= 0 && n !== OTHER).map((n) => [n, names[n].toLowerCase()]));
}

export const DTYPES = lowered(ScalarType);
export const LAYOUTS = lowered(Layout).set(Layout.Mkldnn, "_mkldnn");
export const MEMORY_FORMATS = new Map<number, string>([
  [MemoryFormat.Contiguous, "contiguous_format"],
  [MemoryFormat.Channels_last, "channels_last"],
  [MemoryFormat.Preserve, "preserve_format"],
]);

export const FILE_FORMATS = new Map(
  Object.entries(["unknown", "torch_save", "safetensors", "archive", "mixed"]).map(([n, name]) => [Number(n), name]),
);
export const CHECKSUM_KINDS = new Map([
  [1, "xxh3"],
  [2, "crc32"],
]);

/** Bytes of an element, by number: up to uint64, the fourteen types below a byte, and the last three. */
const ITEM_SIZES = [
  [1, 1, 2, 4, 8, 2, 4, 8, 4, 8, 16, 1, 1, 1, 4, 2, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1, 2, 4, 8],
  [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1],
  [1, 1, 4],
].flat();

/** 0 for a dtype without one: a named one, and one that this version does not know. */
export function itemSize(dtype: number): number {
  return ITEM_SIZES[dtype] ?? 0;
}

export function knownName(known: Map<number, string>, number: number): string {
  return known.get(number) ?? `unknown:${number}`;
}

/** A known name, for Other the one in `type_names`, or "unknown:N". */
export function typeName(known: Map<number, string>, number: number, names: TextColumn, name: number): string {
  const text = number === OTHER ? names.text(name) : undefined;
  return text?.length ? asText(text) : knownName(known, number);
}
