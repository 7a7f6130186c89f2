//! Boxes and chunks out of data files: the golden case "data_files", whose files each test writes.

use std::fs;
use std::path::{Path, PathBuf};

use flatpoint::{Code, DataFiles, Error, MetadataFile, Tensor};

fn content(name: &str) -> Vec<u8> {
    (0..100u32).map(|i| u8::try_from((7 * i + u32::from(name.as_bytes()[0])) % 256).unwrap()).collect()
}

fn metadata_file() -> MetadataFile {
    let suite = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance/golden.cases");
    let text = fs::read_to_string(suite).unwrap();
    let mut lines = text.lines().skip_while(|line| !line.starts_with("case\tdata_files\t"));
    let hex = lines.find_map(|line| line.strip_prefix("file\t")).unwrap();
    let bytes: Vec<u8> = (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect();
    MetadataFile::from_bytes(&bytes).unwrap()
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    for file in ["a.bin", "b.bin", "c.bin"] {
        fs::write(folder.join(file), content(file)).unwrap();
    }
    folder
}

/// Of the chunks of "columns", row by row.
fn columns() -> Vec<u8> {
    let a = content("a");
    (0..4).flat_map(|row| [&a[10 + 3 * row..13 + 3 * row], &a[50 + 3 * row..53 + 3 * row]].concat()).collect()
}

fn code<T>(result: Result<T, Error>) -> Option<Code> {
    result.err().map(|error| error.code)
}

fn read(files: &DataFiles<'_>, tensor: &Tensor<'_>, offsets: &[i64], sizes: &[i64], length: usize) -> Result<Vec<u8>, Error> {
    let mut bytes = vec![0; length];
    files.read(tensor, offsets, sizes, &mut bytes).map(|()| bytes)
}

#[test]
fn boxes_and_checksums() {
    let file = metadata_file();
    let metadata = file.metadata();
    let tensor = |name: &str| metadata.find(name).unwrap().unwrap().tensor().unwrap().unwrap();
    let files = DataFiles::new(metadata, folder("boxes"));
    let wanted = columns();
    let whole = tensor("columns");
    assert_eq!(files.read_all(&whole).unwrap(), wanted);
    assert_eq!(read(&files, &whole, &[1, 2], &[2, 3], 6).unwrap(), [&wanted[8..11], &wanted[14..17]].concat());
    assert_eq!(read(&files, &whole, &[4, 0], &[0, 6], 0).unwrap(), []);
    assert_eq!(code(read(&files, &whole, &[1, 0], &[4, 6], 24)), Some(Code::InvalidArgument));
    assert_eq!(code(read(&files, &whole, &[0, 0], &[4, 6], 23)), Some(Code::InvalidArgument));
    let chunks: Vec<_> = whole.chunks().map(Result::unwrap).collect();
    assert_eq!(files.chunk(&chunks[0]).unwrap(), &content("a")[10..22]);
    assert!(files.check(&chunks[0]).unwrap());
    assert_eq!(code(files.check(&chunks[1])), Some(Code::Checksum));
    assert!(!files.check(&tensor("stale").chunk_by_row(0).unwrap()).unwrap());
}

#[test]
fn files_of_another_time_length_or_place() {
    let file = metadata_file();
    let metadata = file.metadata();
    let tensor = |name: &str| metadata.find(name).unwrap().unwrap().tensor().unwrap().unwrap();
    let place = folder("others");
    let files = DataFiles::new(metadata, &place);
    assert_eq!(files.read_all(&tensor("rows")).unwrap(), content("b")[10..34]); // its checksum holds
    assert_eq!(code(files.read_all(&tensor("stale"))), Some(Code::Changed));
    assert_eq!(code(files.read_all(&tensor("longer"))), Some(Code::Changed));
    assert_eq!(code(files.read_all(&tensor("outside"))), Some(Code::Outside));
    let trusting = DataFiles::new(metadata, &place).accept_times();
    assert_eq!(trusting.read_all(&tensor("stale")).unwrap(), content("b")[50..52]);

    let mut other = content("b");
    other[12] ^= 1;
    fs::remove_file(place.join("b.bin")).unwrap(); // the old one stays mapped
    fs::write(place.join("b.bin"), &other).unwrap();
    assert_eq!(code(DataFiles::new(metadata, &place).read_all(&tensor("rows"))), Some(Code::Changed));

    let opened = DataFiles::new(metadata, &place);
    opened.read_all(&tensor("columns")).unwrap();
    let a = fs::File::options().write(true).open(place.join("a.bin")).unwrap();
    a.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1)).unwrap();
    assert_eq!(code(opened.read_all(&tensor("columns"))), Some(Code::Changed));
    fs::remove_file(place.join("a.bin")).unwrap();
    assert_eq!(code(DataFiles::new(metadata, &place).read_all(&tensor("columns"))), Some(Code::NotFound));

    fs::write(place.join("d.bin"), content(".")).unwrap();
    fs::create_dir(place.join("sub")).unwrap();
    let outside = DataFiles::new(metadata, place.join("sub")).allow_outside();
    assert_eq!(outside.read_all(&tensor("outside")).unwrap(), content(".")[10..12]);
}
