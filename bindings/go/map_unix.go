//go:build unix

package flatpoint

import (
	"os"
	"syscall"
)

func mapFile(file *os.File, size int) ([]byte, func() error, error) {
	bytes, err := syscall.Mmap(int(file.Fd()), 0, size, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return readFile(file, size)
	}
	return bytes, func() error { return syscall.Munmap(bytes) }, nil
}
