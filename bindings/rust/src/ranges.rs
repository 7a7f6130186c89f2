//! Which bytes of which data files are a box of a tensor: arithmetic alone.

use crate::error::{Code, Error};
use crate::tensor::{Chunk, Tensor};

const MAX_RANGES: usize = 1 << 24;

/// `length` bytes from `byte_offset` of a data file on are those of the box from `box_offset` on, where the box lies row-major
/// without gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BoxRange {
    pub file: u32,
    pub byte_offset: u64,
    pub length: u64,
    pub box_offset: u64,
}

impl<'a> Tensor<'a> {
    /// The ranges of a box, as long as they can be: by row of the chunks that overlap it, each in order of its elements. Codes of
    /// errors: `InvalidArgument` for a box outside the tensor, `NotPlain` where a chunk's data is not known, `Holes` for elements
    /// that no chunk holds, `TooLarge` beyond 2^24 ranges.
    pub fn ranges(&self, offsets: &[i64], sizes: &[i64]) -> Result<Vec<BoxRange>, Error> {
        let size = self.box_bytes(offsets, sizes)?;
        if size == 0 {
            return Ok(Vec::new());
        }
        let mut ranges = Vec::new();
        for chunk in self.sharing(offsets, sizes) {
            self.list(&chunk, offsets, sizes, &mut ranges)?;
        }
        self.check_covered(&ranges, size)?;
        Ok(ranges)
    }

    /// Bytes of a box inside the tensor.
    pub(crate) fn box_bytes(&self, offsets: &[i64], sizes: &[i64]) -> Result<u64, Error> {
        let whole = self.size();
        let fits = |d: usize| offsets[d] >= 0 && sizes[d] >= 0 && sizes[d] <= whole[d] && offsets[d] <= whole[d] - sizes[d];
        if offsets.len() != whole.len() || sizes.len() != whole.len() || !(0..whole.len()).all(fits) {
            let message = format!("{}: a box at {offsets:?} with sizes {sizes:?} does not lie in {whole:?}", self.name());
            return Err(Error::new(Code::InvalidArgument, message));
        }
        if sizes.contains(&0) {
            return Ok(0);
        }
        let bytes = sizes.iter().try_fold(self.item_size(), |bytes, &size| bytes.checked_mul(size.unsigned_abs()));
        match bytes {
            None => Err(Error::new(Code::TooLarge, format!("{}: the box has more than 2^64 bytes", self.name()))),
            Some(0) => Err(Error::new(Code::NotPlain, format!("{}: dtype {} has no item size", self.name(), self.dtype_name()))),
            Some(bytes) => Ok(bytes),
        }
    }

    /// The chunks that have elements in common with a box.
    pub(crate) fn sharing(&self, offsets: &[i64], sizes: &[i64]) -> Vec<Chunk<'a>> {
        let rows = self.overlapping(offsets, sizes).unwrap_or_default();
        rows.into_iter()
            .filter_map(|row| self.chunk_by_row(row))
            .filter(|chunk| (0..offsets.len()).all(|d| shared(chunk, d, offsets[d], sizes[d]).1 > 0))
            .collect()
    }

    fn list(&self, chunk: &Chunk<'a>, offsets: &[i64], sizes: &[i64], ranges: &mut Vec<BoxRange>) -> Result<(), Error> {
        let data = chunk.known_data()?;
        let mut run = self.item_size();
        let (mut chunk_stride, mut box_stride) = (run, run);
        let mut first = BoxRange { file: data.file, byte_offset: data.byte_offset, length: 0, box_offset: 0 };
        let mut joined = true; // all behind this dimension is one run
        let mut outer = Vec::new();
        for d in (0..offsets.len()).rev() {
            let (begin, length) = shared(chunk, d, offsets[d], sizes[d]);
            first.byte_offset += begin.abs_diff(chunk.offset(d)) * chunk_stride;
            first.box_offset += begin.abs_diff(offsets[d]) * box_stride;
            if joined {
                run *= length.unsigned_abs();
            } else {
                outer.push((length.unsigned_abs(), chunk_stride, box_stride));
            }
            joined &= length == chunk.size(d) && length == sizes[d];
            chunk_stride *= chunk.size(d).unsigned_abs();
            box_stride *= sizes[d].unsigned_abs();
        }
        first.length = run;
        if !list_runs(first, &outer, ranges) {
            return Err(Error::new(Code::TooLarge, format!("{}: the box has more than {MAX_RANGES} ranges", self.name())));
        }
        Ok(())
    }

    fn check_covered(&self, ranges: &[BoxRange], size: u64) -> Result<(), Error> {
        let mut covered: Vec<(u64, u64)> = ranges.iter().map(|r| (r.box_offset, r.box_offset + r.length)).collect();
        covered.sort_unstable();
        let end = covered.iter().fold(0, |end, &(from, to)| if from > end { end } else { end.max(to) });
        if end < size {
            let message = format!("{}: no chunk holds element {} of the box", self.name(), end / self.item_size());
            return Err(Error::new(Code::Holes, message));
        }
        Ok(())
    }
}

/// Where what a chunk and a box share begins along a dimension, and its length.
fn shared(chunk: &Chunk<'_>, d: usize, offset: i64, size: i64) -> (i64, i64) {
    let begin = offset.max(chunk.offset(d));
    let end = (offset + size).min(chunk.offset(d).saturating_add(chunk.size(d)));
    (begin, end.saturating_sub(begin))
}

/// `outer`: length and strides of the dimensions that lead from run to run, innermost first.
fn list_runs(mut at: BoxRange, outer: &[(u64, u64, u64)], ranges: &mut Vec<BoxRange>) -> bool {
    let Some((&(length, chunk_stride, box_stride), inner)) = outer.split_last() else {
        ranges.push(at);
        return ranges.len() <= MAX_RANGES;
    };
    (0..length).all(|_| {
        let fits = list_runs(at, inner, ranges);
        at.byte_offset += chunk_stride;
        at.box_offset += box_stride;
        fits
    })
}
