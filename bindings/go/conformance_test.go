package flatpoint_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"

	flatpoint "example.org/flatpoint/bindings/go"
)

// suite is the folder of docs/conformance.md, or another of its form that FLATPOINT_SUITE names.
func suite() string {
	if folder := os.Getenv("FLATPOINT_SUITE"); folder != "" {
		return folder
	}
	return "../../tests/conformance"
}

// A testCase is one of docs/conformance.md.
type testCase struct {
	name, code string
	bytes      []byte
	json       string      // where it opens
	asked      [][2]string // questions and answers
}

// cases of "golden" or "hostile"; never none.
func cases(t *testing.T, kind string) []testCase {
	t.Helper()
	return casesOf(t, filepath.Join(suite(), kind+".cases"))
}

func casesOf(t *testing.T, path string) []testCase {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var found []testCase
	for _, line := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
		what, rest, _ := strings.Cut(line, "\t")
		if what == "case" {
			name, code, _ := strings.Cut(rest, "\t")
			found = append(found, testCase{name: name, code: code})
			continue
		}
		c := &found[len(found)-1]
		switch what {
		case "file":
			if c.bytes, err = hex.DecodeString(rest); err != nil {
				t.Fatal(err)
			}
		case "json":
			c.json = rest + "\n"
		case "ask":
			question, answer, _ := strings.Cut(rest, "\t=\t")
			c.asked = append(c.asked, [2]string{question, answer})
		default:
			t.Fatalf("no line of a case: %s", line)
		}
	}
	return found
}

// small is the golden file that hostile ones are made of.
func small(t *testing.T) []byte {
	t.Helper()
	for _, c := range cases(t, "golden") {
		if c.name == "small" {
			return c.bytes
		}
	}
	t.Fatal("no golden case named small")
	return nil
}

// written puts bytes into a file of their own.
func written(t *testing.T, bytes []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.flatpoint")
	if err := os.WriteFile(path, bytes, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// decode returns the code point at the front of a text (lone surrogates allowed) and its bytes; 0 bytes where it is not
// well-formed.
func decode(text string) (rune, int) {
	first := rune(text[0])
	length, least := 0, rune(0)
	switch {
	case first < 0x80:
		return first, 1
	case first >= 0xC2 && first < 0xE0:
		length, least = 2, 0x80
	case first >= 0xE0 && first < 0xF0:
		length, least = 3, 0x800
	case first >= 0xF0 && first < 0xF5:
		length, least = 4, 0x10000
	}
	if length == 0 || len(text) < length {
		return 0, 0
	}
	value := first & (0x7F >> length)
	for _, next := range []byte(text[1:length]) {
		if next&0xC0 != 0x80 {
			return 0, 0
		}
		value = value<<6 | rune(next&0x3F)
	}
	if value < least || value > 0x10FFFF {
		return 0, 0
	}
	return value, length
}

func quoted(text string) string {
	var out strings.Builder
	out.WriteByte('"')
	for text != "" {
		value, length := decode(text)
		if length == 0 {
			value, length = 0xFFFD, 1
		}
		text = text[length:]
		switch {
		case value == '"' || value == '\\':
			out.WriteString("\\" + string(value))
		case value >= 0x10000:
			high, low := utf16.EncodeRune(value)
			fmt.Fprintf(&out, "\\u%04x\\u%04x", high, low)
		case value < 0x20 || value >= 0x7F:
			fmt.Fprintf(&out, "\\u%04x", value)
		default:
			out.WriteRune(value)
		}
	}
	out.WriteByte('"')
	return out.String()
}

func optional(text []byte) string {
	if text == nil {
		return "null"
	}
	return quoted(string(text))
}

func list[T any](items []T, show func(T) string) string {
	texts := make([]string, len(items))
	for i, item := range items {
		texts[i] = show(item)
	}
	return "[" + strings.Join(texts, ",") + "]"
}

func numbers(values []int64) string {
	return list(values, func(n int64) string { return strconv.FormatInt(n, 10) })
}

func storage(info flatpoint.StorageInfo, found bool, err error) string {
	if err != nil {
		return `"corrupt"`
	}
	if !found {
		return "null"
	}
	transforms := "null"
	if info.TransformDescriptors != nil {
		transforms = list(info.TransformDescriptors, quoted)
	}
	return fmt.Sprintf(`{"file":%d,"byte_offset":%d,"length":%d,"transforms":%s}`, info.File, info.ByteOffset, info.Length, transforms)
}

// data is nothing where it is not known.
func data(chunk flatpoint.Chunk) string {
	data, found, err := chunk.Data()
	if err != nil {
		return `,"data":"corrupt"`
	}
	if !found {
		return ""
	}
	return fmt.Sprintf(`,"data":{"file":%d,"byte_offset":%d,"length":%d,"checksum":%s}`,
		data.File, data.ByteOffset, data.Length, number(data.Checksum, data.HasChecksum))
}

func number[T uint64 | int64](value T, known bool) string {
	if !known {
		return "null"
	}
	return fmt.Sprint(value)
}

// fileFacts is nothing where the columns are absent.
func fileFacts(m flatpoint.Metadata) string {
	said, c := "", m.Columns()
	if kind := m.ChecksumKind(); kind != "" {
		said = fmt.Sprintf(`"checksum_kind":"%s",`, kind)
	}
	if len(c.FileLengths) == 0 && len(c.FileTimes) == 0 && len(c.FileFormats) == 0 {
		return said
	}
	facts := make([]string, m.Files())
	for i := range facts {
		f := m.FileFacts(i)
		facts[i] = fmt.Sprintf(`{"length":%s,"time":%s,"format":"%s"}`,
			number(f.Length, f.HasLength), number(f.ModifiedNS, f.ModifiedNS != 0), f.Format)
	}
	return said + `"file_facts":[` + strings.Join(facts, ",") + `],`
}

func tensor(t flatpoint.Tensor) string {
	strides := "null"
	if values, found := t.Strides(); found {
		strides = numbers(values)
	}
	chunks := make([]string, t.Chunks())
	for i := range chunks {
		chunk, err := t.Chunk(i)
		if err != nil {
			chunks[i] = `"corrupt"`
			continue
		}
		offsets, sizes := chunk.Box()
		chunks[i] = fmt.Sprintf(`{"offsets":%s,"sizes":%s,"storage":%s%s}`, numbers(offsets), numbers(sizes), storage(chunk.Storage()), data(chunk))
	}
	return fmt.Sprintf(`"type":"tensor","dtype":%s,"layout":%s,"memory_format":%s,"requires_grad":%t,"pin_memory":%t,"strides":%s,"size":%s,"chunks":[%s]`,
		quoted(t.Dtype()), quoted(t.Layout()), quoted(t.MemoryFormat()), t.RequiresGrad(), t.PinMemory(), strides,
		numbers(t.Size()), strings.Join(chunks, ","))
}

func entry(m flatpoint.Metadata, position int) string {
	e, err := m.Entry(position)
	if err != nil {
		return `"corrupt"`
	}
	found, isTensor, err := e.Tensor()
	if err != nil {
		return `"corrupt"`
	}
	what := `"type":"opaque"`
	if isTensor {
		what = tensor(found)
	} else if e.IsBytes() {
		what = `"type":"bytes","storage":` + storage(e.BytesStorage())
	}
	return fmt.Sprintf(`{"fqn":%s,%s}`, quoted(e.FQN()), what)
}

func canonicalJSON(m flatpoint.Metadata) string {
	meta := "null"
	if s := m.StorageMeta(); s != nil {
		modules := "null"
		if s.Modules != nil {
			modules = list(s.Modules, func(text []byte) string { return quoted(string(text)) })
		}
		meta = fmt.Sprintf(`{"checkpoint_id":%s,"save_id":%s,"load_id":%s,"modules":%s}`,
			optional(s.CheckpointID), optional(s.SaveID), optional(s.LoadID), modules)
	}
	names := make([]string, m.Files())
	for i := range names {
		name, err := m.FileName(i)
		if err != nil {
			name = "corrupt"
		}
		names[i] = name
	}
	entries := make([]string, m.Len())
	for i := range entries {
		entries[i] = entry(m, i)
	}
	c := m.Columns()
	return fmt.Sprintf(`{"format":[%d,%d],"fragment_rank":%d,"version":%s,"storage_meta":%s,"files":%s,%s"entries":[%s]}`+"\n",
		c.FormatMajor, c.FormatMinor, c.FragmentRank, optional(m.Version()), meta, list(names, quoted), fileFacts(m), strings.Join(entries, ","))
}

func parsed(t *testing.T, text string) []int64 {
	values := []int64{}
	if text == "()" {
		return values
	}
	for _, piece := range strings.Split(text, ",") {
		value, err := strconv.ParseInt(piece, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		values = append(values, value)
	}
	return values
}

func answer(t *testing.T, m flatpoint.Metadata, question string) string {
	fields := strings.Split(question, "\t")
	var name string
	if _, err := fmt.Sscanf(fields[1], "%x", &name); err != nil && fields[1] != "" {
		t.Fatal(err)
	}
	var said string
	var found bool
	var err error
	switch fields[0] {
	case "find":
		var e flatpoint.Entry
		e, found, err = m.Find(name)
		said = strconv.Itoa(e.Position())
	case "storage":
		var offset []int64
		if fields[2] != "-" {
			offset = parsed(t, fields[2])
		}
		var info flatpoint.StorageInfo
		info, found, err = m.FindStorage(name, offset)
		said = fmt.Sprintf("%x\t%d\t%d", info.RelativePath, info.ByteOffset, info.Length)
	case "prefix":
		var begin, end int
		begin, end, err = m.Prefix(name)
		said, found = fmt.Sprintf("%d\t%d", begin, end), begin < end
	case "overlap":
		var e flatpoint.Entry
		var wanted flatpoint.Tensor
		if e, found, err = m.Find(name); found {
			wanted, found, err = e.Tensor()
		}
		if found {
			rows := wanted.Overlapping(parsed(t, fields[2]), parsed(t, fields[3]))
			said, found = strings.Trim(strings.ReplaceAll(fmt.Sprint(rows), " ", ","), "[]"), len(rows) > 0
		}
	case "ranges":
		var e flatpoint.Entry
		var wanted flatpoint.Tensor
		if e, found, err = m.Find(name); found {
			wanted, found, err = e.Tensor()
		}
		if found {
			var ranges []flatpoint.BoxRange
			ranges, err = wanted.Ranges(parsed(t, fields[2]), parsed(t, fields[3]))
			said = "()"
			for i, r := range ranges {
				said = strings.TrimPrefix(said, "()")
				if i > 0 {
					said += ","
				}
				said += fmt.Sprintf("%d:%d:%d:%d", r.File, r.ByteOffset, r.Length, r.BoxOffset)
			}
		}
	default:
		t.Fatalf("no question: %s", question)
	}
	var failure *flatpoint.Error
	if errors.As(err, &failure) {
		return string(failure.Code)
	}
	if !found {
		return "absent"
	}
	return "found\t" + said
}

// check compares what the files that open say with what stands in their cases.
func check(t *testing.T, kind string) {
	for _, c := range cases(t, kind) {
		if c.code != "opens" {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			file, err := flatpoint.Open(written(t, c.bytes))
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			if kind == "golden" && !file.DigestMatches() {
				t.Error("the digest is not that of the bytes")
			}
			if said := canonicalJSON(file.Metadata()); said != c.json {
				t.Errorf("says %s\nnot  %s", said, c.json)
			}
			for _, pair := range c.asked {
				if said := answer(t, file.Metadata(), pair[0]); said != pair[1] {
					t.Errorf("%q: says %q, not %q", pair[0], said, pair[1])
				}
			}
		})
	}
}

func TestGoldenFiles(t *testing.T) { check(t, "golden") }

func TestHostileFilesThatOpen(t *testing.T) { check(t, "hostile") }

func codeOf(file *flatpoint.File, err error) string {
	var failure *flatpoint.Error
	if errors.As(err, &failure) {
		return string(failure.Code)
	}
	defer file.Close()
	return "opens"
}

func TestCodes(t *testing.T) {
	for _, c := range append(cases(t, "golden"), cases(t, "hostile")...) {
		if said := codeOf(flatpoint.Open(written(t, c.bytes))); said != c.code {
			t.Errorf("%s: mapped: %s, not %s", c.name, said, c.code)
		}
		for shift := 0; shift < 2; shift++ { // aligned or not
			moved := append(make([]byte, shift, shift+len(c.bytes)), c.bytes...)[shift:]
			if said := codeOf(flatpoint.FromBytes(moved)); said != c.code {
				t.Errorf("%s: from bytes: %s, not %s", c.name, said, c.code)
			}
		}
	}
}

func TestNoMetadataFiles(t *testing.T) {
	if said := codeOf(flatpoint.Open(filepath.Join(t.TempDir(), "absent.flatpoint"))); said != "not_found" {
		t.Error(said)
	}
	if said := codeOf(flatpoint.Open(os.DevNull)); said != "io" {
		t.Error(said)
	}
	sparse := written(t, small(t))
	if err := os.Truncate(sparse, 1<<31); err != nil {
		t.Fatal(err)
	}
	if said := codeOf(flatpoint.Open(sparse)); said != "too_large" {
		t.Error(said)
	}
}

func TestDigest(t *testing.T) {
	bytes := small(t)
	bytes[len(bytes)-25] ^= 1
	file, err := flatpoint.FromBytes(bytes)
	if err != nil || file.DigestMatches() {
		t.Error("bytes that changed keep their digest")
	}
}

// The generated accessors read the same file: what Columns leaves out.
func TestRoot(t *testing.T) {
	file, err := flatpoint.Open(written(t, small(t)))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	root := file.Root()
	if root.EntriesLength() != file.Metadata().Len() || root.OpaqueLength() != 1 || root.PlannerOrderLength() != 3 {
		t.Error("the generated accessors say something else")
	}
}

func TestFoldersAndPickles(t *testing.T) {
	folder := t.TempDir()
	if _, err := flatpoint.Open(folder); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an empty folder: %v", err)
	}
	pickle := filepath.Join(folder, ".metadata")
	if err := os.WriteFile(pickle, []byte("\x80\x04N."), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{folder, pickle} {
		if _, err := flatpoint.Open(path); err == nil || !strings.Contains(err.Error(), "run `flatpoint import "+pickle+"`") {
			t.Errorf("%s: %v", path, err)
		}
	}
	if err := os.WriteFile(filepath.Join(folder, ".metadata.flatpoint"), small(t), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := flatpoint.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	chunks := 0
	for entry, err := range file.Metadata().All() {
		if err != nil {
			t.Fatal(err)
		}
		if tensor, ok, _ := entry.Tensor(); ok {
			for _, err := range tensor.All() {
				if err != nil {
					t.Fatal(err)
				}
				chunks++
			}
		}
	}
	if chunks != 10 {
		t.Errorf("%d chunks", chunks)
	}
}
