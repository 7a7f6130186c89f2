//! Entries, tensors, the boxes of their chunks, and where those lie.

use std::borrow::Cow;

use crate::columns::{Columns, EntryRow, NO_CHECKSUM, NO_DATA_BEGIN, NO_FILE, NO_FILE_LENGTH};
use crate::error::{Code, Error};
use crate::metadata::name_at;
use crate::names::{DTYPES, LAYOUTS, MEMORY_FORMATS, OTHER, item_size, known_name};

const TENSOR: u8 = 0;
const BYTES: u8 = 1;

const WHOLE: u8 = 0;
const EXPLICIT: u8 = 1;
const GRID: u8 = 2;
const EVEN_GRID: u8 = 3;

/// One FQN of `state_dict_metadata`.
#[derive(Clone, Copy)]
pub struct Entry<'a> {
    columns: &'a Columns<'a>,
    row: EntryRow,
    position: u32,
    fqn: &'a [u8],
}

/// What an entry is.
pub enum Kind<'a> {
    Tensor(Tensor<'a>),
    Bytes(Bytes<'a>),
    /// An object of a class that is not DCP's.
    Opaque,
}

impl<'a> Entry<'a> {
    /// Rules E1 and E4.
    pub(crate) fn new(columns: &'a Columns<'a>, position: u32) -> Result<Self, Error> {
        let row = columns.entries[position as usize];
        let fqn = name_at(columns, row.fqn_begin, row.fqn_length).ok_or_else(|| Error::corrupt(format!("E1: FQN of entry {position}")))?;
        if u64::from(row.chunk_begin) + u64::from(row.chunk_count) > columns.chunk_rows() as u64 {
            return Err(Error::corrupt(format!("E4: rows of entry {position}")));
        }
        Ok(Entry { columns, row, position, fqn })
    }

    /// UTF-8 with Python's surrogates kept.
    pub fn fqn(&self) -> &'a [u8] {
        self.fqn
    }

    /// The FQN as text; what is no UTF-8 becomes U+FFFD.
    pub fn name(&self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.fqn)
    }

    /// Position in the sorted order.
    pub fn position(&self) -> u32 {
        self.position
    }

    /// The tensor; `None` for what is none.
    pub fn tensor(&self) -> Result<Option<Tensor<'a>>, Error> {
        Ok(match self.kind()? {
            Kind::Tensor(tensor) => Some(tensor),
            _ => None,
        })
    }

    pub fn kind(&self) -> Result<Kind<'a>, Error> {
        match self.row.storage_type {
            TENSOR => Tensor::new(self.columns, self.row).map(Kind::Tensor),
            BYTES => Ok(Kind::Bytes(Bytes { entry: *self })),
            _ => Ok(Kind::Opaque),
        }
    }

    /// Storage information of the chunk at an offset; without one, of bytes.
    pub(crate) fn find_storage(&self, offset: Option<&[i64]>) -> Result<Option<StorageInfo<'a>>, Error> {
        match (self.row.storage_type, offset) {
            (TENSOR, Some(offset)) => Tensor::new(self.columns, self.row)?.find_chunk(offset).map_or(Ok(None), |chunk| chunk.storage()),
            (BYTES, None) => Bytes { entry: *self }.storage(),
            _ => Ok(None),
        }
    }
}

/// `BytesStorageMetadata`.
#[derive(Clone, Copy)]
pub struct Bytes<'a> {
    entry: Entry<'a>,
}

impl<'a> Bytes<'a> {
    /// Where the bytes lie; `None` without storage information.
    pub fn storage(&self) -> Result<Option<StorageInfo<'a>>, Error> {
        let row = &self.entry.row;
        if row.chunk_count == 0 {
            return Ok(None);
        }
        storage_at(self.entry.columns, row.chunk_begin as usize, row.length_begin as usize)
    }
}

/// `TensorStorageMetadata`.
#[derive(Clone, Copy)]
pub struct Tensor<'a> {
    columns: &'a Columns<'a>,
    row: EntryRow,
    size: &'a [i64],
    boxes: &'a [i64],
    order: &'a [u32],
}

impl<'a> Tensor<'a> {
    /// Rules E2, E3 and E5.
    fn new(columns: &'a Columns<'a>, row: EntryRow) -> Result<Self, Error> {
        let ndim = usize::from(row.ndim);
        let at = row.size_begin as usize;
        let dimensions = if row.properties.strides == 2 { 2 * ndim } else { ndim };
        let corrupt = |what: &str| {
            Error::corrupt(format!(
                "{what} of '{}'",
                String::from_utf8_lossy(name_at(columns, row.fqn_begin, row.fqn_length).unwrap_or(b"?"))
            ))
        };
        let size = columns.sizes.get(at..at + dimensions).ok_or_else(|| corrupt("E2: size"))?;
        let boxes = boxes_of(columns, &row).ok_or_else(|| corrupt("E3: boxes"))?;
        let order: &[u32] = if row.reordered == 0 {
            &[]
        } else {
            let at = row.order_begin as usize;
            columns.chunk_order.get(at..at + row.chunk_count as usize).ok_or_else(|| corrupt("E5: chunk order"))?
        };
        Ok(Tensor { columns, row, size, boxes, order })
    }

    pub fn ndim(&self) -> usize {
        usize::from(self.row.ndim)
    }

    /// Elements per dimension.
    pub fn size(&self) -> &'a [i64] {
        &self.size[..self.ndim()]
    }

    /// torch's name without "torch."; "unknown:N" where this version does not know it.
    pub fn dtype(&self) -> Cow<'a, [u8]> {
        self.type_name(&DTYPES, self.row.properties.dtype, self.row.properties.dtype_name)
    }

    /// The same as text.
    pub fn dtype_name(&self) -> Cow<'a, str> {
        match self.dtype() {
            Cow::Borrowed(name) => String::from_utf8_lossy(name),
            Cow::Owned(name) => Cow::Owned(String::from_utf8_lossy(&name).into_owned()),
        }
    }

    /// Bytes of an element; 0 for a dtype that has none here.
    pub fn item_size(&self) -> u64 {
        item_size(self.row.properties.dtype)
    }

    /// The FQN as text.
    pub fn name(&self) -> Cow<'a, str> {
        String::from_utf8_lossy(name_at(self.columns, self.row.fqn_begin, self.row.fqn_length).unwrap_or(b"?"))
    }

    pub fn layout(&self) -> Cow<'a, [u8]> {
        self.type_name(&LAYOUTS, self.row.properties.layout, self.row.properties.layout_name)
    }

    pub fn memory_format(&self) -> String {
        known_name(&MEMORY_FORMATS, self.row.properties.memory_format)
    }

    pub fn requires_grad(&self) -> bool {
        self.row.properties.requires_grad != 0
    }

    pub fn pin_memory(&self) -> bool {
        self.row.properties.pin_memory != 0
    }

    /// In elements; `None` in files from before torch 2.15.
    pub fn strides(&self) -> Option<Vec<i64>> {
        match self.row.properties.strides {
            1 => Some(contiguous_strides(&match self.chunk(0) {
                Some(Ok(chunk)) => (0..self.ndim()).map(|d| chunk.size(d)).collect(),
                _ => self.size().to_vec(),
            })),
            2 => Some(self.size[self.ndim()..].to_vec()),
            _ => None,
        }
    }

    pub fn chunk_count(&self) -> u32 {
        self.row.chunk_count
    }

    /// All chunks in DCP's order.
    pub fn chunks(&self) -> impl Iterator<Item = Result<Chunk<'a>, Error>> {
        let tensor = *self;
        (0..self.row.chunk_count).map_while(move |i| tensor.chunk(i))
    }

    /// The `i`-th chunk in DCP's order; `None` where there is none.
    pub fn chunk(&self, i: u32) -> Option<Result<Chunk<'a>, Error>> {
        if i >= self.row.chunk_count {
            return None;
        }
        let cell = if self.row.reordered == 0 { i } else { self.order[i as usize] };
        Some(if cell < self.row.chunk_count { Ok(Chunk { tensor: *self, cell }) } else { Err(Error::corrupt("E5: chunk order")) })
    }

    /// The `i`-th chunk by rows: sorted by offsets; `None` where there is none.
    pub fn chunk_by_row(&self, i: u32) -> Option<Chunk<'a>> {
        (i < self.row.chunk_count).then_some(Chunk { tensor: *self, cell: i })
    }

    /// The chunk that starts at `offset`. O(ndim * log chunks).
    pub fn find_chunk(&self, offset: &[i64]) -> Option<Chunk<'a>> {
        if offset.len() != self.ndim() {
            return None;
        }
        let cell = match self.row.chunk_layout {
            WHOLE => offset.iter().all(|&o| o == 0).then_some(0),
            EXPLICIT => self.find_explicit(offset),
            _ => self.find_in_grid(offset),
        }?;
        let cell = u32::try_from(cell).ok().filter(|&cell| cell < self.row.chunk_count)?;
        Some(Chunk { tensor: *self, cell })
    }

    /// The rows of all chunks that overlap a box, ascending; `None` where the box has other dimensions. As torch decides it: in
    /// every dimension each begins before the other ends.
    pub fn overlapping(&self, offsets: &[i64], sizes: &[i64]) -> Option<Vec<u32>> {
        if offsets.len() != self.ndim() || sizes.len() != self.ndim() {
            return None;
        }
        let ends: Vec<i64> = offsets.iter().zip(sizes).map(|(offset, size)| offset.saturating_add(*size)).collect();
        if self.row.chunk_layout >= GRID {
            return Some(self.overlapping_cells(offsets, &ends));
        }
        let overlaps = |cell: &u32| {
            (0..self.ndim()).all(|d| {
                let (begin, size) = self.interval(*cell, d);
                begin < ends[d] && offsets[d] < begin.saturating_add(size)
            })
        };
        Some((0..self.row.chunk_count).filter(overlaps).collect())
    }

    /// Cells of a grid by an interval of cells per dimension; the outermost varies slowest. None where a step is
    /// negative, against rule V5.
    fn overlapping_cells(&self, offsets: &[i64], ends: &[i64]) -> Vec<u32> {
        let mut cells: Vec<u32> = vec![0];
        let mut splits = self.ndim();
        for (d, (&begin, &end)) in offsets.iter().zip(ends).enumerate() {
            if self.row.chunk_layout != GRID && self.boxes[self.ndim() + d] < 0 {
                return Vec::new();
            }
            let count = self.cells(d);
            let first = partition_point(count, |i| self.point(d, splits, i + 1) <= begin);
            let last = partition_point(count, |i| self.point(d, splits, i) < end);
            cells = cells
                .iter()
                .flat_map(|&cell| (first..last).map(move |i| u32::try_from(cell as usize * count + i).expect("below chunk_count")))
                .collect();
            splits += count + 1;
        }
        cells
    }

    fn type_name(&self, known: &[&'static str], number: u8, name: u16) -> Cow<'a, [u8]> {
        if number == OTHER
            && let Some(name) = self.columns.type_names.get(usize::from(name)).filter(|name| !name.is_empty())
        {
            return Cow::Borrowed(name);
        }
        known
            .get(usize::from(number))
            .map_or_else(|| Cow::Owned(format!("unknown:{number}").into_bytes()), |name| Cow::Borrowed(name.as_bytes()))
    }

    /// Cells of a grid along a dimension.
    fn cells(&self, d: usize) -> usize {
        usize::try_from(self.boxes[d]).expect("checked by rule E3")
    }

    /// Where a grid's cell `i` begins along a dimension; `splits` is where the split points of that dimension begin.
    fn point(&self, d: usize, splits: usize, i: usize) -> i64 {
        if self.row.chunk_layout == GRID {
            return self.boxes[splits + i];
        }
        let i = i64::try_from(i).unwrap_or(i64::MAX);
        self.boxes[self.ndim() + d].checked_mul(i).map_or(self.size[d], |point| point.min(self.size[d]))
    }

    /// The first cell of a grid that begins at `offset`.
    fn find_in_grid(&self, offset: &[i64]) -> Option<usize> {
        let mut cell = 0usize;
        let mut splits = self.ndim();
        for (d, &wanted) in offset.iter().enumerate() {
            let count = self.cells(d);
            if self.row.chunk_layout != GRID && (wanted < 0 || self.boxes[self.ndim() + d] < 0) {
                return None;
            }
            let along = partition_point(count, |i| self.point(d, splits, i) < wanted);
            if along == count || self.point(d, splits, along) != wanted {
                return None;
            }
            cell = cell * count + along;
            splits += count + 1;
        }
        Some(cell)
    }

    fn find_explicit(&self, offset: &[i64]) -> Option<usize> {
        let count = self.row.chunk_count as usize;
        let offsets = |row: usize| &self.boxes[2 * self.ndim() * row..][..self.ndim()];
        let row = partition_point(count, |row| offsets(row) < offset);
        (row < count && offsets(row) == offset).then_some(row)
    }

    /// Begin and size of a row's box along a dimension.
    fn interval(&self, cell: u32, d: usize) -> (i64, i64) {
        match self.row.chunk_layout {
            WHOLE => (0, self.size[d]),
            EXPLICIT => {
                let at = 2 * self.ndim() * cell as usize + d;
                (self.boxes[at], self.boxes[at + self.ndim()])
            }
            _ => {
                let inner: usize = (d + 1..self.ndim()).map(|d| self.cells(d)).product();
                let i = cell as usize / inner % self.cells(d);
                let splits = self.ndim() + (0..d).map(|d| self.cells(d) + 1).sum::<usize>();
                let begin = self.point(d, splits, i);
                (begin, self.point(d, splits, i + 1).wrapping_sub(begin))
            }
        }
    }
}

/// `ChunkStorageMetadata`: one chunk of a tensor.
#[derive(Clone, Copy)]
pub struct Chunk<'a> {
    tensor: Tensor<'a>,
    cell: u32,
}

impl<'a> Chunk<'a> {
    pub fn offset(&self, dimension: usize) -> i64 {
        self.tensor.interval(self.cell, dimension).0
    }

    pub fn size(&self, dimension: usize) -> i64 {
        self.tensor.interval(self.cell, dimension).1
    }

    /// Row of the chunk columns.
    pub fn row(&self) -> usize {
        self.tensor.row.chunk_begin as usize + self.cell as usize
    }

    /// Where the chunk lies; `None` without storage information.
    pub fn storage(&self) -> Result<Option<StorageInfo<'a>>, Error> {
        let row = &self.tensor.row;
        let length_at = row.length_begin as usize + if row.lengths_differ == 0 { 0 } else { self.cell as usize };
        storage_at(self.tensor.columns, self.row(), length_at)
    }

    /// Its elements inside that range; `None` where the file does not tell, or they are not plain. Rule E7.
    pub fn data(&self) -> Result<Option<ChunkData>, Error> {
        let (c, row) = (self.tensor.columns, self.row());
        let at = if c.chunk_data_begins.len() == 1 { 0 } else { row };
        let begin = c.chunk_data_begins.get(at).copied().unwrap_or(NO_DATA_BEGIN);
        if begin == NO_DATA_BEGIN || self.tensor.item_size() == 0 {
            return Ok(None);
        }
        let Some(storage) = self.storage()? else { return Ok(None) };
        let corrupt = || Error::corrupt(format!("E7: data of row {row}"));
        let length = self.byte_count().ok_or_else(corrupt)?;
        let file_length = c.file_lengths.get(storage.file as usize).copied().unwrap_or(NO_FILE_LENGTH);
        let fits = |begin: u64, length: u64, end: u64| begin.checked_add(length).is_some_and(|last| last <= end);
        if storage.transform_descriptors.is_some_and(|list| !list.is_empty())
            || !fits(u64::from(begin), length, storage.length)
            || !fits(storage.byte_offset, storage.length, file_length)
        {
            return Err(corrupt());
        }
        Ok(Some(ChunkData {
            file: storage.file,
            byte_offset: storage.byte_offset + u64::from(begin),
            length,
            checksum: c.chunk_checksums.get(row).copied().filter(|&checksum| checksum != NO_CHECKSUM),
        }))
    }

    /// The same, an error where it is not known.
    pub(crate) fn known_data(&self) -> Result<ChunkData, Error> {
        if let Some(data) = self.data()? {
            return Ok(data);
        }
        let (name, row) = (self.tensor.name(), self.row());
        Err(match self.storage()? {
            None => Error::new(Code::Holes, format!("{name}: row {row} has no storage")),
            Some(_) => Error::new(Code::NotPlain, format!("{name}: where the elements of row {row} begin is not known")),
        })
    }

    /// Bytes of its elements; `None` where a size is negative, or they leave 64 bits.
    fn byte_count(&self) -> Option<u64> {
        let sizes: Vec<u64> = (0..self.tensor.ndim()).map(|d| u64::try_from(self.size(d)).ok()).collect::<Option<_>>()?;
        if sizes.contains(&0) {
            return Some(0);
        }
        sizes.iter().try_fold(self.tensor.item_size(), |bytes, &size| bytes.checked_mul(size))
    }
}

/// The bytes `[byte_offset, byte_offset + length)` of a data file that are a chunk's elements: row-major, little-endian, of the
/// tensor's dtype. Before they are read, the file is compared with [`crate::Metadata::file_facts`], as [`crate::DataFiles`] does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkData {
    pub file: u32,
    pub byte_offset: u64,
    pub length: u64,
    /// Of [`crate::Metadata::checksum_kind`].
    pub checksum: Option<u64>,
}

/// `_StorageInfo`: the bytes `[byte_offset, byte_offset + length)` of a data file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageInfo<'a> {
    pub file: u32,
    pub relative_path: &'a [u8],
    pub byte_offset: u64,
    pub length: u64,
    /// In DCP's stored order; `None` is None.
    pub transform_descriptors: Option<Vec<&'a [u8]>>,
}

/// Rule E6: the storage information of a row of the chunk columns.
pub(crate) fn storage_at<'a>(c: &Columns<'a>, row: usize, length_at: usize) -> Result<Option<StorageInfo<'a>>, Error> {
    let corrupt = || Error::corrupt(format!("E6: storage information of row {row}"));
    let file = *c.chunk_files.get(row).ok_or_else(corrupt)?;
    if file == NO_FILE {
        return Ok(None);
    }
    let list = c.chunk_transforms.get(row).copied().unwrap_or(0);
    Ok(Some(StorageInfo {
        file,
        relative_path: c.file_names.get(file as usize).ok_or_else(corrupt)?,
        byte_offset: *c.chunk_byte_offsets.get(row).ok_or_else(corrupt)?,
        length: *c.chunk_lengths.get(length_at).ok_or_else(corrupt)?,
        transform_descriptors: if list == 0 { None } else { Some(transforms(c, usize::from(list) - 1).ok_or_else(corrupt)?) },
    }))
}

fn transforms<'a>(c: &Columns<'a>, list: usize) -> Option<Vec<&'a [u8]>> {
    let begin = if list == 0 { 0 } else { c.transform_lists.get(list - 1)?.text_end };
    let end = c.transform_lists.get(list)?.text_end;
    if begin > end || end as usize > c.transform_names.ends.len() {
        return None;
    }
    Some((begin..end).map(|i| c.transform_names.get(i as usize).unwrap_or(b"")).collect())
}

/// The values of `boxes` that a tensor takes; rule E3.
fn boxes_of<'a>(c: &Columns<'a>, row: &EntryRow) -> Option<&'a [i64]> {
    let (ndim, at) = (usize::from(row.ndim), row.box_begin as usize);
    let values = match row.chunk_layout {
        WHOLE => return (row.chunk_count == 1).then_some(&[][..]),
        EXPLICIT => 2 * ndim * row.chunk_count as usize,
        GRID | EVEN_GRID => {
            let mut cells = 1u64;
            let mut splits = ndim as u64;
            for &count in c.boxes.get(at..at + ndim)? {
                let count = u64::try_from(count).ok().filter(|&count| count > 0)?;
                cells = cells.checked_mul(count).filter(|&cells| cells <= u64::from(row.chunk_count))?;
                splits += count;
            }
            if cells != u64::from(row.chunk_count) {
                return None;
            }
            ndim + if row.chunk_layout == GRID { usize::try_from(splits).ok()? } else { ndim }
        }
        _ => return None,
    };
    c.boxes.get(at..at + values)
}

/// torch's `empty(size).stride()`; products that leave i64 give 0.
fn contiguous_strides(size: &[i64]) -> Vec<i64> {
    let mut strides = vec![0; size.len()];
    let mut stride = 1i64;
    for d in (0..size.len()).rev() {
        strides[d] = stride;
        stride = stride.checked_mul(size[d].max(1)).unwrap_or(0);
    }
    strides
}

/// The first of `count` numbers for which `before` does not hold.
fn partition_point(count: usize, before: impl Fn(usize) -> bool) -> usize {
    let (mut begin, mut end) = (0, count);
    while begin < end {
        let middle = begin + (end - begin) / 2;
        if before(middle) {
            begin = middle + 1;
        } else {
            end = middle;
        }
    }
    begin
}
