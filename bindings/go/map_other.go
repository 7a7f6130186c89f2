//go:build !unix

package flatpoint

import "os"

func mapFile(file *os.File, size int) ([]byte, func() error, error) { return readFile(file, size) }
