package flatpoint

import (
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/zeebo/xxh3"

	"example.org/flatpoint/generated/go/flatpoint/fb"
)

// What says "unknown" in chunk_data_begins, chunk_checksums and file_lengths; in file_times 0 does.
const (
	noDataBegin  = math.MaxUint32
	noChecksum   = math.MaxUint64
	noFileLength = math.MaxUint64
)

// ChunkData is the bytes [ByteOffset, ByteOffset + Length) of a data file that are a chunk's elements: row-major,
// little-endian, of the tensor's dtype. Before they are read, the file is compared with FileFacts, as ReadChunk does.
type ChunkData struct {
	File               uint32
	ByteOffset, Length uint64
	Checksum           uint64 // of Metadata.ChecksumKind
	HasChecksum        bool
}

// FileFacts is a data file as it was when the begins of its chunks' data were read.
type FileFacts struct {
	Length     uint64
	HasLength  bool
	ModifiedNS int64  // nanoseconds since 1970; 0: unknown
	Format     string // "unknown", "torch_save", "safetensors", "archive", "mixed"; "unknown:N"
}

var fileFormats = map[uint8]string{0: "unknown", 1: "torch_save", 2: "safetensors", 3: "archive", 4: "mixed"}
var checksumKinds = map[uint8]string{uint8(fb.ChecksumKindXxh3): "xxh3", uint8(fb.ChecksumKindCrc32): "crc32"}

// FileFacts of data file i; nothing is known of one that is out of range.
func (m Metadata) FileFacts(i int) FileFacts {
	c, facts := m.columns, FileFacts{Format: "unknown"}
	if i >= 0 && i < len(c.FileLengths) && c.FileLengths[i] != noFileLength {
		facts.Length, facts.HasLength = c.FileLengths[i], true
	}
	if i >= 0 && i < len(c.FileTimes) {
		facts.ModifiedNS = c.FileTimes[i]
	}
	if i >= 0 && i < len(c.FileFormats) {
		facts.Format = knownName(fileFormats, c.FileFormats[i])
	}
	return facts
}

// ChecksumKind is what ChunkData.Checksum is: "xxh3", "crc32"; "unknown:N" where this version does not know it; empty
// where there are none.
func (m Metadata) ChecksumKind() string {
	if m.columns.ChecksumKind == 0 {
		return ""
	}
	return knownName(checksumKinds, m.columns.ChecksumKind)
}

// Data tells where the chunk's elements lie; false where the file does not tell, or they are not plain. Rule E7.
func (c Chunk) Data() (ChunkData, bool, error) {
	columns, row, at := c.tensor.columns, c.Row(), c.Row()
	if len(columns.ChunkDataBegins) == 1 {
		at = 0
	}
	if len(columns.ChunkDataBegins) == 0 || columns.ChunkDataBegins[at] == noDataBegin || c.tensor.ItemSize() == 0 {
		return ChunkData{}, false, nil
	}
	storage, found, err := c.Storage()
	if !found {
		return ChunkData{}, false, err
	}
	begin, end := uint64(columns.ChunkDataBegins[at]), uint64(noFileLength)
	if len(columns.FileLengths) > 0 {
		end = columns.FileLengths[storage.File]
	}
	_, sizes := c.Box()
	length, fits := byteCount(sizes, c.tensor.ItemSize())
	fits = fits && length <= storage.Length && begin <= storage.Length-length
	fits = fits && storage.Length <= end && storage.ByteOffset <= end-storage.Length
	if !fits || len(storage.TransformDescriptors) > 0 {
		return ChunkData{}, false, corrupt("E7: data of row %d", row)
	}
	data := ChunkData{File: storage.File, ByteOffset: storage.ByteOffset + begin, Length: length}
	if len(columns.ChunkChecksums) > 0 && columns.ChunkChecksums[row] != noChecksum {
		data.Checksum, data.HasChecksum = columns.ChunkChecksums[row], true
	}
	return data, true, nil
}

// knownData is Data, an error where it is not known.
func (c Chunk) knownData() (ChunkData, error) {
	data, found, err := c.Data()
	if found || err != nil {
		return data, err
	}
	if _, stored, err := c.Storage(); !stored {
		if err != nil {
			return data, err
		}
		return data, fail(Holes, "%s: row %d has no storage", c.tensor.FQN(), c.Row())
	}
	return data, fail(NotPlain, "%s: where the elements of row %d begin is not known",
		c.tensor.FQN(), c.Row())
}

// DataFolder is where the data files of a checkpoint lie.
type DataFolder struct {
	Metadata     Metadata
	Path         string
	AcceptTimes  bool // the folder was copied: other times say nothing
	AllowOutside bool // open files whose path leaves the folder; metadata from elsewhere may name any file of this machine
}

// ReadChunk reads the elements of a whole chunk. A data file of another length than the metadata states is refused (Changed),
// and so is one of another time, unless the metadata has a checksum of the chunk and it holds, or AcceptTimes. Other codes
// of errors: NotPlain, Holes, Truncated, Outside, NotFound, IO.
func (d DataFolder) ReadChunk(chunk Chunk) ([]byte, error) {
	bytes, data, isOtherTime, err := d.read(chunk)
	if err != nil || !isOtherTime {
		return bytes, err
	}
	holds, known := d.hasChecksum(data, bytes)
	if !known {
		return nil, fail(Changed, "%s: a data file was written after the metadata was, and row %d has no known checksum",
			chunk.tensor.FQN(), chunk.Row())
	}
	if !holds {
		return nil, fail(Changed, "%s: the bytes of row %d do not have their checksum", chunk.tensor.FQN(), chunk.Row())
	}
	return bytes, nil
}

// CheckChunk compares a chunk with its checksum (Checksum where it differs); false where there is none.
func (d DataFolder) CheckChunk(chunk Chunk) (bool, error) {
	if data, found, err := chunk.Data(); !found || !data.HasChecksum {
		return false, err
	}
	bytes, data, _, err := d.read(chunk)
	if err != nil {
		return false, err
	}
	holds, known := d.hasChecksum(data, bytes)
	if known && !holds {
		return false, fail(Checksum, "%s: the bytes of row %d do not have their checksum", chunk.tensor.FQN(), chunk.Row())
	}
	return known, nil
}

// hasChecksum tells whether bytes have their checksum, and whether that is known.
func (d DataFolder) hasChecksum(data ChunkData, bytes []byte) (holds, known bool) {
	switch d.Metadata.ChecksumKind() {
	case "xxh3":
		return xxh3.Hash(bytes) == data.Checksum, data.HasChecksum
	case "crc32":
		return uint64(crc32.ChecksumIEEE(bytes)) == data.Checksum, data.HasChecksum
	}
	return false, false
}

func (d DataFolder) read(chunk Chunk) (bytes []byte, data ChunkData, isOtherTime bool, err error) {
	if data, err = chunk.knownData(); err != nil {
		return nil, data, false, err
	}
	file, before, err := d.open(int(data.File))
	if err != nil {
		return nil, data, false, err
	}
	defer file.Close()
	if size := uint64(before.Size()); data.Length > size || data.ByteOffset > size-data.Length {
		return nil, data, false, fail(Truncated, "%s: ends at byte %d, inside the data of row %d", file.Name(), size, chunk.Row())
	}
	bytes = make([]byte, data.Length)
	if _, err := file.ReadAt(bytes, int64(data.ByteOffset)); errors.Is(err, io.EOF) {
		return nil, data, false, fail(Truncated, "%s: shrank while it was read", file.Name())
	} else if err != nil {
		return nil, data, false, caused(IO, err)
	}
	after, err := file.Stat()
	if err != nil || after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime()) {
		return nil, data, false, fail(Changed, "%s: was written while it was read", file.Name())
	}
	stated := d.Metadata.FileFacts(int(data.File)).ModifiedNS
	return bytes, data, stated != 0 && stated != before.ModTime().UnixNano() && !d.AcceptTimes, nil
}

// open refuses a path that leaves the folder, and a file of another length than the metadata states.
func (d DataFolder) open(number int) (*os.File, os.FileInfo, error) {
	name, err := d.Metadata.FileName(number)
	if err != nil {
		return nil, nil, err
	}
	if strings.ContainsRune(name, 0) || !(filepath.IsLocal(name) || d.AllowOutside) {
		return nil, nil, fail(Outside, "%s: the path of a data file leaves the checkpoint's folder", name)
	}
	path := name
	if !filepath.IsAbs(name) {
		path = filepath.Join(d.Path, name)
	}
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, caused(NotFound, err)
	} else if err != nil {
		return nil, nil, caused(IO, err)
	}
	info, err := file.Stat()
	facts := d.Metadata.FileFacts(number)
	var refused *Error
	switch {
	case err != nil:
		refused = caused(IO, err)
	case !info.Mode().IsRegular():
		refused = fail(IO, "%s: not a regular file", path)
	case facts.HasLength && facts.Length != uint64(info.Size()):
		refused = fail(Changed, "%s: has %d bytes, the metadata knows one of %d", path, info.Size(), facts.Length)
	default:
		return file, info, nil
	}
	file.Close()
	return nil, nil, refused
}
