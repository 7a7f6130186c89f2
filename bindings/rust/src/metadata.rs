//! Look-ups by name: the hash column, binary search, prefixes.

use std::cmp::Ordering;
use std::ops::Range;

use crate::columns::Columns;
use crate::error::Error;
use crate::generated::flatpoint::fb;
use crate::tensor::{Entry, StorageInfo, storage_at};

const MAX_PROBES: u32 = 32;

/// What a metadata file says. Borrows from its [`crate::MetadataFile`]; cheap to copy.
#[derive(Clone, Copy)]
pub struct Metadata<'a> {
    columns: Columns<'a>,
    root: fb::Metadata<'a>,
}

impl<'a> Metadata<'a> {
    pub(crate) fn new(columns: Columns<'a>, root: fb::Metadata<'a>) -> Self {
        Metadata { columns, root }
    }

    /// Every column that a loader needs, for bulk work.
    pub fn columns(&self) -> &Columns<'a> {
        &self.columns
    }

    /// Number of FQNs.
    pub fn len(&self) -> u32 {
        u32::try_from(self.columns.entries.len()).expect("a file below 2 GiB")
    }

    pub fn is_empty(&self) -> bool {
        self.columns.entries.is_empty()
    }

    /// The entry at a position of the sorted order.
    ///
    /// # Panics
    /// Where `position` is not below `len()`.
    pub fn entry(&self, position: u32) -> Result<Entry<'_>, Error> {
        Entry::new(&self.columns, position)
    }

    /// All entries, sorted by FQN.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = Result<Entry<'_>, Error>> + DoubleEndedIterator {
        (0..self.columns.entries.len()).map(|position| {
            #[allow(clippy::cast_possible_truncation)] // below len()
            self.entry(position as u32)
        })
    }

    /// `state_dict_metadata[fqn]`, compared as bytes: `&str`, `&[u8]` and what gives them. O(1): at most 32 probes, then
    /// binary search.
    pub fn find(&self, fqn: impl AsRef<[u8]>) -> Result<Option<Entry<'_>>, Error> {
        let fqn = fqn.as_ref();
        let hash = xxhash_rust::xxh3::xxh3_64(fqn);
        let index_bits = 32 - self.len().leading_zeros();
        let index_mask = (1u64 << index_bits) - 1;
        let tag = (hash >> 32) >> index_bits;
        let mask = self.columns.fqn_slots.len() - 1;
        for probe in 0..MAX_PROBES {
            #[allow(clippy::cast_possible_truncation)] // the low bits are what counts
            let slot = u64::from(self.columns.fqn_slots[(hash as usize).wrapping_add(probe as usize) & mask]);
            if slot == 0 {
                return Ok(None);
            }
            let position = (slot & index_mask).wrapping_sub(1);
            if position >= u64::from(self.len()) || slot >> index_bits != tag {
                continue;
            }
            #[allow(clippy::cast_possible_truncation)] // below len()
            let position = position as u32;
            if self.name(position)? == fqn {
                return self.entry(position).map(Some);
            }
        }
        let position = self.partition_point(0, |name| name < fqn)?;
        if position < self.len() && self.name(position)? == fqn {
            return self.entry(position).map(Some);
        }
        Ok(None)
    }

    /// `storage_data[MetadataIndex(fqn, offset)]`.
    pub fn find_storage(&self, fqn: impl AsRef<[u8]>, offset: Option<&[i64]>) -> Result<Option<StorageInfo<'_>>, Error> {
        let fqn = fqn.as_ref();
        if let Some(entry) = self.find(fqn)?
            && let Some(storage) = entry.find_storage(offset)?
        {
            return Ok(Some(storage));
        }
        self.find_loose(fqn, offset)
    }

    /// The positions of all FQNs that begin with `prefix`; `None` where there is none.
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> Result<Option<Range<u32>>, Error> {
        let prefix = prefix.as_ref();
        let begin = self.partition_point(0, |name| name < prefix)?;
        let end = self.partition_point(begin, |name| &name[..name.len().min(prefix.len())] <= prefix)?;
        Ok((begin < end).then_some(begin..end))
    }

    /// `relative_path` of every data file.
    pub fn files(&self) -> impl ExactSizeIterator<Item = Result<&'a [u8], Error>> {
        let names = self.columns.file_names;
        (0..names.ends.len()).map(move |i| names.get(i).ok_or_else(|| Error::corrupt(format!("V7: name of file {i}"))))
    }

    /// `Metadata.version`; `None` in files from before torch 2.9.
    pub fn version(&self) -> Option<&'a [u8]> {
        self.root.version().map(|v| v.bytes())
    }

    /// The generated `StorageMeta`.
    pub fn storage_meta(&self) -> Option<fb::StorageMeta<'a>> {
        self.root.storage_meta()
    }

    fn name(&self, position: u32) -> Result<&'a [u8], Error> {
        let row = &self.columns.entries[position as usize];
        name_at(&self.columns, row.fqn_begin, row.fqn_length).ok_or_else(|| Error::corrupt(format!("E1: FQN of entry {position}")))
    }

    fn partition_point(&self, mut begin: u32, before: impl Fn(&[u8]) -> bool) -> Result<u32, Error> {
        let mut end = self.len();
        while begin < end {
            let middle = begin + (end - begin) / 2;
            if before(self.name(middle)?) {
                begin = middle + 1;
            } else {
                end = middle;
            }
        }
        Ok(begin)
    }

    fn find_loose(&self, fqn: &[u8], offset: Option<&[i64]>) -> Result<Option<StorageInfo<'_>>, Error> {
        let c = &self.columns;
        let (mut begin, mut end) = (0, c.loose_storage.len());
        while begin < end {
            let middle = begin + (end - begin) / 2;
            let row = &c.loose_storage[middle];
            let corrupt = || Error::corrupt(format!("V12: loose storage {middle}"));
            let name = name_at(c, row.fqn_begin, row.fqn_length).ok_or_else(corrupt)?;
            let at = row.offset_begin as usize;
            let own = c.sizes.get(at..at + usize::from(row.ndim)).ok_or_else(corrupt)?;
            match (name, (row.has_offset != 0).then_some(own)).cmp(&(fqn, offset)) {
                Ordering::Equal => return storage_at(c, c.chunk_rows() + middle, row.length_begin as usize),
                Ordering::Less => begin = middle + 1,
                Ordering::Greater => end = middle,
            }
        }
        Ok(None)
    }
}

pub(crate) fn name_at<'a>(columns: &Columns<'a>, begin: u32, length: u32) -> Option<&'a [u8]> {
    columns.fqns.get(begin as usize..begin as usize + length as usize)
}
