package flatpoint

import (
	"iter"
	"math"
	"math/bits"
	"slices"
	"sort"

	"example.org/flatpoint/generated/go/flatpoint/fb"
)

// Entry is one FQN of state_dict_metadata. Cheap to copy; borrows from its File.
type Entry struct {
	columns  *Columns
	row      EntryRow
	position int
}

// newEntry checks rules E1 and E4.
func newEntry(c *Columns, position int) (Entry, error) {
	row := c.Entries[position]
	if _, err := fqnAt(c, row.FQNBegin, row.FQNLength, position); err != nil {
		return Entry{}, err
	}
	if !inRange(uint64(row.ChunkBegin), uint64(row.ChunkCount), c.ChunkRows()) {
		return Entry{}, corrupt("E4: rows of entry %d", position)
	}
	return Entry{c, row, position}, nil
}

// FQN is UTF-8 with Python's surrogates kept; it may hold zeros.
func (e Entry) FQN() string { return string(e.columns.FQNs[e.row.FQNBegin:][:e.row.FQNLength]) }

// Position in the sorted order.
func (e Entry) Position() int { return e.position }

// IsTensor and IsBytes tell what the entry is; neither: an object of a class that is not DCP's.
func (e Entry) IsTensor() bool { return e.row.StorageType == uint8(fb.StorageTypeTensor) }
func (e Entry) IsBytes() bool  { return e.row.StorageType == uint8(fb.StorageTypeBytes) }

// BytesStorage tells where a bytes item lies; false without storage information, and for what is not bytes.
func (e Entry) BytesStorage() (StorageInfo, bool, error) {
	if !e.IsBytes() || e.row.ChunkCount == 0 {
		return StorageInfo{}, false, nil
	}
	return storageAt(e.columns, uint64(e.row.ChunkBegin), uint64(e.row.LengthBegin))
}

// Tensor is the tensor; false where the entry is none. Rules E2, E3 and E5.
func (e Entry) Tensor() (Tensor, bool, error) {
	if !e.IsTensor() {
		return Tensor{}, false, nil
	}
	c, row, ndim := e.columns, &e.row, uint64(e.row.NDim)
	dimensions := ndim
	if row.Properties.Strides == uint8(fb.StridesKindExplicit) {
		dimensions = 2 * ndim
	}
	if !inRange(uint64(row.SizeBegin), dimensions, len(c.Sizes)) {
		return Tensor{}, false, corrupt("E2: size of %q", e.FQN())
	}
	boxes, ok := boxesOf(c, row)
	if !ok {
		return Tensor{}, false, corrupt("E3: boxes of %q", e.FQN())
	}
	var order []uint32
	if row.Reordered != 0 {
		if !inRange(uint64(row.OrderBegin), uint64(row.ChunkCount), len(c.ChunkOrder)) {
			return Tensor{}, false, corrupt("E5: chunk order of %q", e.FQN())
		}
		order = c.ChunkOrder[row.OrderBegin:][:row.ChunkCount]
	}
	return Tensor{e, c.Sizes[row.SizeBegin:][:dimensions], boxes, order}, true, nil
}

// findStorage returns the storage information of the chunk at an offset; for nil that of bytes.
func (e Entry) findStorage(offset []int64) (StorageInfo, bool, error) {
	if offset == nil {
		return e.BytesStorage()
	}
	tensor, found, err := e.Tensor()
	if !found {
		return StorageInfo{}, false, err
	}
	chunk, found := tensor.FindChunk(offset)
	if !found {
		return StorageInfo{}, false, nil
	}
	return chunk.Storage()
}

// boxesOf returns the values of boxes that a tensor takes: rule E3.
func boxesOf(c *Columns, row *EntryRow) ([]int64, bool) {
	ndim, count := uint64(row.NDim), uint64(row.ChunkCount)
	var values uint64
	switch fb.ChunkLayout(row.ChunkLayout) {
	case fb.ChunkLayoutWhole:
		return nil, count == 1
	case fb.ChunkLayoutExplicit:
		values = 2 * ndim * count
	case fb.ChunkLayoutGrid, fb.ChunkLayoutEvenGrid:
		if !inRange(uint64(row.BoxBegin), ndim, len(c.Boxes)) {
			return nil, false
		}
		cells := uint64(1)
		values = 2 * ndim
		for _, along := range c.Boxes[row.BoxBegin:][:ndim] {
			high, product := bits.Mul64(cells, uint64(max(along, 0)))
			if high != 0 || product < 1 || product > count {
				return nil, false
			}
			cells = product
			if row.ChunkLayout == uint8(fb.ChunkLayoutGrid) {
				values += uint64(along)
			}
		}
		if cells != count {
			return nil, false
		}
	default:
		return nil, false
	}
	if !inRange(uint64(row.BoxBegin), values, len(c.Boxes)) {
		return nil, false
	}
	return c.Boxes[row.BoxBegin:][:values], true
}

// Tensor is TensorStorageMetadata.
type Tensor struct {
	Entry
	size  []int64 // with explicit strides behind it
	boxes []int64
	order []uint32
}

// NDim is the number of dimensions.
func (t *Tensor) NDim() int { return int(t.row.NDim) }

// Size has the elements per dimension. It lies in the file: read only.
func (t *Tensor) Size() []int64 { return t.size[:t.NDim()] }

// Dtype and Layout are torch's names without "torch."; "unknown:N" where this version does not know them.
func (t *Tensor) Dtype() string {
	return typeName(t.columns, dtypeNames, t.row.Properties.Dtype, t.row.Properties.DtypeName)
}

// ItemSize is the bytes of an element; 0 for a dtype that has none here.
func (t *Tensor) ItemSize() uint64 {
	if dtype := int(t.row.Properties.Dtype); dtype < len(itemSizes) {
		return itemSizes[dtype]
	}
	return 0
}

func (t *Tensor) Layout() string {
	return typeName(t.columns, layoutNames, t.row.Properties.Layout, t.row.Properties.LayoutName)
}

func (t *Tensor) MemoryFormat() string {
	return knownName(memoryFormatNames, t.row.Properties.MemoryFormat)
}
func (t *Tensor) RequiresGrad() bool { return t.row.Properties.RequiresGrad != 0 }
func (t *Tensor) PinMemory() bool    { return t.row.Properties.PinMemory != 0 }

// Strides in elements; false in files from before torch 2.15.
func (t *Tensor) Strides() ([]int64, bool) {
	switch fb.StridesKind(t.row.Properties.Strides) {
	case fb.StridesKindContiguous:
		size := t.Size()
		if first, err := t.Chunk(0); t.row.ChunkCount > 0 && err == nil {
			_, size = first.Box()
		}
		return contiguousStrides(size), true
	case fb.StridesKindExplicit:
		return t.size[t.NDim():], true
	}
	return nil, false
}

// Chunks is the number of chunks.
func (t *Tensor) Chunks() int { return int(t.row.ChunkCount) }

// Chunk is the i-th chunk in DCP's order.
func (t *Tensor) Chunk(i int) (Chunk, error) {
	cell := uint32(i)
	if t.order != nil && i < len(t.order) {
		cell = t.order[i]
	}
	if i < 0 || i >= t.Chunks() || cell >= t.row.ChunkCount {
		return Chunk{}, corrupt("E5: chunk %d of %q", i, t.FQN())
	}
	return Chunk{t, cell}, nil
}

// All gives every chunk in DCP's order, and stops behind the first error.
func (t *Tensor) All() iter.Seq2[Chunk, error] {
	return func(yield func(Chunk, error) bool) {
		for i := range t.Chunks() {
			chunk, err := t.Chunk(i)
			if !yield(chunk, err) || err != nil {
				return
			}
		}
	}
}

// ChunkByRow is the i-th chunk by rows: sorted by offsets. Panics where i is not below Chunks().
func (t *Tensor) ChunkByRow(i int) Chunk {
	if i < 0 || i >= t.Chunks() {
		panic("flatpoint: no such chunk")
	}
	return Chunk{t, uint32(i)}
}

// FindChunk is the first chunk that starts at an offset. O(ndim * log chunks).
func (t *Tensor) FindChunk(offset []int64) (Chunk, bool) {
	if len(offset) != t.NDim() {
		return Chunk{}, false
	}
	cell := -1
	switch fb.ChunkLayout(t.row.ChunkLayout) {
	case fb.ChunkLayoutWhole:
		if !slices.ContainsFunc(offset, func(n int64) bool { return n != 0 }) {
			cell = 0
		}
	case fb.ChunkLayoutExplicit:
		cell = t.findExplicit(offset)
	default:
		cell = t.findInGrid(offset)
	}
	if cell < 0 {
		return Chunk{}, false
	}
	return Chunk{t, uint32(cell)}, true
}

func (t *Tensor) findExplicit(offset []int64) int {
	offsets := func(row int) []int64 { return t.boxes[2*t.NDim()*row:][:t.NDim()] }
	row := sort.Search(t.Chunks(), func(row int) bool { return slices.Compare(offsets(row), offset) >= 0 })
	if row == t.Chunks() || !slices.Equal(offsets(row), offset) {
		return -1
	}
	return row
}

func (t *Tensor) findInGrid(offset []int64) int {
	cell, splits := 0, t.NDim()
	for d, wanted := range offset {
		count := t.cells(d)
		if fb.ChunkLayout(t.row.ChunkLayout) == fb.ChunkLayoutEvenGrid && (wanted < 0 || t.boxes[t.NDim()+d] < 0) {
			return -1
		}
		along := sort.Search(count, func(i int) bool { return t.point(d, splits, i) >= wanted })
		if along == count || t.point(d, splits, along) != wanted {
			return -1
		}
		cell = cell*count + along
		splits += count + 1
	}
	return cell
}

// Overlapping returns the rows of all chunks that overlap a box, ascending, as torch decides it: in every dimension each
// begins before the other ends. Nothing overlaps a box of other dimensions.
func (t *Tensor) Overlapping(offsets, sizes []int64) []int {
	if len(offsets) != t.NDim() || len(sizes) != t.NDim() {
		return nil
	}
	ends := make([]int64, t.NDim())
	for d := range ends {
		ends[d] = endOf(offsets[d], sizes[d])
	}
	var rows []int
	if layout := fb.ChunkLayout(t.row.ChunkLayout); layout == fb.ChunkLayoutGrid || layout == fb.ChunkLayoutEvenGrid {
		return t.overlappingCells(offsets, ends)
	}
	for row := 0; row < t.Chunks(); row++ {
		overlaps := true
		for d := 0; overlaps && d < t.NDim(); d++ {
			begin, size := t.interval(row, d)
			overlaps = begin < ends[d] && offsets[d] < endOf(begin, size)
		}
		if overlaps {
			rows = append(rows, row)
		}
	}
	return rows
}

// overlappingCells goes by a range of cells per dimension; the outermost varies slowest. None overlap where a step is
// negative, against rule V5.
func (t *Tensor) overlappingCells(offsets, ends []int64) []int {
	cells, splits := []int{0}, t.NDim()
	for d := range offsets {
		if fb.ChunkLayout(t.row.ChunkLayout) == fb.ChunkLayoutEvenGrid && t.boxes[t.NDim()+d] < 0 {
			return nil
		}
		count := t.cells(d)
		first := sort.Search(count, func(i int) bool { return t.point(d, splits, i+1) > offsets[d] })
		last := sort.Search(count, func(i int) bool { return t.point(d, splits, i) >= ends[d] })
		var finer []int
		for _, cell := range cells {
			for i := first; i < last; i++ {
				finer = append(finer, cell*count+i)
			}
		}
		cells = finer
		splits += count + 1
	}
	return cells
}

// cells of a grid along a dimension.
func (t *Tensor) cells(d int) int { return int(t.boxes[d]) }

// point is where cell i of a grid begins along a dimension whose split points begin at splits.
func (t *Tensor) point(d, splits, i int) int64 {
	if fb.ChunkLayout(t.row.ChunkLayout) == fb.ChunkLayoutGrid {
		return t.boxes[splits+i]
	}
	if product, ok := multiply(int64(i), t.boxes[t.NDim()+d]); ok {
		return min(product, t.size[d])
	}
	return t.size[d]
}

// interval is one dimension of a chunk: begin and size.
func (t *Tensor) interval(cell, d int) (int64, int64) {
	switch fb.ChunkLayout(t.row.ChunkLayout) {
	case fb.ChunkLayoutWhole:
		return 0, t.size[d]
	case fb.ChunkLayoutExplicit:
		at := 2*t.NDim()*cell + d
		return t.boxes[at], t.boxes[at+t.NDim()]
	}
	splits, below := t.NDim(), t.Chunks()
	for before := 0; before < d; before++ {
		below /= t.cells(before)
		cell %= below
		splits += t.cells(before) + 1
	}
	i := cell / (below / t.cells(d))
	begin := t.point(d, splits, i)
	return begin, t.point(d, splits, i+1) - begin
}

// Chunk is ChunkStorageMetadata: one chunk of a tensor.
type Chunk struct {
	tensor *Tensor
	cell   uint32
}

// Box returns offsets and sizes.
func (c Chunk) Box() (offsets, sizes []int64) {
	offsets, sizes = make([]int64, c.tensor.NDim()), make([]int64, c.tensor.NDim())
	for d := range offsets {
		offsets[d], sizes[d] = c.tensor.interval(int(c.cell), d)
	}
	return offsets, sizes
}

// Row of the chunk columns.
func (c Chunk) Row() int { return int(c.tensor.row.ChunkBegin) + int(c.cell) }

// Storage tells where the chunk lies; false without storage information.
func (c Chunk) Storage() (StorageInfo, bool, error) {
	lengthAt := uint64(c.tensor.row.LengthBegin)
	if c.tensor.row.LengthsDiffer != 0 {
		lengthAt += uint64(c.cell)
	}
	return storageAt(c.tensor.columns, uint64(c.Row()), lengthAt)
}

// contiguousStrides is torch's empty(size).stride(); products that leave int64 give 0.
func contiguousStrides(size []int64) []int64 {
	strides, stride := make([]int64, len(size)), int64(1)
	for d := len(size) - 1; d >= 0; d-- {
		strides[d] = stride
		stride, _ = multiply(stride, max(size[d], 1))
	}
	return strides
}

// multiply returns 0 and false where the product leaves int64.
func multiply(a, b int64) (int64, bool) {
	if a == 0 || b == 0 {
		return 0, true
	}
	product := a * b
	if product/b != a || (a == -1 && b == math.MinInt64) || (b == -1 && a == math.MinInt64) {
		return 0, false
	}
	return product, true
}

// endOf is begin + size; where that leaves int64, its last number.
func endOf(begin, size int64) int64 {
	end := begin + size
	if (end > begin) == (size > 0) {
		return end
	}
	if begin < 0 {
		return math.MinInt64
	}
	return math.MaxInt64
}
