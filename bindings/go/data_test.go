package flatpoint_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	flatpoint "example.org/flatpoint/bindings/go"
)

// content of a data file of the golden case "data_files", which the committed suite alone has.
func content(name string) []byte {
	bytes := make([]byte, 100)
	for i := range bytes {
		bytes[i] = byte(7*i + int(name[0]))
	}
	return bytes
}

func dataFiles(t *testing.T) (flatpoint.Metadata, string) {
	t.Helper()
	folder := t.TempDir()
	for _, name := range []string{"a.bin", "b.bin", "c.bin"} {
		if err := os.WriteFile(filepath.Join(folder, name), content(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range casesOf(t, "../../tests/conformance/golden.cases") {
		if c.name == "data_files" {
			file, err := flatpoint.FromBytes(c.bytes)
			if err != nil {
				t.Fatal(err)
			}
			return file.Metadata(), folder
		}
	}
	t.Fatal("no golden case named data_files")
	return flatpoint.Metadata{}, ""
}

func chunkOf(t *testing.T, m flatpoint.Metadata, name string, row int) flatpoint.Chunk {
	t.Helper()
	entry, found, err := m.Find(name)
	if err != nil || !found {
		t.Fatal(name, err)
	}
	tensor, _, err := entry.Tensor()
	if err != nil {
		t.Fatal(err)
	}
	return tensor.ChunkByRow(row)
}

// codeOrBytes is what reading gives.
func codeOrBytes(bytes []byte, err error) string {
	if failure, ok := err.(*flatpoint.Error); ok {
		return string(failure.Code)
	}
	return string(bytes)
}

func TestChunks(t *testing.T) {
	m, path := dataFiles(t)
	folder := flatpoint.DataFolder{Metadata: m, Path: path}
	read := func(folder flatpoint.DataFolder, name string, row int) string {
		return codeOrBytes(folder.ReadChunk(chunkOf(t, m, name, row)))
	}
	expect := func(what, said, wanted string) {
		t.Helper()
		if said != wanted {
			t.Errorf("%s: %q, not %q", what, said, wanted)
		}
	}
	expect("left", read(folder, "columns", 0), string(content("a")[10:22]))
	expect("right", read(folder, "columns", 1), string(content("a")[50:62]))
	expect("another time, its checksum holds", read(folder, "rows", 0), string(content("b")[10:34]))
	expect("another time, no checksum", read(folder, "stale", 0), "changed")
	expect("another length", read(folder, "longer", 0), "changed")
	expect("outside", read(folder, "outside", 0), "outside")
	trusting := flatpoint.DataFolder{Metadata: m, Path: path, AcceptTimes: true}
	expect("accepted time", read(trusting, "stale", 0), string(content("b")[50:52]))

	if known, err := folder.CheckChunk(chunkOf(t, m, "columns", 0)); !known || err != nil {
		t.Error(known, err)
	}
	_, err := folder.CheckChunk(chunkOf(t, m, "columns", 1))
	expect("checksum", codeOrBytes(nil, err), "checksum")
	if known, err := folder.CheckChunk(chunkOf(t, m, "stale", 0)); known || err != nil {
		t.Error(known, err)
	}

	other := bytes.Clone(content("b"))
	other[12] ^= 1
	if err := os.WriteFile(filepath.Join(path, "b.bin"), other, 0o600); err != nil {
		t.Fatal(err)
	}
	expect("another time, another checksum", read(folder, "rows", 0), "changed")
	if err := os.Remove(filepath.Join(path, "a.bin")); err != nil {
		t.Fatal(err)
	}
	expect("missing", read(folder, "columns", 0), "not_found")
	inner := filepath.Join(path, "sub")
	if os.Mkdir(inner, 0o700) != nil || os.WriteFile(filepath.Join(path, "d.bin"), content("."), 0o600) != nil {
		t.Fatal("no folder")
	}
	outside := flatpoint.DataFolder{Metadata: m, Path: inner, AllowOutside: true}
	expect("allowed outside", read(outside, "outside", 0), string(content(".")[10:12]))
}
