package flatpoint

import (
	"encoding/binary"
	"unsafe"
)

// buffer reads FlatBuffers tables before the generated accessors are trusted: rules F5 and F6. It keeps the first thing that
// is wrong; from then on everything reads as absent.
type buffer struct {
	bytes []byte // 8-byte aligned
	err   *Error
}

func (b *buffer) report(format string, arguments ...any) {
	if b.err == nil {
		b.err = corrupt(format, arguments...)
	}
}

// number returns the bytes of a number at a multiple of its size; zeros where it is not inside.
func (b *buffer) number(at uint64, size uint64) []byte {
	if !inRange(at, size, len(b.bytes)) || at%size != 0 {
		b.report("F5: an offset points outside the file or to a misaligned number")
		return make([]byte, size)
	}
	return b.bytes[at : at+size]
}

func (b *buffer) uint16(at uint64) uint16 { return binary.LittleEndian.Uint16(b.number(at, 2)) }
func (b *buffer) uint32(at uint64) uint32 { return binary.LittleEndian.Uint32(b.number(at, 4)) }

// follow returns the position that the offset at a position refers to.
func (b *buffer) follow(at uint64) (uint64, bool) {
	distance := b.uint32(at)
	if b.err == nil && (distance == 0 || !inRange(at, uint64(distance), len(b.bytes))) {
		b.report("F5: an offset points outside the file or to itself")
	}
	return at + uint64(distance), b.err == nil
}

// table is a FlatBuffers table whose vtable lies inside the buffer.
type table struct {
	buffer     *buffer
	at, vtable uint64
	vtableSize uint16
}

func (b *buffer) table(at uint64) table {
	distance := int64(int32(b.uint32(at)))
	vtable := uint64(int64(at) - distance) // a difference below 0 wraps to a position far outside
	size := b.uint16(vtable)
	if b.err == nil && (size%2 != 0 || !inRange(vtable, uint64(size), len(b.bytes))) {
		b.report("F5: a vtable ends outside the file")
	}
	if b.err != nil {
		size = 0
	}
	return table{b, at, vtable, size}
}

// position tells where a field's value lies.
func (t *table) position(field uint16) (uint64, bool) {
	if field >= t.vtableSize {
		return 0, false
	}
	offset := t.buffer.uint16(t.vtable + uint64(field))
	return t.at + uint64(offset), offset != 0
}

// scalar returns the bytes of a number; nil where it is absent.
func (t *table) scalar(field uint16, size uint64) []byte {
	if at, found := t.position(field); found {
		return t.buffer.number(at, size)
	}
	return nil
}

func (t *table) uint16(field uint16) uint16 {
	if bytes := t.scalar(field, 2); bytes != nil {
		return binary.LittleEndian.Uint16(bytes)
	}
	return 0
}

// reference returns the position of the table or vector that a field refers to.
func (t *table) reference(field uint16) (uint64, bool) {
	if at, found := t.position(field); found {
		return t.buffer.follow(at)
	}
	return 0, false
}

// column returns a vector of scalars or structs; nil where it is absent.
func column[T any](t *table, field uint16, name string) []T {
	at, found := t.reference(field)
	if !found {
		return nil
	}
	var element T
	count := uint64(t.buffer.uint32(at))
	begin := at + 4
	if t.buffer.err != nil {
		return nil
	}
	if !inRange(begin, count*uint64(unsafe.Sizeof(element)), len(t.buffer.bytes)) {
		t.buffer.report("F5: column %s ends outside the file", name)
		return nil
	}
	if begin%uint64(unsafe.Alignof(element)) != 0 {
		t.buffer.report("F6: column %s is not aligned to its elements", name)
		return nil
	}
	if count == 0 {
		return []T{}
	}
	return unsafe.Slice((*T)(unsafe.Pointer(&t.buffer.bytes[begin])), count)
}

// required is column, an error where it is absent.
func required[T any](t *table, field uint16, name string) []T {
	found := column[T](t, field, name)
	if found == nil {
		t.buffer.report("F5: column %s is missing", name)
	}
	return found
}

// inRange tells whether [begin, begin + count) lies inside [0, size). Cannot wrap.
func inRange(begin, count uint64, size int) bool {
	return count <= uint64(size) && begin <= uint64(size)-count
}
