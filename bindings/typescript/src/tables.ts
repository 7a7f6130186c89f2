// FlatBuffers tables, checked before anything in them is trusted: rules F5 and F6.
//
// JavaScript's runtime has no verifier and turns reads out of range into 0 or garbage. So each table of the schema is listed
// with what its fields are, and read by one loop.
import { corrupt } from "./errors.js";

/** The number types of the schema, by what reads them. */
const NUMBERS = {
  u8: { size: 1, read: (v: DataView, at: number): number => v.getUint8(at), column: Uint8Array },
  u16: { size: 2, read: (v: DataView, at: number): number => v.getUint16(at, true), column: Uint16Array },
  u32: { size: 4, read: (v: DataView, at: number): number => v.getUint32(at, true), column: Uint32Array },
  i32: { size: 4, read: (v: DataView, at: number): number => v.getInt32(at, true), column: Int32Array },
  i64: { size: 8, read: (v: DataView, at: number): number => Number(v.getBigInt64(at, true)), column: BigInt64Array },
  u64: { size: 8, read: (v: DataView, at: number): number => Number(v.getBigUint64(at, true)), column: BigUint64Array },
};
type NumberType = keyof typeof NUMBERS;
export type Column = InstanceType<(typeof NUMBERS)[NumberType]["column"]>;

export type Field =
  | { kind: "scalar"; name: string; type: NumberType; fallback: number }
  | { kind: "vector"; name: string; type: NumberType; required: boolean }
  | { kind: "structs"; name: string; size: number; alignment: number; required: boolean }
  | { kind: "table"; name: string; fields: readonly Field[] };

export const scalar = (name: string, type: NumberType, fallback = 0): Field => ({
  kind: "scalar",
  name,
  type,
  fallback,
});
export const vector = (name: string, type: NumberType, required = false): Field => ({
  kind: "vector",
  name,
  type,
  required,
});
/** A vector of structs, kept as bytes. */
export const structs = (name: string, size: number, alignment: number, required = false): Field => ({
  kind: "structs",
  name,
  size,
  alignment,
  required,
});
export const table = (name: string, fields: readonly Field[]): Field => ({ kind: "table", name, fields });

/** The fields of a table by name; what is absent is undefined. */
export type Values = { [name: string]: number | Column | Values | undefined };

/** Whether [begin, begin + count) lies inside [0, size). Exact: no number here reaches 2^53. */
export function inRange(begin: number, count: number, size: number): boolean {
  return begin >= 0 && count >= 0 && begin + count <= size;
}

/** Reads one FlatBuffer, which begins at a multiple of 8 of its ArrayBuffer. */
export class TableReader {
  private readonly view: DataView<ArrayBuffer>;

  constructor(private readonly bytes: Uint8Array<ArrayBuffer>) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  private number(type: NumberType, at: number): number {
    const { size, read } = NUMBERS[type];
    if (!inRange(at, size, this.bytes.length) || at % size !== 0) {
      throw corrupt("F5: an offset points outside the file or to a misaligned number");
    }
    return read(this.view, at);
  }

  /** The position that the offset at a position refers to. */
  follow(at: number): number {
    const distance = this.number("u32", at);
    if (distance === 0 || !inRange(at, distance, this.bytes.length)) {
      throw corrupt("F5: an offset points outside the file or to itself");
    }
    return at + distance;
  }

  private elements(at: number, name: string, size: number, alignment: number): { begin: number; count: number } {
    const count = this.number("u32", at);
    const begin = at + 4;
    if (!inRange(begin, count * size, this.bytes.length)) throw corrupt(`F5: column ${name} ends outside the file`);
    if (begin % alignment !== 0) throw corrupt(`F6: column ${name} is not aligned to its elements`);
    return { begin: this.bytes.byteOffset + begin, count };
  }

  /** The fields of the table at a position. */
  read(at: number, fields: readonly Field[]): Values {
    const vtable = at - this.number("i32", at);
    const vtableSize = this.number("u16", vtable);
    if (vtableSize % 2 !== 0 || !inRange(vtable, vtableSize, this.bytes.length)) {
      throw corrupt("F5: a vtable ends outside the file");
    }
    const values: Values = {};
    fields.forEach((field, i) => {
      const slot = 4 + 2 * i;
      const offset = slot < vtableSize ? this.number("u16", vtable + slot) : 0;
      values[field.name] = this.value(field, offset === 0 ? undefined : at + offset);
    });
    return values;
  }

  private value(field: Field, at: number | undefined): number | Column | Values | undefined {
    if (field.kind === "scalar") return at === undefined ? field.fallback : this.number(field.type, at);
    if (at === undefined) {
      if (field.kind !== "table" && field.required) throw corrupt(`F5: column ${field.name} is missing`);
      return undefined;
    }
    if (field.kind === "table") return this.read(this.follow(at), field.fields);
    if (field.kind === "structs") {
      const { begin, count } = this.elements(this.follow(at), field.name, field.size, field.alignment);
      return new Uint8Array(this.bytes.buffer, begin, count * field.size);
    }
    const { size, column } = NUMBERS[field.type];
    const { begin, count } = this.elements(this.follow(at), field.name, size, size);
    return new column(this.bytes.buffer, begin, count);
  }
}
