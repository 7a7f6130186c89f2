package flatpoint

import (
	"io"
	"os"
	"unsafe"
)

// readFile reads a file into aligned memory: where mapping fails or there is none.
func readFile(file *os.File, size int) ([]byte, func() error, error) {
	words := make([]uint64, (size+7)/8)
	bytes := unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), size)
	_, err := io.ReadFull(file, bytes)
	return bytes, func() error { return nil }, err
}
