//! FlatBuffers tables, checked before the generated accessors are trusted: rules F5 and F6.

use bytemuck::AnyBitPattern;
use flatbuffers::VOffsetT;

use crate::error::Error;

/// One FlatBuffer. Everything that it hands out lies inside `bytes`, aligned; `bytes` itself is 8-byte aligned.
#[derive(Clone, Copy)]
pub(crate) struct Buffer<'a> {
    bytes: &'a [u8],
}

fn outside() -> Error {
    Error::corrupt("F5: an offset points outside the file or to a misaligned number")
}

impl<'a> Buffer<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Buffer { bytes }
    }

    /// The `N` bytes of a number at a multiple of `N`.
    fn number<const N: usize>(&self, at: usize) -> Result<[u8; N], Error> {
        let bytes = at.checked_add(N).and_then(|end| self.bytes.get(at..end));
        bytes.filter(|_| at.is_multiple_of(N)).and_then(|bytes| bytes.try_into().ok()).ok_or_else(outside)
    }

    /// The position that the offset at `at` refers to.
    pub(crate) fn follow(&self, at: usize) -> Result<usize, Error> {
        let distance = u32::from_le_bytes(self.number(at)?) as usize;
        if distance == 0 || distance > self.bytes.len() - at {
            return Err(Error::corrupt("F5: an offset points outside the file or to itself"));
        }
        Ok(at + distance)
    }

    /// The vector at a position.
    fn vector<T: AnyBitPattern>(&self, at: usize, name: &str) -> Result<&'a [T], Error> {
        let count = u32::from_le_bytes(self.number(at)?) as usize;
        let begin = at + size_of::<u32>();
        let bytes = count.checked_mul(size_of::<T>()).and_then(|length| self.bytes[begin..].get(..length));
        let bytes = bytes.ok_or_else(|| Error::corrupt(format!("F5: column {name} ends outside the file")))?;
        bytemuck::try_cast_slice(bytes).map_err(|_| Error::corrupt(format!("F6: column {name} is not aligned to its elements")))
    }

    /// The table at a position.
    pub(crate) fn table(&self, at: usize) -> Result<Table<'a>, Error> {
        let distance = i64::from(i32::from_le_bytes(self.number(at)?));
        let vtable = i64::try_from(at).ok().and_then(|at| usize::try_from(at - distance).ok()).ok_or_else(outside)?;
        let vtable_size = u16::from_le_bytes(self.number(vtable)?);
        if vtable_size % 2 != 0 || self.bytes[vtable..].len() < usize::from(vtable_size) {
            return Err(Error::corrupt("F5: a vtable ends outside the file"));
        }
        Ok(Table { buffer: *self, at, vtable, vtable_size })
    }
}

/// A table whose vtable lies inside the buffer.
#[derive(Clone, Copy)]
pub(crate) struct Table<'a> {
    buffer: Buffer<'a>,
    at: usize,
    vtable: usize,
    vtable_size: VOffsetT,
}

impl<'a> Table<'a> {
    /// Where a field's value lies; `None` where the table does not have it.
    fn position(&self, field: VOffsetT) -> Result<Option<usize>, Error> {
        if field >= self.vtable_size {
            return Ok(None);
        }
        let offset = u16::from_le_bytes(self.buffer.number(self.vtable + usize::from(field))?);
        Ok((offset != 0).then(|| self.at + usize::from(offset)))
    }

    /// The bytes of a number; `None` where it is absent.
    pub(crate) fn scalar<const N: usize>(&self, field: VOffsetT) -> Result<Option<[u8; N]>, Error> {
        self.position(field)?.map(|at| self.buffer.number(at)).transpose()
    }

    /// The table that a field refers to; `None` where it is absent.
    pub(crate) fn table(&self, field: VOffsetT) -> Result<Option<Table<'a>>, Error> {
        self.position(field)?.map(|at| self.buffer.table(self.buffer.follow(at)?)).transpose()
    }

    /// A vector of scalars or structs; `None` where it is absent.
    pub(crate) fn vector<T: AnyBitPattern>(&self, field: VOffsetT, name: &str) -> Result<Option<&'a [T]>, Error> {
        self.position(field)?.map(|at| self.buffer.vector(self.buffer.follow(at)?, name)).transpose()
    }

    /// The same, empty where it is absent.
    pub(crate) fn column<T: AnyBitPattern>(&self, field: VOffsetT, name: &str) -> Result<&'a [T], Error> {
        Ok(self.vector(field, name)?.unwrap_or_default())
    }

    /// The same, an error where it is absent.
    pub(crate) fn required<T: AnyBitPattern>(&self, field: VOffsetT, name: &str) -> Result<&'a [T], Error> {
        self.vector(field, name)?.ok_or_else(|| Error::corrupt(format!("F5: column {name} is missing")))
    }
}
