// What Node and a browser do differently. The entry of each, index.ts and browser.ts, says it before anything else runs.

export interface Platform {
  /** XXH3-64. */
  xxh3(bytes: Uint8Array): bigint;
  /** A whole flatpoint file, or that of a folder. */
  readFile(path: string | URL): Uint8Array;
}

let current: Platform | undefined;

export function usePlatform(platform: Platform): void {
  current = platform;
}

export function platform(): Platform {
  if (current === undefined) throw new Error("import flatpoint by its own name, not by the path of a file in it");
  return current;
}
