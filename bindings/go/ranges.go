package flatpoint

import (
	"cmp"
	"math/bits"
	"slices"
)

const maxRanges = 1 << 24

// BoxRange tells that Length bytes from ByteOffset of a data file on are those of the box from BoxOffset on, where the box
// lies row-major without gaps.
type BoxRange struct {
	File                          uint32
	ByteOffset, Length, BoxOffset uint64
}

// Ranges are those of a box, as long as they can be: by row of the chunks that overlap it, each in order of its elements.
// Codes of errors: InvalidArgument for a box outside the tensor, NotPlain where a chunk's data is not known, Holes for
// elements that no chunk holds, TooLarge beyond 2^24 ranges.
func (t *Tensor) Ranges(offsets, sizes []int64) ([]BoxRange, error) {
	size, err := t.boxBytes(offsets, sizes)
	if size == 0 || err != nil {
		return nil, err
	}
	var ranges []BoxRange
	for _, row := range t.Overlapping(offsets, sizes) {
		chunk := t.ChunkByRow(row)
		if !chunk.shares(offsets, sizes) {
			continue
		}
		if ranges, err = t.list(chunk, offsets, sizes, ranges); err != nil {
			return nil, err
		}
	}
	if end := covered(ranges); end < size {
		return nil, fail(Holes, "%s: no chunk holds element %d of the box", t.FQN(), end/t.ItemSize())
	}
	return ranges, nil
}

// boxBytes is the number of bytes of a box inside the tensor.
func (t *Tensor) boxBytes(offsets, sizes []int64) (uint64, error) {
	whole := t.Size()
	fits := len(offsets) == len(whole) && len(sizes) == len(whole)
	for d := 0; fits && d < len(whole); d++ {
		fits = offsets[d] >= 0 && sizes[d] >= 0 && sizes[d] <= whole[d] && offsets[d] <= whole[d]-sizes[d]
	}
	if !fits {
		return 0, fail(InvalidArgument, "%s: a box at %v with sizes %v does not lie in %v", t.FQN(), offsets, sizes, whole)
	}
	size, ok := byteCount(sizes, t.ItemSize())
	if !ok {
		return 0, fail(TooLarge, "%s: the box has more than 2^64 bytes", t.FQN())
	}
	if size == 0 && !slices.Contains(sizes, 0) {
		return 0, fail(NotPlain, "%s: dtype %s has no item size", t.FQN(), t.Dtype())
	}
	return size, nil
}

// byteCount is false where a size is negative or the bytes leave 64 bits.
func byteCount(sizes []int64, item uint64) (uint64, bool) {
	bytes, fits := item, true
	for _, size := range sizes {
		if size < 0 {
			return 0, false
		}
		high, low := bits.Mul64(bytes, uint64(size))
		fits, bytes = fits && high == 0, low
	}
	if slices.Contains(sizes, 0) {
		return 0, true
	}
	return bytes, fits
}

// shared tells where what a chunk and a box share begins along a dimension, and its length.
func (c Chunk) shared(d int, offset, size int64) (begin, length int64) {
	own, count := c.tensor.interval(int(c.cell), d)
	begin = max(offset, own)
	end := min(offset+size, endOf(own, count))
	if end <= begin {
		return begin, 0
	}
	return begin, end - begin
}

// shares tells whether a chunk has elements in common with a box.
func (c Chunk) shares(offsets, sizes []int64) bool {
	for d := range offsets {
		if _, length := c.shared(d, offsets[d], sizes[d]); length <= 0 {
			return false
		}
	}
	return true
}

// outerDimension leads from run to run.
type outerDimension struct{ length, chunkStride, boxStride uint64 }

func (t *Tensor) list(chunk Chunk, offsets, sizes []int64, ranges []BoxRange) ([]BoxRange, error) {
	data, err := chunk.knownData()
	if err != nil {
		return nil, err
	}
	run := t.ItemSize()
	chunkStride, boxStride := run, run
	first := BoxRange{File: data.File, ByteOffset: data.ByteOffset}
	joined := true // all behind this dimension is one run
	var outer []outerDimension
	for d := t.NDim() - 1; d >= 0; d-- {
		own, count := t.interval(int(chunk.cell), d)
		begin, length := chunk.shared(d, offsets[d], sizes[d])
		first.ByteOffset += uint64(begin-own) * chunkStride
		first.BoxOffset += uint64(begin-offsets[d]) * boxStride
		if joined {
			run *= uint64(length)
		} else {
			outer = append(outer, outerDimension{uint64(length), chunkStride, boxStride})
		}
		joined = joined && length == count && length == sizes[d]
		chunkStride *= uint64(count)
		boxStride *= uint64(sizes[d])
	}
	first.Length = run
	ranges, fits := listRuns(first, outer, ranges)
	if !fits {
		return nil, fail(TooLarge, "%s: the box has more than %d ranges", t.FQN(), maxRanges)
	}
	return ranges, nil
}

func listRuns(at BoxRange, outer []outerDimension, ranges []BoxRange) ([]BoxRange, bool) {
	if len(outer) == 0 {
		return append(ranges, at), len(ranges) < maxRanges
	}
	last, fits := outer[len(outer)-1], true
	for i := uint64(0); fits && i < last.length; i++ {
		ranges, fits = listRuns(at, outer[:len(outer)-1], ranges)
		at.ByteOffset += last.chunkStride
		at.BoxOffset += last.boxStride
	}
	return ranges, fits
}

// covered is the end of what ranges hold of a box from its start on without a gap.
func covered(ranges []BoxRange) uint64 {
	sorted := slices.Clone(ranges)
	slices.SortFunc(sorted, func(a, b BoxRange) int { return cmp.Compare(a.BoxOffset, b.BoxOffset) })
	end := uint64(0)
	for _, r := range sorted {
		if r.BoxOffset > end {
			break
		}
		end = max(end, r.BoxOffset+r.Length)
	}
	return end
}
