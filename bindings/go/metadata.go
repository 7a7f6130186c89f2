package flatpoint

import (
	"bytes"
	"cmp"
	"iter"
	"math/bits"
	"slices"

	"github.com/zeebo/xxh3"
)

const maxProbes = 32

// Metadata is what a metadata file says. Cheap to copy; borrows from its File.
type Metadata struct{ columns *Columns }

// Columns are the columns as they lie in the file, for bulk work.
func (m Metadata) Columns() *Columns { return m.columns }

// Len is the number of FQNs.
func (m Metadata) Len() int { return len(m.columns.Entries) }

// Version is Metadata.version; nil is None.
func (m Metadata) Version() []byte { return m.columns.version }

// StorageMeta is nil where Metadata.storage_meta is None.
func (m Metadata) StorageMeta() *StorageMeta { return m.columns.storageMeta }

// Files is the number of data files.
func (m Metadata) Files() int { return len(m.columns.FileNames.Ends) }

// FileName is the relative_path of data file i. Panics where i is not below Files().
func (m Metadata) FileName(i int) (string, error) {
	_ = m.columns.FileNames.Ends[i]
	name, ok := m.columns.FileNames.Text(uint64(i))
	if !ok {
		return "", corrupt("V7: name of file %d", i)
	}
	return string(name), nil
}

// Entry is the entry at a position of the sorted order. Panics where position is not below Len().
func (m Metadata) Entry(position int) (Entry, error) {
	return newEntry(m.columns, position)
}

// All gives every entry, sorted by FQN, and stops behind the first error.
func (m Metadata) All() iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for position := range m.Len() {
			entry, err := m.Entry(position)
			if !yield(entry, err) || err != nil {
				return
			}
		}
	}
}

// Find is state_dict_metadata[fqn], compared as bytes; false where there is none. O(1): at most 32 probes, then binary search.
func (m Metadata) Find(fqn string) (Entry, bool, error) {
	position, err := m.position(fqn)
	if err != nil || position < 0 {
		return Entry{}, false, err
	}
	entry, err := m.Entry(position)
	return entry, err == nil, err
}

// position of an FQN; -1 where there is none.
func (m Metadata) position(fqn string) (int, error) {
	hash := xxh3.HashString(fqn)
	indexBits := bits.Len32(uint32(len(m.columns.Entries)))
	slots := m.columns.FQNSlots
	for probe := uint32(0); probe < maxProbes; probe++ {
		slot := slots[(uint32(hash)+probe)&uint32(len(slots)-1)]
		if slot == 0 {
			return -1, nil
		}
		if uint64(slot)>>indexBits != hash>>32>>indexBits {
			continue
		}
		position := int(slot&(1<<indexBits-1)) - 1
		if position < 0 || position >= len(m.columns.Entries) {
			continue
		}
		if name, err := m.name(position); err != nil {
			return -1, err
		} else if string(name) == fqn {
			return position, nil
		}
	}
	position, err := m.partition(0, func(name []byte) bool { return string(name) < fqn })
	if err != nil || position == m.Len() {
		return -1, err
	}
	if name, err := m.name(position); err != nil || string(name) != fqn {
		return -1, err
	}
	return position, nil
}

// FindStorage is storage_data[MetadataIndex(fqn, offset)]; a nil offset is None, an empty one that of a scalar tensor.
func (m Metadata) FindStorage(fqn string, offset []int64) (StorageInfo, bool, error) {
	entry, found, err := m.Find(fqn)
	if err != nil {
		return StorageInfo{}, false, err
	}
	if found {
		if info, found, err := entry.findStorage(offset); found || err != nil {
			return info, found, err
		}
	}
	return m.findLoose(fqn, offset)
}

// Prefix returns the positions [begin, end) of all FQNs that begin with a prefix; both are equal where there is none.
func (m Metadata) Prefix(prefix string) (begin, end int, err error) {
	wanted := []byte(prefix)
	if begin, err = m.partition(0, func(name []byte) bool { return bytes.Compare(name, wanted) < 0 }); err != nil {
		return 0, 0, err
	}
	end, err = m.partition(begin, func(name []byte) bool {
		return bytes.Compare(name[:min(len(name), len(wanted))], wanted) <= 0
	})
	if err != nil {
		return 0, 0, err
	}
	return begin, end, nil
}

func (m Metadata) name(position int) ([]byte, error) {
	row := &m.columns.Entries[position]
	return fqnAt(m.columns, row.FQNBegin, row.FQNLength, position)
}

// fqnAt checks rule E1.
func fqnAt(c *Columns, begin, length uint32, position int) ([]byte, error) {
	if !inRange(uint64(begin), uint64(length), len(c.FQNs)) {
		return nil, corrupt("E1: FQN of entry %d", position)
	}
	return c.FQNs[begin : begin+length], nil
}

// partition returns the first position at or behind begin whose name is not before(name).
func (m Metadata) partition(begin int, before func(name []byte) bool) (int, error) {
	end := m.Len()
	for begin < end {
		middle := begin + (end-begin)/2
		name, err := m.name(middle)
		if err != nil {
			return 0, err
		}
		if before(name) {
			begin = middle + 1
		} else {
			end = middle
		}
	}
	return begin, nil
}

// findLoose looks for storage information without a chunk: sorted by FQN, no offset first, then offset.
func (m Metadata) findLoose(fqn string, offset []int64) (StorageInfo, bool, error) {
	c := m.columns
	begin, end := 0, len(c.LooseStorage)
	for begin < end {
		middle := begin + (end-begin)/2
		row := &c.LooseStorage[middle]
		if !inRange(uint64(row.FQNBegin), uint64(row.FQNLength), len(c.FQNs)) {
			return StorageInfo{}, false, corrupt("E1: FQN of loose storage %d", middle)
		}
		if !inRange(uint64(row.OffsetBegin), uint64(row.NDim), len(c.Sizes)) {
			return StorageInfo{}, false, corrupt("E2: offset of loose storage %d", middle)
		}
		order := cmp.Compare(string(c.FQNs[row.FQNBegin:row.FQNBegin+row.FQNLength]), fqn)
		if order == 0 {
			order = compareOffsets(row.HasOffset != 0, c.Sizes[row.OffsetBegin:][:row.NDim], offset)
		}
		switch {
		case order == 0:
			return storageAt(c, uint64(c.ChunkRows()+middle), uint64(row.LengthBegin))
		case order < 0:
			begin = middle + 1
		default:
			end = middle
		}
	}
	return StorageInfo{}, false, nil
}

func compareOffsets(has bool, own, offset []int64) int {
	switch {
	case has && offset != nil:
		return slices.Compare(own, offset)
	case has:
		return 1
	case offset != nil:
		return -1
	}
	return 0
}
