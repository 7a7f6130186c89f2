// Node: files, and a hash in native code.
import * as fs from "node:fs";
import * as path from "node:path";
import { fileURLToPath } from "node:url";

import { xxh3 } from "@node-rs/xxhash";

import { TRAILER_SIZE, checkFrame } from "./columns.js";
import { FlatpointError } from "./errors.js";
import { usePlatform } from "./platform.js";

const FILE_NAME = ".metadata.flatpoint";

usePlatform({ xxh3: (bytes) => xxh3.xxh64(bytes), readFile });

function readFile(place: string | URL): Uint8Array<ArrayBuffer> {
  let name = typeof place === "string" ? place : fileURLToPath(place);
  let descriptor: number | undefined;
  try {
    if (fs.statSync(name).isDirectory()) name = fileOf(name);
    descriptor = fs.openSync(name, "r");
    const status = fs.fstatSync(descriptor);
    if (!status.isFile()) throw new FlatpointError("io", `${name}: not a regular file`);
    const part = (begin: number, length: number) => readAt(descriptor!, begin, Math.min(length, status.size));
    const head = part(0, 8);
    refusePickle(name, head);
    checkFrame(head, part(Math.max(0, status.size - TRAILER_SIZE), TRAILER_SIZE), status.size);
    return part(0, status.size);
  } catch (error) {
    if (error instanceof FlatpointError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    throw new FlatpointError(code === "ENOENT" ? "not_found" : "io", message);
  } finally {
    if (descriptor !== undefined) fs.closeSync(descriptor);
  }
}

function fileOf(folder: string): string {
  const file = path.join(folder, FILE_NAME);
  const pickle = path.join(folder, ".metadata");
  if (!fs.existsSync(file) && fs.existsSync(pickle)) throw pickleError(pickle);
  return file;
}

/** A pickle of protocol 2 or later, which is what torch writes. */
function refusePickle(name: string, head: Uint8Array): void {
  if (head[0] === 0x80 && head[1] >= 2 && head[1] <= 5) throw pickleError(name);
}

function pickleError(name: string): FlatpointError {
  return new FlatpointError("not_flatpoint", `${name}: a pickle, no flatpoint file: run \`flatpoint import ${name}\``);
}

function readAt(descriptor: number, begin: number, length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  let done = 0;
  while (done < length) {
    const count = fs.readSync(descriptor, bytes, done, length - done, begin + done);
    if (count === 0) throw new FlatpointError("truncated", "F2: the file ended while it was read");
    done += count;
  }
  return bytes;
}
