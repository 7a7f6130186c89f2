// Texts of a file are UTF-8 with Python's lone surrogates, which JavaScript's strings can hold and its TextDecoder cannot.

/** The code point at a place (lone surrogates allowed) and its bytes; undefined where it is not well-formed. */
function codePoint(bytes: Uint8Array, at: number): [value: number, length: number] | undefined {
  const first = bytes[at];
  if (first < 0x80) return [first, 1];
  const length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || at + length > bytes.length) return undefined;
  let value = first & (0x7f >> length);
  for (let i = 1; i < length; ++i) {
    if ((bytes[at + i] & 0xc0) !== 0x80) return undefined;
    value = (value << 6) | (bytes[at + i] & 0x3f);
  }
  const least = [0, 0, 0x80, 0x800, 0x10000][length];
  return value >= least && value <= 0x10ffff ? [value, length] : undefined;
}

/** As a string, lone surrogates kept; a byte that is no UTF-8 becomes U+FFFD. */
export function asText(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length;) {
    const [value, length] = codePoint(bytes, at) ?? [0xfffd, 1];
    text += String.fromCodePoint(value);
    at += length;
  }
  return text;
}

/** As the file keeps it. */
export function asBytes(text: string | Uint8Array): Uint8Array {
  if (typeof text !== "string") return text;
  const bytes: number[] = [];
  for (const character of text) {
    const value = character.codePointAt(0)!;
    if (value < 0xd800 || value > 0xdfff) bytes.push(...new TextEncoder().encode(character));
    else bytes.push(0xe0 | (value >> 12), 0x80 | ((value >> 6) & 0x3f), 0x80 | (value & 0x3f));
  }
  return Uint8Array.from(bytes);
}

/** Below 0, 0 or above 0, by the first byte that differs, then by length. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; ++i) if (a[i] !== b[i]) return a[i] - b[i];
  return a.length - b.length;
}
