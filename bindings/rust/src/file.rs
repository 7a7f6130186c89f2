use std::fs::File;
use std::path::Path;

use crate::columns::{decode, digest_matches, root};
use crate::error::{Code, Error};
use crate::generated::flatpoint::fb;
use crate::metadata::Metadata;

enum Owner {
    Mapped(memmap2::Mmap),
    Words(Vec<u64>, usize),
}

/// DCP's own `.metadata`, which this crate does not read.
fn pickle(path: &Path) -> Error {
    let path = path.display();
    Error::new(Code::NotFlatpoint, format!("{path}: a pickle, no flatpoint file: run `flatpoint import {path}`"))
}

/// An open metadata file. Reading is safe from any number of threads.
pub struct MetadataFile {
    owner: Owner,
}

impl MetadataFile {
    /// Maps a file, or the `.metadata.flatpoint` of a folder, and checks rules F1 to F8; nothing beside it is looked at. The
    /// file must not be written in place while it is open (publish by rename); where others do, read it and use
    /// [`MetadataFile::from_bytes`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let given = path.as_ref();
        let inside = given.join(".metadata.flatpoint");
        let path = if given.is_dir() { &inside } else { given };
        if given.is_dir() && !path.exists() && given.join(".metadata").exists() {
            return Err(pickle(&given.join(".metadata")));
        }
        let io = |e: std::io::Error| {
            let code = if e.kind() == std::io::ErrorKind::NotFound { Code::NotFound } else { Code::Io };
            Error::new(code, format!("{}: {e}", path.display()))
        };
        let file = File::open(path).map_err(io)?;
        if !file.metadata().map_err(io)?.is_file() {
            return Err(Error::new(Code::Io, format!("{}: not a regular file", path.display())));
        }
        // SAFETY: metadata files are published by rename and never written in place; see above.
        let map = unsafe { memmap2::Mmap::map(&file) }.map_err(io)?;
        let is_pickle = map.first() == Some(&0x80);
        Self::check(Owner::Mapped(map)).map_err(|e| match e.code {
            Code::NotFlatpoint if is_pickle => pickle(path),
            code => Error::new(code, format!("{}: {}", path.display(), e.message)),
        })
    }

    /// Copies bytes in memory (to an aligned place) and checks them as [`MetadataFile::open`] does.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let mut words = vec![0u64; bytes.len().div_ceil(8)];
        bytemuck::cast_slice_mut(&mut words)[..bytes.len()].copy_from_slice(bytes);
        Self::check(Owner::Words(words, bytes.len()))
    }

    fn check(owner: Owner) -> Result<Self, Error> {
        let file = MetadataFile { owner };
        decode(file.bytes())?;
        Ok(file)
    }

    /// The whole file: `FlatBuffer` and trailer.
    pub fn bytes(&self) -> &[u8] {
        match &self.owner {
            Owner::Mapped(map) => map,
            Owner::Words(words, length) => &bytemuck::cast_slice(words)[..*length],
        }
    }

    /// Whether the trailer's digest is that of the bytes (rule F9). Reads the whole file.
    pub fn digest_matches(&self) -> bool {
        digest_matches(self.bytes())
    }

    /// What the file says. Take it once and keep it: it decodes the root table.
    ///
    /// # Panics
    /// Never for a file that nobody writes in place: it was decoded once already.
    pub fn metadata(&self) -> Metadata<'_> {
        Metadata::new(decode(self.bytes()).expect("the file was decoded when it was opened"), self.root())
    }

    /// The generated root table, for what this crate does not wrap.
    pub fn root(&self) -> fb::Metadata<'_> {
        root(self.bytes())
    }
}
