//! The suite that every reader passes: docs/conformance.md.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use flatpoint::{ChunkData, Code, Error, Kind, Metadata, MetadataFile, StorageInfo, Tensor};

/// The suite, or another of its form that `FLATPOINT_SUITE` names.
fn suite() -> PathBuf {
    std::env::var_os("FLATPOINT_SUITE").map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance"), PathBuf::from)
}

/// One of docs/conformance.md.
#[derive(Default)]
struct Case {
    name: String,
    code: String,
    bytes: Vec<u8>,
    json: String,                 // where it opens
    asked: Vec<(String, String)>, // questions and answers
}

/// Those of "golden" or "hostile"; never none.
fn cases(kind: &str) -> Vec<Case> {
    let path = suite().join(kind).with_extension("cases");
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut found: Vec<Case> = Vec::new();
    for line in text.lines() {
        let (what, rest) = line.split_once('\t').unwrap();
        if what == "case" {
            let (name, code) = rest.split_once('\t').unwrap();
            found.push(Case { name: name.to_owned(), code: code.to_owned(), ..Case::default() });
            continue;
        }
        let case = found.last_mut().unwrap();
        match what {
            "file" => case.bytes = unhex(rest),
            "json" => case.json = format!("{rest}\n"),
            "ask" => {
                let (question, answer) = rest.split_once("\t=\t").unwrap();
                case.asked.push((question.to_owned(), answer.to_owned()));
            }
            _ => panic!("no line of a case: {line}"),
        }
    }
    assert!(!found.is_empty());
    found
}

/// The golden file that hostile ones are made of.
fn small() -> Vec<u8> {
    cases("golden").into_iter().find(|case| case.name == "small").unwrap().bytes
}

/// Bytes as a file; each test has its own.
fn written(name: &str, bytes: &[u8]) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name).with_extension("flatpoint");
    let _ = fs::remove_file(&path); // an old one may be mapped
    fs::write(&path, bytes).unwrap();
    path
}

/// The code point at the front of `text` (lone surrogates allowed) and its bytes; `None` where it is not well-formed.
fn decode(text: &[u8]) -> Option<(u32, usize)> {
    let first = u32::from(text[0]);
    let (length, least) = match first {
        0..0x80 => return Some((first, 1)),
        0xC2..0xE0 => (2, 0x80),
        0xE0..0xF0 => (3, 0x800),
        0xF0..0xF5 => (4, 0x10000),
        _ => return None,
    };
    let mut value = first & (0x7F >> length);
    for &byte in text.get(1..length)? {
        if byte & 0xC0 != 0x80 {
            return None;
        }
        value = value << 6 | u32::from(byte & 0x3F);
    }
    (value >= least && value <= 0x0010_FFFF).then_some((value, length))
}

fn put_text(out: &mut String, mut text: &[u8]) {
    out.push('"');
    while !text.is_empty() {
        let (value, bytes) = decode(text).unwrap_or((0xFFFD, 1));
        text = &text[bytes..];
        match value {
            0x22 | 0x5C => write!(out, "\\{}", char::from_u32(value).unwrap()),
            0x20..0x7F => write!(out, "{}", char::from_u32(value).unwrap()),
            0x10000.. => write!(out, "\\u{:04x}\\u{:04x}", 0xD800 + ((value - 0x10000) >> 10), 0xDC00 + ((value - 0x10000) & 0x3FF)),
            _ => write!(out, "\\u{value:04x}"),
        }
        .unwrap();
    }
    out.push('"');
}

fn put_optional_text(out: &mut String, text: Option<&[u8]>) {
    match text {
        Some(text) => put_text(out, text),
        None => out.push_str("null"),
    }
}

fn put_list<T>(out: &mut String, items: impl IntoIterator<Item = T>, mut put: impl FnMut(&mut String, T)) {
    out.push('[');
    for (i, item) in items.into_iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        put(out, item);
    }
    out.push(']');
}

fn put_numbers(out: &mut String, numbers: impl IntoIterator<Item = i64>) {
    put_list(out, numbers, |out, number| write!(out, "{number}").unwrap());
}

fn put_storage(out: &mut String, storage: Result<Option<StorageInfo<'_>>, Error>) {
    match storage {
        Err(_) => out.push_str("\"corrupt\""),
        Ok(None) => out.push_str("null"),
        Ok(Some(s)) => {
            write!(out, "{{\"file\":{},\"byte_offset\":{},\"length\":{},\"transforms\":", s.file, s.byte_offset, s.length).unwrap();
            match s.transform_descriptors {
                Some(descriptors) => put_list(out, descriptors, put_text),
                None => out.push_str("null"),
            }
            out.push('}');
        }
    }
}

/// Nothing where it is not known.
fn put_data(out: &mut String, data: &Result<Option<ChunkData>, Error>) {
    match data {
        Err(_) => out.push_str(",\"data\":\"corrupt\""),
        Ok(None) => {}
        Ok(Some(d)) => {
            let checksum = d.checksum.map_or_else(|| "null".to_owned(), |checksum| checksum.to_string());
            let (file, offset, length) = (d.file, d.byte_offset, d.length);
            write!(out, ",\"data\":{{\"file\":{file},\"byte_offset\":{offset},\"length\":{length},\"checksum\":{checksum}}}").unwrap();
        }
    }
}

/// Nothing where the columns are absent.
fn put_file_facts(out: &mut String, metadata: &Metadata<'_>) {
    let c = metadata.columns();
    if let Some(kind) = metadata.checksum_kind() {
        write!(out, "\"checksum_kind\":\"{kind}\",").unwrap();
    }
    if c.file_lengths.is_empty() && c.file_times.is_empty() && c.file_formats.is_empty() {
        return;
    }
    out.push_str("\"file_facts\":");
    put_list(out, 0..metadata.files().len(), |out, file| {
        let facts = metadata.file_facts(u32::try_from(file).unwrap());
        let length = facts.length.map_or_else(|| "null".to_owned(), |length| length.to_string());
        let time = facts.modified_ns.map_or_else(|| "null".to_owned(), |time| time.to_string());
        write!(out, "{{\"length\":{length},\"time\":{time},\"format\":\"{}\"}}", facts.format).unwrap();
    });
    out.push(',');
}

fn put_tensor(out: &mut String, tensor: &Tensor<'_>) {
    out.push_str("\"type\":\"tensor\",\"dtype\":");
    put_text(out, &tensor.dtype());
    out.push_str(",\"layout\":");
    put_text(out, &tensor.layout());
    out.push_str(",\"memory_format\":");
    put_text(out, tensor.memory_format().as_bytes());
    write!(out, ",\"requires_grad\":{},\"pin_memory\":{},\"strides\":", tensor.requires_grad(), tensor.pin_memory()).unwrap();
    match tensor.strides() {
        Some(strides) => put_numbers(out, strides),
        None => out.push_str("null"),
    }
    out.push_str(",\"size\":");
    put_numbers(out, tensor.size().iter().copied());
    out.push_str(",\"chunks\":");
    put_list(out, 0..tensor.chunk_count(), |out, i| match tensor.chunk(i).unwrap() {
        Err(_) => out.push_str("\"corrupt\""),
        Ok(chunk) => {
            out.push_str("{\"offsets\":");
            put_numbers(out, (0..tensor.ndim()).map(|d| chunk.offset(d)));
            out.push_str(",\"sizes\":");
            put_numbers(out, (0..tensor.ndim()).map(|d| chunk.size(d)));
            out.push_str(",\"storage\":");
            put_storage(out, chunk.storage());
            put_data(out, &chunk.data());
            out.push('}');
        }
    });
}

fn put_entry(out: &mut String, metadata: &Metadata<'_>, position: u32) {
    let Ok(entry) = metadata.entry(position) else { return out.push_str("\"corrupt\"") };
    let mut text = String::from("{\"fqn\":");
    put_text(&mut text, entry.fqn());
    text.push(',');
    match entry.kind() {
        Ok(Kind::Tensor(tensor)) => put_tensor(&mut text, &tensor),
        Ok(Kind::Bytes(bytes)) => {
            text.push_str("\"type\":\"bytes\",\"storage\":");
            put_storage(&mut text, bytes.storage());
        }
        Ok(Kind::Opaque) => text.push_str("\"type\":\"opaque\""),
        Err(_) => return out.push_str("\"corrupt\""),
    }
    out.push_str(&text);
    out.push('}');
}

fn put_storage_meta(out: &mut String, metadata: &Metadata<'_>) {
    let Some(meta) = metadata.storage_meta() else { return out.push_str("null") };
    out.push_str("{\"checkpoint_id\":");
    put_optional_text(out, meta.checkpoint_id().map(|v| v.bytes()));
    out.push_str(",\"save_id\":");
    put_optional_text(out, meta.save_id().map(|v| v.bytes()));
    out.push_str(",\"load_id\":");
    put_optional_text(out, meta.load_id().map(|v| v.bytes()));
    out.push_str(",\"modules\":");
    if meta.has_modules() {
        let bytes = meta.modules().map_or(&[][..], |v| v.bytes());
        let mut begin = 0;
        put_list(out, meta.module_ends().iter().flat_map(|v| v.iter()), |out, end| {
            put_text(out, bytes.get(begin..end as usize).unwrap_or(b""));
            begin = end as usize;
        });
    } else {
        out.push_str("null");
    }
    out.push('}');
}

fn canonical_json(metadata: &Metadata<'_>) -> String {
    let c = metadata.columns();
    let mut out = format!("{{\"format\":[{},{}],\"fragment_rank\":{},\"version\":", c.format_major, c.format_minor, c.fragment_rank);
    put_optional_text(&mut out, metadata.version());
    out.push_str(",\"storage_meta\":");
    put_storage_meta(&mut out, metadata);
    out.push_str(",\"files\":");
    put_list(&mut out, metadata.files(), |out, name| put_text(out, name.unwrap_or(b"corrupt")));
    out.push(',');
    put_file_facts(&mut out, metadata);
    out.push_str("\"entries\":");
    put_list(&mut out, 0..metadata.len(), |out, position| put_entry(out, metadata, position));
    out.push_str("}\n");
    out
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn numbers(text: &str) -> Vec<i64> {
    if text == "()" { Vec::new() } else { text.split(',').map(|n| n.parse().unwrap()).collect() }
}

fn answer(metadata: &Metadata<'_>, question: &str) -> String {
    let fields: Vec<&str> = question.split('\t').collect();
    let name = unhex(fields[1]);
    let found: Result<Option<String>, Error> = match fields[0] {
        "find" => metadata.find(&name).map(|entry| entry.map(|e| e.position().to_string())),
        "storage" => {
            let offset = (fields[2] != "-").then(|| numbers(fields[2]));
            metadata
                .find_storage(&name, offset.as_deref())
                .map(|s| s.map(|s| format!("{}\t{}\t{}", hex(s.relative_path), s.byte_offset, s.length)))
        }
        "prefix" => metadata.prefix(&name).map(|range| range.map(|r| format!("{}\t{}", r.start, r.end))),
        "overlap" => metadata.find(&name).and_then(|entry| overlap(entry, &numbers(fields[2]), &numbers(fields[3]))),
        "ranges" => metadata.find(&name).and_then(|entry| ranges(entry, &numbers(fields[2]), &numbers(fields[3]))),
        other => panic!("unknown question {other}"),
    };
    match found {
        Ok(Some(answer)) => format!("found\t{answer}"),
        Ok(None) => "absent".to_owned(),
        Err(error) => error.code.name().to_owned(),
    }
}

fn ranges(entry: Option<flatpoint::Entry<'_>>, offsets: &[i64], sizes: &[i64]) -> Result<Option<String>, Error> {
    let Some(entry) = entry else { return Ok(None) };
    let Some(tensor) = entry.tensor()? else { return Ok(None) };
    let ranges = tensor.ranges(offsets, sizes)?;
    let texts: Vec<String> = ranges.iter().map(|r| format!("{}:{}:{}:{}", r.file, r.byte_offset, r.length, r.box_offset)).collect();
    Ok(Some(if texts.is_empty() { "()".to_owned() } else { texts.join(",") }))
}

fn overlap(entry: Option<flatpoint::Entry<'_>>, offsets: &[i64], sizes: &[i64]) -> Result<Option<String>, Error> {
    let Some(entry) = entry else { return Ok(None) };
    let Kind::Tensor(tensor) = entry.kind()? else { return Ok(None) };
    let rows = tensor.overlapping(offsets, sizes).filter(|rows| !rows.is_empty());
    Ok(rows.map(|rows| rows.iter().map(u32::to_string).collect::<Vec<_>>().join(",")))
}

/// Files that open: what they print and answer.
fn check(kind: &str) {
    for case in cases(kind).iter().filter(|case| case.code == "opens") {
        let name = &case.name;
        let file = MetadataFile::open(written(kind, &case.bytes)).unwrap();
        assert!(kind == "hostile" || file.digest_matches(), "{name}");
        let metadata = file.metadata();
        assert_eq!(canonical_json(&metadata), case.json, "{name}");
        for (question, expected) in &case.asked {
            assert_eq!(&answer(&metadata, question), expected, "{name}: {question}");
        }
    }
}

#[test]
fn says_what_golden_files_say() {
    check("golden");
}

#[test]
fn says_what_hostile_files_say() {
    check("hostile");
}

#[test]
fn opens_or_refuses_with_the_same_codes() {
    for case in cases("golden").iter().chain(&cases("hostile")) {
        for opened in [MetadataFile::open(written("codes", &case.bytes)), MetadataFile::from_bytes(&case.bytes)] {
            assert_eq!(opened.map_or_else(|e| e.code.name(), |_| "opens"), case.code, "{}", case.name);
        }
    }
}

#[test]
fn refuses_what_is_no_metadata_file() {
    let code = |path: &Path| MetadataFile::open(path).err().map(|e| e.code);
    assert_eq!(code(&suite().join("absent.flatpoint")), Some(Code::NotFound));
    assert_eq!(code(&suite()), Some(Code::NotFound));
    assert_eq!(code(Path::new("/dev/null")), Some(Code::Io));

    let path = written("sparse", &small());
    fs::File::options().write(true).open(&path).unwrap().set_len(1 << 31).unwrap();
    assert_eq!(code(&path), Some(Code::TooLarge));
    fs::remove_file(&path).unwrap();
}

#[test]
fn a_folder_is_its_metadata_and_a_pickle_says_what_to_run() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("folder");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(".metadata"), b"\x80\x04N.").unwrap();
    let _ = fs::remove_file(folder.join(".metadata.flatpoint"));
    for path in [folder.clone(), folder.join(".metadata")] {
        let error = MetadataFile::open(path).err().unwrap();
        assert_eq!(error.code, Code::NotFlatpoint);
        assert!(error.message.ends_with(".metadata`") && error.message.contains("flatpoint import"), "{error}");
    }
    fs::write(folder.join(".metadata.flatpoint"), small()).unwrap();
    let file = MetadataFile::open(&folder).unwrap();
    let metadata = file.metadata();
    let names: Vec<_> = metadata.entries().map(|entry| entry.unwrap().name().into_owned()).collect();
    assert_eq!(names, ["bytes", "even", "explicit", "grid", "opaque", "other", "whole"]);
    let even = metadata.find("even").unwrap().unwrap().tensor().unwrap().unwrap();
    assert_eq!((even.dtype_name().as_ref(), even.chunks().count()), ("float32", 4));
    assert!(metadata.find("bytes").unwrap().unwrap().tensor().unwrap().is_none());
}

#[test]
fn bytes_that_changed_fail_the_digest() {
    let mut bytes = small();
    assert!(MetadataFile::from_bytes(&bytes).unwrap().digest_matches());
    let last = bytes.len() - 25;
    bytes[last] ^= 1;
    assert!(!MetadataFile::from_bytes(&bytes).unwrap().digest_matches());
}
