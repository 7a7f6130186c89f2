/**
 * The same for browsers: `MetadataFile.fromBlob` takes the File that a person chose, `fromBytes` what was fetched. Nothing here
 * needs Node.
 */
import { createXXHash3 } from "hash-wasm";

import { FlatpointError } from "./errors.js";
import { usePlatform } from "./platform.js";

const hasher = await createXXHash3();

usePlatform({
  xxh3: (bytes) => BigInt(`0x${hasher.init().update(bytes).digest("hex")}`),
  readFile: (path) => {
    throw new FlatpointError("io", `${String(path)}: a browser opens no files; MetadataFile.fromBlob takes one`);
  },
});

export * from "./core.js";
