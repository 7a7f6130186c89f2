//! Tensors out of local data files, by what the columns say alone: no zip, no pickle.

use std::fs::File;
use std::path::{Component, PathBuf};
use std::sync::OnceLock;
use std::time::UNIX_EPOCH;

use crate::columns::{NO_FILE_LENGTH, TextColumn};
use crate::error::{Code, Error};
use crate::metadata::Metadata;
use crate::names::{CHECKSUM_KINDS, FILE_FORMATS, known_name};
use crate::tensor::{Chunk, ChunkData, Tensor};

/// A data file as it was when the begins of its chunks' data were read. `None`: unknown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFacts {
    pub length: Option<u64>,
    /// Nanoseconds since 1970.
    pub modified_ns: Option<i64>,
    /// "unknown", "torch_save", "safetensors", "archive", "mixed"; "unknown:N".
    pub format: String,
}

impl Metadata<'_> {
    /// Nothing is known of a file that is out of range.
    pub fn file_facts(&self, file: u32) -> FileFacts {
        let (c, i) = (self.columns(), file as usize);
        FileFacts {
            length: c.file_lengths.get(i).copied().filter(|&length| length != NO_FILE_LENGTH),
            modified_ns: c.file_times.get(i).copied().filter(|&time| time != 0),
            format: known_name(&FILE_FORMATS, c.file_formats.get(i).copied().unwrap_or(0)),
        }
    }

    /// What [`ChunkData::checksum`] is: "xxh3", "crc32"; "unknown:N" where this version does not know it.
    pub fn checksum_kind(&self) -> Option<String> {
        let kind = self.columns().checksum_kind;
        (kind != 0).then(|| known_name(&CHECKSUM_KINDS, kind))
    }
}

struct Mapped {
    path: PathBuf,
    file: File,
    bytes: Option<memmap2::Mmap>, // None: an empty file
    stamp: (u64, i64),
    is_other_time: bool,
}

impl Mapped {
    fn bytes(&self) -> &[u8] {
        self.bytes.as_deref().unwrap_or_default()
    }
}

/// The data files of a checkpoint's folder, mapped on first use; each stays open as long as this. Safe for use by any number of
/// threads.
///
/// A file of another length than the metadata states is refused (`Changed`), and so is one of another time, unless the metadata
/// has a checksum of the chunk that is asked for, and it holds, or [`DataFiles::accept_times`] says that the folder was copied. A
/// file that is truncated while it is mapped raises SIGBUS: publish by rename.
pub struct DataFiles<'a> {
    metadata: Metadata<'a>,
    folder: PathBuf,
    files: Vec<OnceLock<Mapped>>,
    accept_times: bool,
    allow_outside: bool,
}

impl<'a> DataFiles<'a> {
    pub fn new(metadata: Metadata<'a>, folder: impl Into<PathBuf>) -> Self {
        let files = metadata.columns().file_names.ends.iter().map(|_| OnceLock::new()).collect();
        DataFiles { metadata, folder: folder.into(), files, accept_times: false, allow_outside: false }
    }

    /// The folder was copied: other times say nothing.
    #[must_use]
    pub fn accept_times(mut self) -> Self {
        self.accept_times = true;
        self
    }

    /// Opens files whose path leaves the folder ("../x", "/x"). A metadata file from elsewhere may name any file of this machine.
    #[must_use]
    pub fn allow_outside(mut self) -> Self {
        self.allow_outside = true;
        self
    }

    /// The elements of a chunk, without a copy: row-major, little-endian, of the tensor's dtype; aligned to nothing.
    pub fn chunk(&self, chunk: &Chunk<'_>) -> Result<&[u8], Error> {
        self.admitted(chunk, &chunk.known_data()?)
    }

    /// A box, row-major. `to`: as many bytes as it has; after an error it holds anything. Codes of errors: those of
    /// [`Tensor::ranges`]; `Changed`, `Checksum`, `Truncated`, `Outside`, `NotFound`, `Io`.
    pub fn read(&self, tensor: &Tensor<'_>, offsets: &[i64], sizes: &[i64], to: &mut [u8]) -> Result<(), Error> {
        let ranges = tensor.ranges(offsets, sizes)?;
        if tensor.box_bytes(offsets, sizes)? != to.len() as u64 {
            return Err(Error::new(Code::InvalidArgument, format!("{}: {} bytes are not those of the box", tensor.name(), to.len())));
        }
        if ranges.is_empty() {
            return Ok(());
        }
        for chunk in tensor.sharing(offsets, sizes) {
            self.admitted(&chunk, &chunk.known_data()?)?;
        }
        let mut touched: Vec<&Mapped> = Vec::new();
        for range in &ranges {
            let file = self.open(range.file)?;
            to[place(range.box_offset, range.length)].copy_from_slice(&file.bytes()[place(range.byte_offset, range.length)]);
            if !touched.iter().any(|known| std::ptr::eq(*known, file)) {
                touched.push(file);
            }
        }
        touched.into_iter().try_for_each(check_unchanged)
    }

    /// The whole tensor.
    pub fn read_all(&self, tensor: &Tensor<'_>) -> Result<Vec<u8>, Error> {
        let offsets = vec![0; tensor.ndim()];
        let size = tensor.box_bytes(&offsets, tensor.size())?;
        tensor.ranges(&offsets, tensor.size())?; // before memory is taken for what a broken file claims
        let size = usize::try_from(size).map_err(|_| Error::new(Code::TooLarge, format!("{}: {size} bytes", tensor.name())))?;
        let mut bytes = vec![0; size];
        self.read(tensor, &offsets, tensor.size(), &mut bytes)?;
        Ok(bytes)
    }

    /// Compares a chunk with its checksum: `Checksum` where it differs, false where there is none.
    pub fn check(&self, chunk: &Chunk<'_>) -> Result<bool, Error> {
        let Some(data) = chunk.data()? else { return Ok(false) };
        let (file, elements) = self.elements(chunk, &data)?;
        match self.has_checksum(&data, elements) {
            Some(false) => Err(wrong_checksum(Code::Checksum, file, chunk)),
            holds => Ok(holds.is_some()),
        }
    }

    /// Whether elements have their checksum; `None` where it is not known.
    fn has_checksum(&self, data: &ChunkData, elements: &[u8]) -> Option<bool> {
        let found = match self.metadata.columns().checksum_kind {
            1 => xxhash_rust::xxh3::xxh3_64(elements),
            2 => u64::from(crc32(elements)),
            _ => return None,
        };
        data.checksum.map(|stated| stated == found)
    }

    fn elements(&self, chunk: &Chunk<'_>, data: &ChunkData) -> Result<(&Mapped, &[u8]), Error> {
        let file = self.open(data.file)?;
        let end = data.byte_offset.checked_add(data.length);
        if end.is_none_or(|end| end > file.bytes().len() as u64) {
            let message = format!("{}: ends at byte {}, inside the data of row {}", file.path.display(), file.stamp.0, chunk.row());
            return Err(Error::new(Code::Truncated, message));
        }
        Ok((file, &file.bytes()[place(data.byte_offset, data.length)]))
    }

    fn admitted(&self, chunk: &Chunk<'_>, data: &ChunkData) -> Result<&[u8], Error> {
        let (file, elements) = self.elements(chunk, data)?;
        if !file.is_other_time {
            return Ok(elements);
        }
        match self.has_checksum(data, elements) {
            Some(true) => Ok(elements),
            Some(false) => Err(wrong_checksum(Code::Changed, file, chunk)),
            None => {
                let message = format!("was written after the metadata was, and row {} has no known checksum", chunk.row());
                Err(Error::new(Code::Changed, format!("{}: {message}", file.path.display())))
            }
        }
    }

    fn open(&self, number: u32) -> Result<&Mapped, Error> {
        let slot = self.files.get(number as usize).ok_or_else(|| Error::corrupt(format!("E6: data file {number}")))?;
        if let Some(file) = slot.get() {
            return Ok(file);
        }
        let file = self.open_now(number)?;
        Ok(slot.get_or_init(|| file))
    }

    fn open_now(&self, number: u32) -> Result<Mapped, Error> {
        let names: TextColumn<'a> = self.metadata.columns().file_names;
        let name = names.get(number as usize).ok_or_else(|| Error::corrupt(format!("V7: name of file {number}")))?;
        let relative = path_of(name);
        let is_inside = !name.is_empty() && relative.components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
        if name.contains(&0) || !(is_inside || self.allow_outside) {
            return Err(Error::new(
                Code::Outside,
                format!("{}: the path of a data file leaves the checkpoint's folder", relative.display()),
            ));
        }
        let path = self.folder.join(&relative);
        let io = |e: std::io::Error| {
            let code = if e.kind() == std::io::ErrorKind::NotFound { Code::NotFound } else { Code::Io };
            Error::new(code, format!("{}: {e}", path.display()))
        };
        let file = File::open(&path).map_err(io)?;
        let stamp = stamp(&file).map_err(io)?;
        let facts = self.metadata.file_facts(number);
        if let Some(length) = facts.length.filter(|&length| length != stamp.0) {
            let message = format!("{}: has {} bytes, the metadata knows one of {length}", path.display(), stamp.0);
            return Err(Error::new(Code::Changed, message));
        }
        // SAFETY: data files are published by rename and not written in place; see the type's comment.
        let bytes = if stamp.0 == 0 { None } else { Some(unsafe { memmap2::Mmap::map(&file) }.map_err(io)?) };
        let is_other_time = !self.accept_times && facts.modified_ns.is_some_and(|time| time != stamp.1);
        Ok(Mapped { path, file, bytes, stamp, is_other_time })
    }
}

/// A path as the operating system has it.
fn path_of(name: &[u8]) -> PathBuf {
    #[cfg(unix)]
    return PathBuf::from(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(name));
    #[cfg(not(unix))]
    return PathBuf::from(String::from_utf8_lossy(name).into_owned());
}

/// Length and modification time of a file.
fn stamp(file: &File) -> std::io::Result<(u64, i64)> {
    let status = file.metadata()?;
    if !status.is_file() {
        return Err(std::io::Error::other("not a regular file"));
    }
    let time = status.modified()?.duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(0));
    Ok((status.len(), time))
}

fn check_unchanged(file: &Mapped) -> Result<(), Error> {
    match stamp(&file.file) {
        Ok(now) if now == file.stamp => Ok(()),
        _ => Err(Error::new(Code::Changed, format!("{}: was written while it was read", file.path.display()))),
    }
}

fn wrong_checksum(code: Code, file: &Mapped, chunk: &Chunk<'_>) -> Error {
    Error::new(code, format!("{}: the bytes of row {} do not have their checksum", file.path.display(), chunk.row()))
}

/// A range of what lies in memory.
#[allow(clippy::cast_possible_truncation)] // checked against the length of a slice
fn place(begin: u64, length: u64) -> std::ops::Range<usize> {
    begin as usize..(begin + length) as usize
}

/// CRC-32 as zip has it.
fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut i = 0;
        while i < 256 {
            #[allow(clippy::cast_possible_truncation)]
            let mut value = i as u32;
            let mut bit = 0;
            while bit < 8 {
                value = if value & 1 == 0 { value >> 1 } else { value >> 1 ^ 0xEDB8_8320 };
                bit += 1;
            }
            table[i] = value;
            i += 1;
        }
        table
    };
    !bytes.iter().fold(!0, |crc, &byte| crc >> 8 ^ TABLE[((crc ^ u32::from(byte)) & 0xFF) as usize])
}
