use std::fmt;

/// What kind of thing went wrong; the names are those of every flatpoint reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    NotFound,
    Io,
    NotFlatpoint,
    Truncated,
    Version,
    Corrupt,
    TooLarge,
    /// A box outside its tensor, memory of another size.
    InvalidArgument,
    /// Where a chunk's elements begin is not known.
    NotPlain,
    /// No chunk holds some of the elements.
    Holes,
    /// A data file is not the one that the metadata speaks of, or was written meanwhile.
    Changed,
    Checksum,
    /// The path of a data file leaves the checkpoint's folder.
    Outside,
}

impl Code {
    /// The stable, lower-case name.
    pub fn name(self) -> &'static str {
        match self {
            Code::NotFound => "not_found",
            Code::Io => "io",
            Code::NotFlatpoint => "not_flatpoint",
            Code::Truncated => "truncated",
            Code::Version => "version",
            Code::Corrupt => "corrupt",
            Code::TooLarge => "too_large",
            Code::InvalidArgument => "invalid_argument",
            Code::NotPlain => "not_plain",
            Code::Holes => "holes",
            Code::Changed => "changed",
            Code::Checksum => "checksum",
            Code::Outside => "outside",
        }
    }
}

/// A code for programs and a message for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    pub code: Code,
    pub message: String,
}

impl Error {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Error { code, message: message.into() }
    }

    /// A rule of docs/format.md that the file breaks.
    pub(crate) fn corrupt(message: impl Into<String>) -> Self {
        Error::new(Code::Corrupt, message)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.message)
    }
}

impl std::error::Error for Error {}
