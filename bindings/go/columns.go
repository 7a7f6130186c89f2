package flatpoint

import (
	"encoding/binary"
	"math"
	"math/bits"
)

const (
	formatMajor  = 1
	trailerSize  = 24
	identifier   = "FLPT"
	trailerMagic = "FLPT.END"
	noFile       = math.MaxUint32 // chunk_files of a row without storage information
)

// PropertiesRow is TensorProperties as it lies in the file.
type PropertiesRow struct {
	Dtype, Layout, MemoryFormat      uint8
	RequiresGrad, PinMemory, Strides uint8
	DtypeName, LayoutName            uint16
}

// EntryRow is one FQN as it lies in the file.
type EntryRow struct {
	FQNBegin, FQNLength, SizeBegin, BoxBegin        uint32
	ChunkBegin, ChunkCount, OrderBegin, LengthBegin uint32
	Properties                                      PropertiesRow
	NDim, StorageType, ChunkLayout                  uint8
	Reordered, LengthsDiffer                        uint8
}

// LooseStorageRow is storage information whose MetadataIndex names no chunk.
type LooseStorageRow struct {
	FQNBegin, FQNLength, OffsetBegin, LengthBegin uint32
	HasOffset, NDim                               uint8
}

// TransformListRow is one list of transform descriptors: texts from the previous list's end to this one's.
type TransformListRow struct {
	TextEnd uint32
	Type    uint8
}

// TextColumn is many texts in one blob: text i is Bytes[Ends[i-1]:Ends[i]].
type TextColumn struct {
	Bytes []byte
	Ends  []uint32
}

// Text returns text i; false where it lies nowhere.
func (c TextColumn) Text(i uint64) ([]byte, bool) {
	if i >= uint64(len(c.Ends)) {
		return nil, false
	}
	begin := uint32(0)
	if i > 0 {
		begin = c.Ends[i-1]
	}
	end := c.Ends[i]
	if begin > end || uint64(end) > uint64(len(c.Bytes)) {
		return nil, false
	}
	return c.Bytes[begin:end], true
}

// Columns are the columns that a loader needs, by their names in schema/metadata.fbs. They lie in the file: read only, and
// only until it is closed. Absent columns are nil. Values are unchecked.
type Columns struct {
	FormatMajor, FormatMinor uint16
	FragmentRank             int32

	Entries  []EntryRow
	FQNs     []byte
	FQNSlots []uint32

	Sizes, Boxes []int64
	ChunkOrder   []uint32

	ChunkFiles                     []uint32
	ChunkByteOffsets, ChunkLengths []uint64
	ChunkTransforms                []uint16
	FileNames                      TextColumn
	TypeNames, TransformNames      TextColumn
	TransformLists                 []TransformListRow
	LooseStorage                   []LooseStorageRow
	ChunkDataBegins                []uint32 // one value for all rows, or one per row
	ChecksumKind                   uint8
	ChunkChecksums, FileLengths    []uint64
	FileTimes                      []int64
	FileFormats                    []uint8
	version                        []byte
	storageMeta                    *StorageMeta
}

// StorageMeta is DCP's StorageMeta. A nil text or list is None.
type StorageMeta struct {
	CheckpointID, SaveID, LoadID []byte
	Modules                      [][]byte
}

// ChunkRows is the number of rows of the chunk columns that belong to chunks; the rest belong to LooseStorage.
func (c *Columns) ChunkRows() int { return len(c.ChunkFiles) - len(c.LooseStorage) }

// vt is the place of field number i in a vtable.
func vt(i uint16) uint16 { return 4 + 2*i }

// Numbers of the fields, in the order of the schema, which never changes.
const (
	fieldFormatMajor = iota
	fieldFormatMinor
	fieldFragmentRank
	fieldEntries
	fieldFQNs
	fieldFQNSlots
	fieldFQNOrder
	fieldSizes
	fieldBoxes
	fieldChunkOrder
	fieldChunkFiles
	fieldChunkByteOffsets
	fieldChunkLengths
	fieldChunkTransforms
	fieldFileNames
	fieldFileNameEnds
	fieldTypeNames
	fieldTypeNameEnds
	fieldTransformNames
	fieldTransformNameEnds
	fieldTransformLists
	fieldHasStorageData
	fieldStorageOrder
	fieldIndexHints
	fieldLooseStorage
	fieldHasPlannerData
	fieldFQNPaths
	fieldPathElements
	fieldPathEnds
	fieldPlannerOrder
	fieldStorageMeta
	fieldVersion
	fieldOpaque
	fieldOpaqueNames
	fieldOpaquePickles
	fieldMetadataClass
	fieldStorageInfoClass
	fieldSource
	fieldChunkDataBegins
	fieldChecksumKind
	fieldChunkChecksums
	fieldFileLengths
	fieldFileTimes
	fieldFileFormats
)

// checkFrame checks rules F1 to F4 and returns the FlatBuffer. `head` are the first bytes of the file, `tail` its last.
func checkFrame(head, tail []byte, size int64) *Error {
	if len(head) < 8 || string(head[4:8]) != identifier {
		return fail(NotFlatpoint, "F1: not a flatpoint file: bytes 4 to 7 are not %q", identifier)
	}
	if size > math.MaxInt32 {
		return fail(TooLarge, "F4: %d bytes, the format ends below 2 GiB", size)
	}
	if size < trailerSize || string(tail[16:]) != trailerMagic {
		return fail(Truncated, "F2: truncated or appended: the file does not end with a trailer")
	}
	body := uint64(size - trailerSize)
	if length := binary.LittleEndian.Uint64(tail[8:]); length != body {
		return fail(Truncated, "F3: truncated or appended: %d bytes where the trailer says %d", body, length)
	}
	if body%8 != 0 {
		return corrupt("F3: FlatBuffer length %d is not a multiple of 8", body)
	}
	return nil
}

// decode checks rules F5 to F8 of a FlatBuffer that is 8-byte aligned.
func decode(flatbuffer []byte) (*Columns, *Error) {
	b := &buffer{bytes: flatbuffer}
	at, _ := b.follow(0)
	if b.err != nil {
		return nil, b.err
	}
	root := b.table(at)
	// The version comes first: a newer major may have a shape that today's checks refuse.
	c := &Columns{FormatMajor: root.uint16(vt(fieldFormatMajor)), FormatMinor: root.uint16(vt(fieldFormatMinor))}
	if b.err != nil {
		return nil, b.err
	}
	if c.FormatMajor != formatMajor {
		return nil, fail(Version, "F7: format version %d.%d; this reader knows %d.x", c.FormatMajor, c.FormatMinor, formatMajor)
	}
	c.read(&root)
	others := checkOthers(&root)
	if at, found := root.reference(vt(fieldStorageMeta)); found {
		meta := b.table(at)
		c.storageMeta = readStorageMeta(&meta)
	}
	if at, found := root.reference(vt(fieldSource)); found {
		source := b.table(at)
		for i := uint16(0); i < 3; i++ { // length, digest, modified_ns
			source.scalar(vt(i), 8)
		}
		source.scalar(vt(3), 1)
		column[byte](&source, vt(4), "source.etag")
		source.scalar(vt(5), 1) // kind
	}
	if b.err != nil {
		return nil, b.err
	}
	if what := c.mismatch(others); what != "" {
		return nil, corrupt("F8: %s", what)
	}
	return c, nil
}

func texts(t *table, bytes uint16, name string) TextColumn {
	return TextColumn{column[byte](t, vt(bytes), name), column[uint32](t, vt(bytes+1), name)}
}

func (c *Columns) read(t *table) {
	c.FragmentRank = -1
	if bytes := t.scalar(vt(fieldFragmentRank), 4); bytes != nil {
		c.FragmentRank = int32(binary.LittleEndian.Uint32(bytes))
	}
	c.Entries = required[EntryRow](t, vt(fieldEntries), "entries")
	c.FQNs = required[byte](t, vt(fieldFQNs), "fqns")
	c.FQNSlots = required[uint32](t, vt(fieldFQNSlots), "fqn_slots")
	c.Sizes = column[int64](t, vt(fieldSizes), "sizes")
	c.Boxes = column[int64](t, vt(fieldBoxes), "boxes")
	c.ChunkOrder = column[uint32](t, vt(fieldChunkOrder), "chunk_order")
	c.ChunkFiles = column[uint32](t, vt(fieldChunkFiles), "chunk_files")
	c.ChunkByteOffsets = column[uint64](t, vt(fieldChunkByteOffsets), "chunk_byte_offsets")
	c.ChunkLengths = column[uint64](t, vt(fieldChunkLengths), "chunk_lengths")
	c.ChunkTransforms = column[uint16](t, vt(fieldChunkTransforms), "chunk_transforms")
	c.FileNames = texts(t, fieldFileNames, "file_names")
	c.TypeNames = texts(t, fieldTypeNames, "type_names")
	c.TransformNames = texts(t, fieldTransformNames, "transform_names")
	c.TransformLists = column[TransformListRow](t, vt(fieldTransformLists), "transform_lists")
	c.LooseStorage = column[LooseStorageRow](t, vt(fieldLooseStorage), "loose_storage")
	c.ChunkDataBegins = column[uint32](t, vt(fieldChunkDataBegins), "chunk_data_begins")
	if kind := t.scalar(vt(fieldChecksumKind), 1); kind != nil {
		c.ChecksumKind = kind[0]
	}
	c.ChunkChecksums = column[uint64](t, vt(fieldChunkChecksums), "chunk_checksums")
	c.FileLengths = column[uint64](t, vt(fieldFileLengths), "file_lengths")
	c.FileTimes = column[int64](t, vt(fieldFileTimes), "file_times")
	c.FileFormats = column[uint8](t, vt(fieldFileFormats), "file_formats")
	c.version = column[byte](t, vt(fieldVersion), "version")
}

// lengths of the columns that Columns leaves to the generated accessors.
type lengths struct{ fqnOrder, fqnPaths, plannerOrder, storageOrder int }

// checkOthers checks F5 and F6 of all that Columns leaves to the generated accessors.
func checkOthers(t *table) lengths {
	t.scalar(vt(fieldHasStorageData), 1)
	t.scalar(vt(fieldHasPlannerData), 1)
	column[[2]uint64](t, vt(fieldIndexHints), "index_hints")
	column[[2]uint16](t, vt(fieldPathElements), "path_elements")
	column[uint32](t, vt(fieldPathEnds), "path_ends")
	column[[6]uint32](t, vt(fieldOpaque), "opaque")
	column[byte](t, vt(fieldOpaqueNames), "opaque_names")
	column[byte](t, vt(fieldOpaquePickles), "opaque_pickles")
	column[byte](t, vt(fieldMetadataClass), "metadata_class")
	column[byte](t, vt(fieldStorageInfoClass), "storage_info_class")
	return lengths{
		fqnOrder:     len(column[uint32](t, vt(fieldFQNOrder), "fqn_order")),
		fqnPaths:     len(column[uint16](t, vt(fieldFQNPaths), "fqn_paths")),
		plannerOrder: len(column[uint32](t, vt(fieldPlannerOrder), "planner_order")),
		storageOrder: len(column[uint32](t, vt(fieldStorageOrder), "storage_order")),
	}
}

func readStorageMeta(t *table) *StorageMeta {
	meta := &StorageMeta{
		CheckpointID: column[byte](t, vt(0), "storage_meta.checkpoint_id"),
		SaveID:       column[byte](t, vt(2), "storage_meta.save_id"),
		LoadID:       column[byte](t, vt(3), "storage_meta.load_id"),
	}
	t.scalar(vt(1), 1)
	modules := texts(t, 5, "storage_meta.modules")
	if has := t.scalar(vt(4), 1); has != nil && has[0] != 0 {
		meta.Modules = make([][]byte, len(modules.Ends))
		for i := range modules.Ends {
			meta.Modules[i], _ = modules.Text(uint64(i))
		}
	}
	return meta
}

// mismatch checks rule F8: columns that run beside each other have the same length.
func (c *Columns) mismatch(others lengths) string {
	entries, rows, files := len(c.Entries), len(c.ChunkFiles), len(c.FileNames.Ends)
	absentOr := func(length, wanted int) bool { return length == 0 || length == wanted }
	switch {
	case bits.OnesCount(uint(len(c.FQNSlots))) != 1 || len(c.FQNSlots) < 2*entries:
		return "fqn_slots has a wrong number of slots"
	case !absentOr(others.fqnOrder, entries):
		return "fqn_order has not one value per entry"
	case !absentOr(others.fqnPaths, entries):
		return "fqn_paths has not one value per entry"
	case others.plannerOrder > entries:
		return "planner_order has more values than entries"
	case len(c.LooseStorage) > rows:
		return "loose_storage has more rows than chunk_files"
	case !absentOr(len(c.ChunkByteOffsets), rows):
		return "chunk_byte_offsets has not one value per row"
	case !absentOr(len(c.ChunkTransforms), rows):
		return "chunk_transforms has not one value per row"
	case len(c.ChunkDataBegins) != 1 && !absentOr(len(c.ChunkDataBegins), rows):
		return "chunk_data_begins has neither one value nor one per row"
	case !absentOr(len(c.ChunkChecksums), rows):
		return "chunk_checksums has not one value per row"
	case !absentOr(len(c.FileLengths), files):
		return "file_lengths has not one value per file"
	case !absentOr(len(c.FileTimes), files):
		return "file_times has not one value per file"
	case !absentOr(len(c.FileFormats), files):
		return "file_formats has not one value per file"
	case others.storageOrder > rows:
		return "storage_order has more values than rows"
	}
	return ""
}
