//! torch's names for the numbers of the schema.

pub(crate) const DTYPES: [&str; 47] = [
    "uint8",
    "int8",
    "int16",
    "int32",
    "int64",
    "float16",
    "float32",
    "float64",
    "complex32",
    "complex64",
    "complex128",
    "bool",
    "qint8",
    "quint8",
    "qint32",
    "bfloat16",
    "quint4x2",
    "quint2x4",
    "bits1x8",
    "bits2x4",
    "bits4x2",
    "bits8",
    "bits16",
    "float8_e5m2",
    "float8_e4m3fn",
    "float8_e5m2fnuz",
    "float8_e4m3fnuz",
    "uint16",
    "uint32",
    "uint64",
    "uint1",
    "uint2",
    "uint3",
    "uint4",
    "uint5",
    "uint6",
    "uint7",
    "int1",
    "int2",
    "int3",
    "int4",
    "int5",
    "int6",
    "int7",
    "float8_e8m0fnu",
    "float4_e2m1fn_x2",
    "bcomplex32",
];

/// Bytes of an element, by number.
const ITEM_SIZES: [u64; 47] = [
    1, 1, 2, 4, 8, 2, 4, 8, 4, 8, 16, 1, 1, 1, 4, 2, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1, 2, 4, 8, // up to uint64
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, // below a byte
    1, 1, 4,
];

/// 0 for a dtype without one: a named one, and one that this version does not know.
pub(crate) fn item_size(dtype: u8) -> u64 {
    ITEM_SIZES.get(usize::from(dtype)).copied().unwrap_or(0)
}

pub(crate) const CHECKSUM_KINDS: [&str; 3] = ["absent", "xxh3", "crc32"];

pub(crate) const FILE_FORMATS: [&str; 5] = ["unknown", "torch_save", "safetensors", "archive", "mixed"];

pub(crate) fn known_name(known: &[&str], number: u8) -> String {
    known.get(usize::from(number)).map_or_else(|| format!("unknown:{number}"), |name| (*name).to_owned())
}

pub(crate) const LAYOUTS: [&str; 8] =
    ["strided", "sparse_coo", "sparse_csr", "sparse_csc", "sparse_bsr", "sparse_bsc", "_mkldnn", "jagged"];

pub(crate) const MEMORY_FORMATS: [&str; 3] = ["contiguous_format", "channels_last", "preserve_format"];

/// The number by which each of these enums says that the name lies in `type_names`.
pub(crate) const OTHER: u8 = 255;
