package flatpoint

import (
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"unsafe"

	"github.com/zeebo/xxh3"

	"example.org/flatpoint/generated/go/flatpoint/fb"
)

// File is an open metadata file. Close it when nothing that came from it is used any more.
type File struct {
	bytes    []byte
	unmap    func() error
	metadata Metadata
}

// Open maps a file, or the .metadata.flatpoint of a folder, and checks rules F1 to F8; nothing beside it is looked at. The
// file must not be written in place while it is open (publish by rename); where others do, read it and use FromBytes.
func Open(path string) (*File, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		pickle := filepath.Join(path, ".metadata")
		path = filepath.Join(path, ".metadata.flatpoint")
		if !exists(path) && exists(pickle) {
			return nil, isPickle(pickle)
		}
	}
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, caused(NotFound, err)
	} else if err != nil {
		return nil, caused(IO, err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, caused(IO, err)
	}
	if !info.Mode().IsRegular() {
		return nil, fail(IO, "%s: not a regular file", path)
	}
	if refused := checkFrameOf(file, info.Size()); refused != nil {
		if first := make([]byte, 1); refused.Code == NotFlatpoint {
			if n, _ := file.ReadAt(first, 0); n == 1 && first[0] == 0x80 {
				return nil, isPickle(path)
			}
		}
		return nil, fail(refused.Code, "%s: %s", path, refused.Message)
	}
	bytes, unmap, err := mapFile(file, int(info.Size()))
	if err != nil {
		return nil, fail(IO, "%s: %v", path, err)
	}
	opened, refused := open(bytes, unmap)
	if refused != nil {
		unmap()
		return nil, fail(refused.Code, "%s: %s", path, refused.Message)
	}
	return opened, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// isPickle refuses DCP's own .metadata, which this package does not read.
func isPickle(path string) *Error {
	return fail(NotFlatpoint, "%s: a pickle, no flatpoint file: run `flatpoint import %s`", path, path)
}

// checkFrameOf reads the ends of a file before it is mapped.
func checkFrameOf(file io.ReaderAt, size int64) *Error {
	head := make([]byte, 8)
	n, err := file.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return fail(IO, "%v", err)
	}
	tail := make([]byte, trailerSize)
	if size >= trailerSize {
		if _, err := file.ReadAt(tail, size-trailerSize); err != nil {
			return fail(IO, "%v", err)
		}
	}
	return checkFrame(head[:n], tail, size)
}

// FromBytes checks bytes in memory as Open does. They are borrowed where they are 8-byte aligned, else copied.
func FromBytes(bytes []byte) (*File, error) {
	tail := bytes
	if len(bytes) >= trailerSize {
		tail = bytes[len(bytes)-trailerSize:]
	}
	if refused := checkFrame(bytes[:min(8, len(bytes))], tail, int64(len(bytes))); refused != nil {
		return nil, refused
	}
	if uintptr(unsafe.Pointer(&bytes[0]))%8 != 0 {
		words := make([]uint64, (len(bytes)+7)/8)
		copied := unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), len(bytes))
		copy(copied, bytes)
		bytes = copied
	}
	opened, refused := open(bytes, func() error { return nil })
	if refused != nil {
		return nil, refused
	}
	return opened, nil
}

func open(bytes []byte, unmap func() error) (*File, *Error) {
	if one := uint16(1); *(*byte)(unsafe.Pointer(&one)) != 1 {
		return nil, fail(IO, "files are read in place, which takes a little-endian machine")
	}
	columns, refused := decode(bytes[: len(bytes)-trailerSize : len(bytes)-trailerSize])
	if refused != nil {
		return nil, refused
	}
	return &File{bytes, unmap, Metadata{columns}}, nil
}

// Close gives the file back. Nothing that came from it may be used afterwards.
func (f *File) Close() error {
	unmap := f.unmap
	f.unmap = func() error { return nil }
	return unmap()
}

// Metadata is what the file says.
func (f *File) Metadata() Metadata { return f.metadata }

// Bytes is the whole file: FlatBuffer and trailer.
func (f *File) Bytes() []byte { return f.bytes }

// DigestMatches tells whether the trailer's digest is that of the bytes (rule F9). It reads the whole file.
func (f *File) DigestMatches() bool {
	body := len(f.bytes) - trailerSize
	return binary.LittleEndian.Uint64(f.bytes[body:]) == xxh3.Hash(f.bytes[:body])
}

// Root is the generated root table, for what this package does not wrap: orders, hints, planner paths, opaque records.
// Its vectors lie inside the file; the numbers in them are whatever the file says.
func (f *File) Root() *fb.Metadata { return fb.GetRootAsMetadata(f.bytes, 0) }
