//! The columns of a file as slices: the raw form that bulk work reads. Values are unchecked.

use bytemuck::{Pod, Zeroable};
use flatbuffers::VOffsetT;

use crate::error::{Code, Error};
use crate::generated::flatpoint::fb;
use crate::tables::{Buffer, Table};

const FORMAT_MAJOR: u16 = 1;
const TRAILER: usize = 24;
const MAX_FILE: usize = 0x7FFF_FFFF;

/// `chunk_files` of a row without storage information.
pub(crate) const NO_FILE: u32 = u32::MAX;

// What says "unknown" in chunk_data_begins, chunk_checksums and file_lengths; in file_times 0 does.
pub(crate) const NO_DATA_BEGIN: u32 = u32::MAX;
pub(crate) const NO_CHECKSUM: u64 = u64::MAX;
pub(crate) const NO_FILE_LENGTH: u64 = u64::MAX;

/// `TensorProperties` of the schema.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub struct PropertiesRow {
    pub dtype: u8,
    pub layout: u8,
    pub memory_format: u8,
    pub requires_grad: u8,
    pub pin_memory: u8,
    pub strides: u8,
    pub dtype_name: u16,
    pub layout_name: u16,
}

/// `Entry` of the schema: one FQN.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub struct EntryRow {
    pub fqn_begin: u32,
    pub fqn_length: u32,
    pub size_begin: u32,
    pub box_begin: u32,
    pub chunk_begin: u32,
    pub chunk_count: u32,
    pub order_begin: u32,
    pub length_begin: u32,
    pub properties: PropertiesRow,
    pub ndim: u8,
    pub storage_type: u8,
    pub chunk_layout: u8,
    pub reordered: u8,
    pub lengths_differ: u8,
    padding: u8,
}

/// `LooseStorage` of the schema: storage information whose key names no chunk.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub struct LooseStorageRow {
    pub fqn_begin: u32,
    pub fqn_length: u32,
    pub offset_begin: u32,
    pub length_begin: u32,
    pub has_offset: u8,
    pub ndim: u8,
    padding: [u8; 2],
}

/// `TransformList` of the schema.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub struct TransformListRow {
    pub text_end: u32,
    pub sequence_type: u8,
    padding: [u8; 3],
}

/// Many texts in one blob: text i is `bytes[ends[i - 1]..ends[i]]`.
#[derive(Debug, Clone, Copy, Default)]
pub struct TextColumn<'a> {
    pub bytes: &'a [u8],
    pub ends: &'a [u32],
}

impl<'a> TextColumn<'a> {
    /// Text `i`; `None` where it is out of range.
    pub fn get(&self, i: usize) -> Option<&'a [u8]> {
        let begin = if i == 0 { 0 } else { *self.ends.get(i - 1)? };
        self.bytes.get(begin as usize..*self.ends.get(i)? as usize)
    }
}

/// The columns that a loader needs, by their names in `schema/metadata.fbs`. Absent columns are empty. The others (orders,
/// hints, planner paths, opaque records) are reached through [`crate::MetadataFile::root`].
#[derive(Debug, Clone, Copy, Default)]
pub struct Columns<'a> {
    pub format_major: u16,
    pub format_minor: u16,
    pub fragment_rank: i32,
    pub entries: &'a [EntryRow],
    pub fqns: &'a [u8],
    pub fqn_slots: &'a [u32],
    pub sizes: &'a [i64],
    pub boxes: &'a [i64],
    pub chunk_order: &'a [u32],
    pub chunk_files: &'a [u32],
    pub chunk_byte_offsets: &'a [u64],
    pub chunk_lengths: &'a [u64],
    pub chunk_transforms: &'a [u16],
    pub file_names: TextColumn<'a>,
    pub type_names: TextColumn<'a>,
    pub transform_names: TextColumn<'a>,
    pub transform_lists: &'a [TransformListRow],
    pub loose_storage: &'a [LooseStorageRow],
    /// One value for all rows, or one per row.
    pub chunk_data_begins: &'a [u32],
    pub checksum_kind: u8,
    pub chunk_checksums: &'a [u64],
    pub file_lengths: &'a [u64],
    pub file_times: &'a [i64],
    pub file_formats: &'a [u8],
}

impl Columns<'_> {
    /// Rows of the chunk columns that belong to chunks; the rest belong to `loose_storage`.
    pub fn chunk_rows(&self) -> usize {
        self.chunk_files.len() - self.loose_storage.len()
    }
}

fn read_u64(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

/// Rules F1 to F4: the `FlatBuffer` of a whole file.
fn check_frame(file: &[u8]) -> Result<&[u8], Error> {
    if file.get(4..8) != Some(b"FLPT") {
        return Err(Error::new(Code::NotFlatpoint, "F1: not a flatpoint file: bytes 4 to 7 are not \"FLPT\""));
    }
    if file.len() > MAX_FILE {
        return Err(Error::new(Code::TooLarge, format!("F4: {} bytes, the format ends below 2 GiB", file.len())));
    }
    let Some(body) = file.len().checked_sub(TRAILER).filter(|body| &file[body + 16..] == b"FLPT.END") else {
        return Err(Error::new(Code::Truncated, "F2: truncated or appended: the file does not end with a trailer"));
    };
    let length = read_u64(file, body + 8);
    if length != body as u64 {
        return Err(Error::new(Code::Truncated, format!("F3: truncated or appended: {body} bytes where the trailer says {length}")));
    }
    if body % 8 != 0 {
        return Err(Error::corrupt(format!("F3: FlatBuffer length {body} is not a multiple of 8")));
    }
    Ok(&file[..body])
}

/// Rule F9.
pub(crate) fn digest_matches(file: &[u8]) -> bool {
    let body = file.len() - TRAILER;
    read_u64(file, body) == xxhash_rust::xxh3::xxh3_64(&file[..body])
}

/// The root table of a file that [`decode`] accepted.
pub(crate) fn root(file: &[u8]) -> fb::Metadata<'_> {
    // SAFETY: the caller holds a file that passed `decode`, which checked every table, vector and number of the schema.
    unsafe { fb::root_as_metadata_unchecked(&file[..file.len() - TRAILER]) }
}

/// Rules F1 to F8. The cost does not depend on the file's size. `file` must be 8-byte aligned.
pub(crate) fn decode(file: &[u8]) -> Result<Columns<'_>, Error> {
    use fb::Metadata as M;
    let buffer = Buffer::new(check_frame(file)?);
    let root = buffer.table(buffer.follow(0)?)?;
    // The version comes first: a newer major may have a shape that today's checks refuse.
    let format_major = root.scalar(M::VT_FORMAT_MAJOR)?.map_or(0, u16::from_le_bytes);
    let format_minor = root.scalar(M::VT_FORMAT_MINOR)?.map_or(0, u16::from_le_bytes);
    if format_major != FORMAT_MAJOR {
        let message = format!("F7: format version {format_major}.{format_minor}; this reader knows {FORMAT_MAJOR}.x");
        return Err(Error::new(Code::Version, message));
    }
    let columns = read_columns(&root, format_major, format_minor)?;
    let others = check_others(&root)?;
    match mismatched_columns(&columns, &others) {
        None => Ok(columns),
        Some(what) => Err(Error::corrupt(format!("F8: {what}"))),
    }
}

fn texts<'a>(table: &Table<'a>, bytes: VOffsetT, ends: VOffsetT, name: &str) -> Result<TextColumn<'a>, Error> {
    Ok(TextColumn { bytes: table.column(bytes, name)?, ends: table.column(ends, name)? })
}

fn read_columns<'a>(root: &Table<'a>, format_major: u16, format_minor: u16) -> Result<Columns<'a>, Error> {
    use fb::Metadata as M;
    Ok(Columns {
        format_major,
        format_minor,
        fragment_rank: root.scalar(M::VT_FRAGMENT_RANK)?.map_or(-1, i32::from_le_bytes),
        entries: root.required(M::VT_ENTRIES, "entries")?,
        fqns: root.required(M::VT_FQNS, "fqns")?,
        fqn_slots: root.required(M::VT_FQN_SLOTS, "fqn_slots")?,
        sizes: root.column(M::VT_SIZES, "sizes")?,
        boxes: root.column(M::VT_BOXES, "boxes")?,
        chunk_order: root.column(M::VT_CHUNK_ORDER, "chunk_order")?,
        chunk_files: root.column(M::VT_CHUNK_FILES, "chunk_files")?,
        chunk_byte_offsets: root.column(M::VT_CHUNK_BYTE_OFFSETS, "chunk_byte_offsets")?,
        chunk_lengths: root.column(M::VT_CHUNK_LENGTHS, "chunk_lengths")?,
        chunk_transforms: root.column(M::VT_CHUNK_TRANSFORMS, "chunk_transforms")?,
        file_names: texts(root, M::VT_FILE_NAMES, M::VT_FILE_NAME_ENDS, "file_names")?,
        type_names: texts(root, M::VT_TYPE_NAMES, M::VT_TYPE_NAME_ENDS, "type_names")?,
        transform_names: texts(root, M::VT_TRANSFORM_NAMES, M::VT_TRANSFORM_NAME_ENDS, "transform_names")?,
        transform_lists: root.column(M::VT_TRANSFORM_LISTS, "transform_lists")?,
        loose_storage: root.column(M::VT_LOOSE_STORAGE, "loose_storage")?,
        chunk_data_begins: root.column(M::VT_CHUNK_DATA_BEGINS, "chunk_data_begins")?,
        checksum_kind: root.scalar::<1>(M::VT_CHECKSUM_KIND)?.map_or(0, u8::from_le_bytes),
        chunk_checksums: root.column(M::VT_CHUNK_CHECKSUMS, "chunk_checksums")?,
        file_lengths: root.column(M::VT_FILE_LENGTHS, "file_lengths")?,
        file_times: root.column(M::VT_FILE_TIMES, "file_times")?,
        file_formats: root.column(M::VT_FILE_FORMATS, "file_formats")?,
    })
}

/// Lengths of columns that [`Columns`] leaves to the generated accessors.
struct Others {
    fqn_order: usize,
    fqn_paths: usize,
    planner_order: usize,
    storage_order: usize,
}

/// Rules F5 and F6 for all that [`Columns`] leaves to the generated accessors.
fn check_others(root: &Table<'_>) -> Result<Others, Error> {
    use fb::Metadata as M;
    for (field, name) in [
        (M::VT_VERSION, "version"),
        (M::VT_OPAQUE_NAMES, "opaque_names"),
        (M::VT_OPAQUE_PICKLES, "opaque_pickles"),
        (M::VT_METADATA_CLASS, "metadata_class"),
        (M::VT_STORAGE_INFO_CLASS, "storage_info_class"),
    ] {
        root.column::<u8>(field, name)?;
    }
    root.scalar::<1>(M::VT_HAS_STORAGE_DATA)?;
    root.scalar::<1>(M::VT_HAS_PLANNER_DATA)?;
    root.column::<[u64; 2]>(M::VT_INDEX_HINTS, "index_hints")?;
    root.column::<[u16; 2]>(M::VT_PATH_ELEMENTS, "path_elements")?;
    root.column::<u32>(M::VT_PATH_ENDS, "path_ends")?;
    root.column::<[u32; 6]>(M::VT_OPAQUE, "opaque")?;
    if let Some(meta) = root.table(M::VT_STORAGE_META)? {
        check_storage_meta(&meta)?;
    }
    if let Some(source) = root.table(M::VT_SOURCE)? {
        use fb::Source as S;
        for field in [S::VT_LENGTH, S::VT_DIGEST, S::VT_MODIFIED_NS] {
            source.scalar::<8>(field)?;
        }
        source.scalar::<1>(S::VT_MODIFIED_RECENTLY)?;
        source.column::<u8>(S::VT_ETAG, "source.etag")?;
        source.scalar::<1>(S::VT_KIND)?;
    }
    Ok(Others {
        fqn_order: root.column::<u32>(M::VT_FQN_ORDER, "fqn_order")?.len(),
        fqn_paths: root.column::<u16>(M::VT_FQN_PATHS, "fqn_paths")?.len(),
        planner_order: root.column::<u32>(M::VT_PLANNER_ORDER, "planner_order")?.len(),
        storage_order: root.column::<u32>(M::VT_STORAGE_ORDER, "storage_order")?.len(),
    })
}

fn check_storage_meta(meta: &Table<'_>) -> Result<(), Error> {
    use fb::StorageMeta as S;
    for field in [S::VT_CHECKPOINT_ID, S::VT_SAVE_ID, S::VT_LOAD_ID] {
        meta.column::<u8>(field, "storage_meta")?;
    }
    meta.scalar::<1>(S::VT_CHECKPOINT_ID_TYPE)?;
    meta.scalar::<1>(S::VT_HAS_MODULES)?;
    texts(meta, S::VT_MODULES, S::VT_MODULE_ENDS, "storage_meta.modules").map(|_| ())
}

/// Rule F8: columns that run beside each other have the same length.
fn mismatched_columns(c: &Columns<'_>, others: &Others) -> Option<&'static str> {
    let (entries, rows, files) = (c.entries.len(), c.chunk_files.len(), c.file_names.ends.len());
    let absent_or = |length: usize, wanted: usize| length == 0 || length == wanted;
    let rules = [
        (c.fqn_slots.len().is_power_of_two() && c.fqn_slots.len() >= 2 * entries, "fqn_slots has a wrong number of slots"),
        (absent_or(others.fqn_order, entries), "fqn_order has not one value per entry"),
        (absent_or(others.fqn_paths, entries), "fqn_paths has not one value per entry"),
        (others.planner_order <= entries, "planner_order has more values than entries"),
        (c.loose_storage.len() <= rows, "loose_storage has more rows than chunk_files"),
        (absent_or(c.chunk_byte_offsets.len(), rows), "chunk_byte_offsets has not one value per row"),
        (absent_or(c.chunk_transforms.len(), rows), "chunk_transforms has not one value per row"),
        (
            c.chunk_data_begins.len() == 1 || absent_or(c.chunk_data_begins.len(), rows),
            "chunk_data_begins has neither one value nor one per row",
        ),
        (absent_or(c.chunk_checksums.len(), rows), "chunk_checksums has not one value per row"),
        (absent_or(c.file_lengths.len(), files), "file_lengths has not one value per file"),
        (absent_or(c.file_times.len(), files), "file_times has not one value per file"),
        (absent_or(c.file_formats.len(), files), "file_formats has not one value per file"),
        (others.storage_order <= rows, "storage_order has more values than rows"),
    ];
    rules.iter().find(|(holds, _)| !holds).map(|(_, what)| *what)
}
