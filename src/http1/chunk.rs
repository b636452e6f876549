//! The chunked coding (RFC 9112 section 7.1), read strictly.

use crate::server::scan::{TOKEN, VALUE};

/// Where in a chunked body we are (RFC 9112 section 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chunk {
    Size { value: u64, digits: u8 },
    Extension { value: u64, length: u16, part: Part },
    SizeLf { value: u64 },
    Data { left: u64 },
    DataCr,
    DataLf,
    TrailerStart { total: u16 },
    Trailer { total: u16, cr: bool },
    EndLf,
}

/// Where in a chunk extension we are (RFC 9112 section 7.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Before a name.
    Begin,
    Name,
    AfterName,
    /// Before a value.
    Equals,
    Value,
    Quoted,
    Escaped,
    AfterValue,
}

/// Most bytes of one chunk extension; nobody uses them, attackers do (CVE-2023-39326).
const EXTENSION_LIMIT: u16 = 256;
/// Most bytes of a trailer section.
const TRAILER_LIMIT: u16 = 8 * 1024;

// === impl Chunk ===

impl Chunk {
    /// Before the first chunk.
    pub(crate) const START: Self = Self::Size { value: 0, digits: 0 };

    /// After a size that is followed by white space, where that is put up with.
    pub(crate) const fn padded(value: u64) -> Self {
        Self::Extension { value, length: 0, part: Part::AfterValue }
    }

    /// Takes bytes until the state changes; `None` is the end of the message.
    pub(crate) fn scan(self, bytes: &[u8]) -> Result<(usize, Option<Self>), &'static str> {
        let byte = bytes[0];
        let next = match self {
            Self::Size { value, digits } => return Self::size(value, digits, bytes),
            Self::Extension { value, length, part } => {
                return Self::extension(value, length, part, bytes);
            }
            Self::SizeLf { value: 0 } if byte == b'\n' => Some(Self::TrailerStart { total: 0 }),
            Self::SizeLf { value } if byte == b'\n' => Some(Self::Data { left: value }),
            Self::SizeLf { .. } => return Err("bare CR in a chunk size line"),
            Self::Data { left } => {
                let taken = left.min(bytes.len() as u64);
                let next =
                    if left == taken { Self::DataCr } else { Self::Data { left: left - taken } };
                return Ok((usize::try_from(taken).unwrap_or(bytes.len()), Some(next)));
            }
            Self::DataCr if byte == b'\r' => Some(Self::DataLf),
            Self::DataLf if byte == b'\n' => Some(Self::Size { value: 0, digits: 0 }),
            Self::DataCr | Self::DataLf => return Err("chunk data longer than its size"),
            Self::TrailerStart { .. } if byte == b'\r' => Some(Self::EndLf),
            Self::TrailerStart { total } => Some(Self::Trailer { total, cr: false }),
            Self::Trailer { total, cr } => return Self::trailer(total, cr, bytes),
            Self::EndLf if byte == b'\n' => None,
            Self::EndLf => return Err("bare CR after the trailers"),
        };
        // `TrailerStart` only looks; everything else takes the byte.
        let taken = usize::from(!matches!(next, Some(Self::Trailer { .. })));
        Ok((taken, next))
    }

    fn size(
        mut value: u64,
        mut digits: u8,
        bytes: &[u8],
    ) -> Result<(usize, Option<Self>), &'static str> {
        for (at, &byte) in bytes.iter().enumerate() {
            let next = match (byte, char::from(byte).to_digit(16)) {
                (_, Some(digit)) if digits < 16 => {
                    value = (value << 4) | u64::from(digit);
                    digits += 1;
                    continue;
                }
                (_, Some(_)) => return Err("chunk size too large"),
                (b'\r', _) if digits > 0 => Self::SizeLf { value },
                (b';', _) if digits > 0 => Self::Extension { value, length: 0, part: Part::Begin },
                _ => return Err("junk in a chunk size"),
            };
            return Ok((at + 1, Some(next)));
        }
        Ok((bytes.len(), Some(Self::Size { value, digits })))
    }

    /// Extensions are dropped by every recipient; only their form and length are checked.
    fn extension(
        value: u64,
        mut length: u16,
        mut part: Part,
        bytes: &[u8],
    ) -> Result<(usize, Option<Self>), &'static str> {
        for (at, &byte) in bytes.iter().enumerate() {
            if byte == b'\r' && part.may_end() {
                return Ok((at + 1, Some(Self::SizeLf { value })));
            }
            part = part.next(byte).ok_or("junk in a chunk extension")?;
            length += 1;
            if length > EXTENSION_LIMIT {
                return Err("chunk extension too long");
            }
        }
        Ok((bytes.len(), Some(Self::Extension { value, length, part })))
    }

    fn trailer(
        mut total: u16,
        mut cr: bool,
        bytes: &[u8],
    ) -> Result<(usize, Option<Self>), &'static str> {
        for (at, &byte) in bytes.iter().enumerate() {
            total += 1;
            match byte {
                b'\n' if cr => return Ok((at + 1, Some(Self::TrailerStart { total }))),
                b'\n' => return Err("bare LF in the trailers"),
                _ if cr => return Err("bare CR in the trailers"),
                _ if total >= TRAILER_LIMIT => return Err("trailers too long"),
                b'\r' => cr = true,
                _ if VALUE[usize::from(byte)] == 0 => {}
                _ => return Err("control or 8-bit byte in the trailers"),
            }
        }
        Ok((bytes.len(), Some(Self::Trailer { total, cr })))
    }
}

// === impl Part ===

impl Part {
    fn next(self, byte: u8) -> Option<Self> {
        let token = TOKEN[usize::from(byte)];
        Some(match (self, byte) {
            (Self::Quoted, b'\\') => Self::Escaped,
            (Self::Quoted, b'"') | (Self::Value, b'\t' | b' ') => Self::AfterValue,
            (Self::Quoted | Self::Escaped, b'\t' | b' '..=b'~') | (Self::Equals, b'"') => {
                Self::Quoted
            }
            (Self::Begin | Self::AfterName | Self::Equals | Self::AfterValue, b'\t' | b' ') => self,
            (Self::Name, b'\t' | b' ') => Self::AfterName,
            (Self::Begin | Self::Name, _) if token => Self::Name,
            (Self::Equals | Self::Value, _) if token => Self::Value,
            (Self::Name | Self::AfterName, b'=') => Self::Equals,
            (_, b';') if self.may_end() => Self::Begin,
            _ => return None,
        })
    }

    const fn may_end(self) -> bool {
        matches!(self, Self::Name | Self::AfterName | Self::Value | Self::AfterValue)
    }
}
