// The suite that every reader passes: docs/conformance.md. FLATPOINT_SUITE names another of its form.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { after, test } from "node:test";

import { type Chunk, FlatpointError, MetadataFile, type StorageInfo, type Tensor, asText } from "../src/index.js";
import { METADATA, SOURCE, STORAGE_META } from "../src/columns.js";

// The tests are compiled into bindings/typescript/dist/bindings/typescript/test.
const ROOT = path.resolve(import.meta.dirname, "../../../../../..");
const SUITE = process.env.FLATPOINT_SUITE || path.join(ROOT, "tests/conformance");

interface Case {
  name: string;
  code: string;
  bytes: Uint8Array;
  json: string; // where it opens
  asked: string[][]; // questions and answers
}

/** Those of "golden" or "hostile"; never none. */
function cases(kind: string): Case[] {
  const found: Case[] = [];
  for (const line of read(path.join(SUITE, `${kind}.cases`))
    .trimEnd()
    .split("\n")) {
    const [what, ...fields] = line.split("\t");
    const last = found[found.length - 1];
    const rest = fields.join("\t");
    if (what === "case") {
      found.push({ name: fields[0], code: fields[1], bytes: new Uint8Array(), json: "", asked: [] });
    } else if (what === "file") last.bytes = Buffer.from(rest, "hex");
    else if (what === "json") last.json = rest + "\n";
    else if (what === "ask") last.asked.push(rest.split("\t=\t"));
    else throw new Error(`no line of a case: ${line}`);
  }
  return found;
}

const read = (file: string) => fs.readFileSync(file, "utf8");
const [GOLDEN, HOSTILE] = [cases("golden"), cases("hostile")];
const SMALL = GOLDEN.find(({ name }) => name === "small")!.bytes; // what hostile files are made of

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "flatpoint-"));
after(() => fs.rmSync(folder, { recursive: true }));

/** Bytes as a file. */
function written(bytes: Uint8Array, name = "a.flatpoint"): string {
  const file = path.join(folder, name);
  fs.writeFileSync(file, bytes);
  return file;
}

function quoted(text: string): string {
  let out = '"';
  for (let i = 0; i < text.length; ++i) {
    const unit = text.charCodeAt(i);
    if (unit === 0x22 || unit === 0x5c) out += "\\" + text[i];
    else if (unit < 0x20 || unit >= 0x7f) out += "\\u" + unit.toString(16).padStart(4, "0");
    else out += text[i];
  }
  return out + '"';
}

const text = (bytes: Uint8Array) => quoted(asText(bytes));
const optional = <T>(value: T | undefined, show: (value: T) => string) => (value === undefined ? "null" : show(value));
const list = <T>(items: Iterable<T>, show: (item: T) => string = String) => `[${Array.from(items, show).join(",")}]`;
const indices = (length: number) => Array.from({ length }, (_, i) => i);

/** What `make` gives; "corrupt" in its place where the file is. */
function orCorrupt(make: () => string, instead = '"corrupt"'): string {
  try {
    return make();
  } catch (error) {
    assert(error instanceof FlatpointError && error.code === "corrupt", String(error));
    return instead;
  }
}

function storage(make: () => StorageInfo | undefined): string {
  return orCorrupt(() =>
    optional(make(), ({ file, byteOffset, length, transformDescriptors }) => {
      const transforms = optional(transformDescriptors, (texts) => list(texts, text));
      return `{"file":${file},"byte_offset":${byteOffset},"length":${length},"transforms":${transforms}}`;
    }),
  );
}

/** Nothing where it is not known. */
function data(chunk: Chunk): string {
  const said = orCorrupt(() => {
    const d = chunk.data();
    if (d === undefined) return "";
    return `{"file":${d.file},"byte_offset":${d.byteOffset},"length":${d.length},"checksum":${optional(d.checksum, String)}}`;
  });
  return said && `,"data":${said}`;
}

/** Nothing where the columns are absent. */
function fileFacts(file: MetadataFile): string {
  const { files, fileLengths, fileTimes, fileFormats } = file.columns;
  const kind = file.checksumKind === undefined ? "" : `"checksum_kind":"${file.checksumKind}",`;
  if (fileLengths.length + fileTimes.length + fileFormats.length === 0) return kind;
  const facts = list(indices(files.length), (i) => {
    const { length, modifiedNs, format } = file.fileFacts(i);
    return `{"length":${optional(length, String)},"time":${optional(modifiedNs, String)},"format":"${format}"}`;
  });
  return `${kind}"file_facts":${facts},`;
}

function tensor(t: Tensor): string {
  const chunk = (i: number) =>
    orCorrupt(() => {
      const { offsets, sizes, ...rest } = { chunk: t.chunk(i), offsets: t.chunk(i).offsets, sizes: t.chunk(i).sizes };
      return `{"offsets":${list(offsets)},"sizes":${list(sizes)},"storage":${storage(() => rest.chunk.storage())}${data(rest.chunk)}}`;
    });
  return (
    `"type":"tensor","dtype":${quoted(t.dtype)},"layout":${quoted(t.layout)},"memory_format":${quoted(t.memoryFormat)},` +
    `"requires_grad":${t.requiresGrad},"pin_memory":${t.pinMemory},"strides":${optional(t.strides, list)},` +
    `"size":${list(t.size)},"chunks":${list(indices(t.chunkCount), chunk)}`
  );
}

function entry(file: MetadataFile, position: number): string {
  return orCorrupt(() => {
    const e = file.entry(position);
    let what = '"type":"opaque"';
    if (e.isTensor) what = tensor(e.tensor()!);
    else if (e.isBytes) what = `"type":"bytes","storage":${storage(() => e.bytesStorage())}`;
    return `{"fqn":${text(e.fqn)},${what}}`;
  });
}

function canonicalJson(file: MetadataFile): string {
  const { formatMajor, formatMinor, fragmentRank, files } = file.columns;
  const meta = optional(file.storageMeta, ({ checkpointId, saveId, loadId, modules }) => {
    const shown = optional(modules, (texts) => list(texts, text));
    const [checkpoint, save, load] = [checkpointId, saveId, loadId].map((id) => optional(id, text));
    return `{"checkpoint_id":${checkpoint},"save_id":${save},"load_id":${load},"modules":${shown}}`;
  });
  const names = list(indices(files.length), (i) => orCorrupt(() => text(file.fileName(i))));
  const entries = list(indices(file.length), (i) => entry(file, i));
  return (
    `{"format":[${formatMajor},${formatMinor}],"fragment_rank":${fragmentRank},"version":${optional(file.version, text)},` +
    `"storage_meta":${meta},"files":${names},${fileFacts(file)}"entries":${entries}}\n`
  );
}

const parsed = (field: string) => (field === "()" ? [] : field.split(",").map(BigInt));
const found = (said: unknown) => (said === undefined ? "absent" : `found\t${said}`);

function answer(file: MetadataFile, question: string): string {
  const [verb, hex, ...rest] = question.split("\t");
  const name = Buffer.from(hex, "hex");
  const said = (): string => {
    switch (verb) {
      case "find":
        return found(file.find(name)?.position);
      case "storage": {
        const info = file.findStorage(name, rest[0] === "-" ? undefined : parsed(rest[0]));
        return found(info && `${Buffer.from(info.relativePath).toString("hex")}\t${info.byteOffset}\t${info.length}`);
      }
      case "prefix": {
        const range = file.prefix(name);
        return found(range && `${range.begin}\t${range.end}`);
      }
      case "overlap": {
        const rows = file.find(name)?.tensor()?.overlapping(parsed(rest[0]), parsed(rest[1]));
        return found(rows?.length ? rows.join(",") : undefined);
      }
      case "ranges": {
        const ranges = file.find(name)?.tensor()?.ranges(parsed(rest[0]), parsed(rest[1]));
        const texts = ranges?.map((r) => `${r.file}:${r.byteOffset}:${r.length}:${r.boxOffset}`);
        return found(texts && (texts.join(",") || "()"));
      }
      default:
        throw new Error(`no question: ${question}`);
    }
  };
  if (verb !== "ranges") return orCorrupt(said, "corrupt");
  try {
    return said();
  } catch (error) {
    assert(error instanceof FlatpointError, String(error));
    return error.code;
  }
}

function check({ name, bytes, json, asked }: Case): void {
  const file = MetadataFile.open(written(bytes));
  assert.equal(canonicalJson(file), json, name);
  const answers = asked.map(([question]) => [question, answer(file, question)]);
  assert.deepEqual(answers, asked, name);
}

for (const golden of GOLDEN) {
  test(`golden ${golden.name}`, () => {
    check(golden);
    assert(MetadataFile.fromBytes(golden.bytes).digestMatches());
  });
}

test("hostile files that open", () => {
  for (const hostile of HOSTILE) if (hostile.code === "opens") check(hostile);
});

function codeOf(open: () => MetadataFile): string {
  try {
    open();
    return "opens";
  } catch (error) {
    assert(error instanceof FlatpointError, String(error));
    return error.code;
  }
}

test("codes", () => {
  for (const { name, code, bytes } of [...GOLDEN, ...HOSTILE]) {
    const file = written(bytes);
    assert.equal(
      codeOf(() => MetadataFile.open(file)),
      code,
      name,
    );
    for (const shift of [0, 1]) {
      const moved = new Uint8Array(bytes.length + shift).subarray(shift);
      moved.set(bytes);
      assert.equal(
        codeOf(() => MetadataFile.fromBytes(moved)),
        code,
        name,
      );
    }
  }
});

test("no metadata files", () => {
  const code = (file: string) => codeOf(() => MetadataFile.open(file));
  assert.equal(code(path.join(folder, "absent.flatpoint")), "not_found");
  assert.equal(code("/dev/null"), "io");
  const sparse = written(SMALL, "sparse.flatpoint");
  fs.truncateSync(sparse, 2 ** 31);
  assert.equal(code(sparse), "too_large");
});

test("folders and pickles", async () => {
  const place = fs.mkdtempSync(path.join(folder, "checkpoint-"));
  const code = (file: string) => codeOf(() => MetadataFile.open(file));
  assert.equal(code(place), "not_found");
  const pickle = path.join(place, ".metadata");
  fs.writeFileSync(pickle, "\x80\x04N.", "latin1");
  for (const name of [place, pickle]) {
    assert.equal(code(name), "not_flatpoint");
    assert.throws(() => MetadataFile.open(name), { message: new RegExp(`run .flatpoint import ${pickle}.`) });
  }
  fs.writeFileSync(path.join(place, ".metadata.flatpoint"), SMALL);
  assert.equal(MetadataFile.open(place).length, MetadataFile.fromBytes(SMALL).length);
  assert.equal((await MetadataFile.fromBlob(new Blob([SMALL]))).length, MetadataFile.fromBytes(SMALL).length);
  await assert.rejects(MetadataFile.fromBlob(new Blob([SMALL.slice(0, -1)])), { code: "truncated" });
});

test("bytes that changed fail the digest", () => {
  const bytes = Uint8Array.from(SMALL);
  bytes[bytes.length - 25] ^= 1;
  assert(!MetadataFile.fromBytes(bytes).digestMatches());
});

test("the generated accessors read the same file", () => {
  const file = MetadataFile.fromBytes(SMALL);
  const root = file.root();
  assert.deepEqual([root.entriesLength(), root.opaqueLength(), root.plannerOrderLength()], [file.length, 1, 3]);
  assert.deepEqual(
    Array.from(file.columns.chunkByteOffsets),
    indices(root.chunkByteOffsetsLength()).map((i) => root.chunkByteOffsets(i)),
  );
});

test("the tables that are checked are those of the schema", () => {
  const schema = read(path.join(ROOT, "schema/metadata.fbs"));
  for (const [name, fields] of Object.entries({ Metadata: METADATA, StorageMeta: STORAGE_META, Source: SOURCE })) {
    const body = new RegExp(`^table ${name} {(.*?)^}`, "ms").exec(schema)![1];
    assert.deepEqual(
      fields.map((field) => field.name),
      Array.from(body.matchAll(/^ +(\w+):/gm), (match) => match[1]),
    );
  }
});
