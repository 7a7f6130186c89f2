// What a Go program does through cgo: opens, reads a box, and compares it with its exact ranges of the data files.
package main

/*
#include <stdlib.h>
#include <flatpoint/flatpoint.h>
*/
import "C"

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"unsafe"
)

func text(t C.flatpoint_text) string { return C.GoStringN(t.data, C.int(t.length)) }

func must(code C.int32_t, err *C.flatpoint_error) {
	if code != C.FLATPOINT_OK {
		fmt.Fprintf(os.Stderr, "%d: %s\n", code, C.GoString(&err.message[0]))
		os.Exit(1)
	}
}

// ranges is a tensor put together from the files.
func ranges(checkpoint *C.flatpoint_checkpoint, entry C.flatpoint_entry) []byte {
	var err C.flatpoint_error
	var count C.size_t
	code := C.flatpoint_ranges(checkpoint, entry.number, nil, nil, nil, &count, &err)
	all := make([]C.flatpoint_range, count)
	if code == C.FLATPOINT_NO_ROOM {
		code = C.flatpoint_ranges(checkpoint, entry.number, nil, nil, &all[0], &count, &err)
	}
	must(code, &err)
	box := make([]byte, entry.bytes)
	for _, r := range all {
		var facts C.flatpoint_file
		must(C.flatpoint_get_file(checkpoint, r.file, &facts, &err), &err)
		file, failure := os.Open(filepath.Join(text(C.flatpoint_folder(checkpoint)), text(facts.relative_path)))
		if failure == nil {
			_, failure = file.ReadAt(box[r.box_offset:r.box_offset+r.length], int64(r.byte_offset))
		}
		if failure != nil {
			fmt.Fprintln(os.Stderr, failure)
			os.Exit(1)
		}
		file.Close()
	}
	return box
}

func main() {
	var err C.flatpoint_error
	path := C.CString(os.Args[1])
	defer C.free(unsafe.Pointer(path))
	checkpoint := C.flatpoint_open(path, nil, &err)
	if checkpoint == nil {
		must(err.code, &err)
	}
	defer C.flatpoint_close(checkpoint)
	compared := 0
	for i := C.uint32_t(0); i < C.flatpoint_entry_count(checkpoint); i++ {
		var entry C.flatpoint_entry
		must(C.flatpoint_get(checkpoint, i, &entry, &err), &err)
		if entry.kind != C.FLATPOINT_TENSOR || entry.bytes == 0 {
			continue
		}
		read := make([]byte, entry.bytes)
		must(C.flatpoint_read(checkpoint, i, nil, nil, unsafe.Pointer(&read[0]), C.size_t(len(read)), nil, 1, &err), &err)
		if !bytes.Equal(read, ranges(checkpoint, entry)) {
			fmt.Fprintln(os.Stderr, text(entry.fqn), "differs")
			os.Exit(1)
		}
		compared++
	}
	if compared < 3 {
		fmt.Fprintln(os.Stderr, "too few tensors to compare")
		os.Exit(1)
	}
}
