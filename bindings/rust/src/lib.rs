//! Reads flatpoint metadata files: what PyTorch Distributed Checkpoint's `.metadata` says of a sharded checkpoint, mapped
//! and queried in place.
//!
//! ```no_run
//! let file = flatpoint::MetadataFile::open("ckpt/")?;
//! let metadata = file.metadata();
//! for entry in metadata.entries() {
//!     println!("{}", entry?.name());
//! }
//! # Ok::<(), flatpoint::Error>(())
//! ```
//!
//! Opening checks rules F1 to F8 of the format and costs the same at any size. Look-ups check the ranges that they follow:
//! whatever the bytes are, they answer, say [`Error`], and never read outside the file.

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod columns;
mod data;
mod error;
mod file;
mod metadata;
mod names;
mod ranges;
mod tables;
mod tensor;

#[allow(clippy::all, clippy::pedantic, mismatched_lifetime_syntaxes, unused_imports, dead_code)]
#[rustfmt::skip]
mod generated; // a link to generated/rust, so that the packed crate holds it

pub use columns::{Columns, EntryRow, LooseStorageRow, PropertiesRow, TextColumn, TransformListRow};
pub use data::{DataFiles, FileFacts};
pub use error::{Code, Error};
pub use file::MetadataFile;
pub use generated::flatpoint::fb;
pub use metadata::Metadata;
pub use ranges::BoxRange;
pub use tensor::{Bytes, Chunk, ChunkData, Entry, Kind, StorageInfo, Tensor};
