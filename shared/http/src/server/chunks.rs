//! The end of a chunked body (RFC 9112, section 7.1).

/// Follows a chunked body to its end. Takes what actix-http takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chunks {
    /// In the digits of a chunk's length.
    Size(u64),
    /// Behind them, up to the line's CR.
    Extension(u64),
    /// At the LF behind a length.
    SizeEnd(u64),
    /// So many bytes of a chunk are left, its CR LF among them.
    Data(u64),
    /// At the beginning of a line of the trailer.
    Trailer,
    /// In such a line.
    TrailerLine,
    /// At its LF.
    TrailerEnd,
    /// At the LF of the empty line behind the body.
    LastLf,
    /// Behind the body.
    Ended,
}

impl Chunks {
    /// Before the first chunk.
    pub(super) const BEGIN: Self = Self::Size(0);

    /// Follows the body through `bytes`: how many belong to it. `None` when they are no chunks.
    pub(super) fn advance(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while at < bytes.len() && *self != Self::Ended {
            if let Self::Data(left) = self {
                let here = (bytes.len() - at).min(usize::try_from(*left).unwrap_or(usize::MAX));
                at += here;
                *self = match *left - here as u64 {
                    0 => Self::BEGIN,
                    left => Self::Data(left),
                };
                continue;
            }
            *self = self.step(bytes[at])?;
            at += 1;
        }
        Some(at)
    }

    fn step(self, byte: u8) -> Option<Self> {
        Some(match (self, byte) {
            (Self::Size(size), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = char::from(byte).to_digit(16)?;
                Self::Size(size.checked_mul(16)?.checked_add(digit.into())?)
            }
            (Self::Size(size) | Self::Extension(size), b'\r') => Self::SizeEnd(size),
            (Self::Size(size), b' ' | b'\t' | b';') => Self::Extension(size),
            (Self::Extension(size), byte) if byte != b'\n' => Self::Extension(size),
            (Self::SizeEnd(0), b'\n') => Self::Trailer,
            (Self::SizeEnd(size), b'\n') => Self::Data(size.checked_add(2)?),
            (Self::Trailer, b'\r') => Self::LastLf,
            (Self::Trailer | Self::TrailerLine, byte) if byte != b'\r' => Self::TrailerLine,
            (Self::TrailerLine, _) => Self::TrailerEnd,
            (Self::TrailerEnd, b'\n') => Self::Trailer,
            (Self::LastLf, b'\n') => Self::Ended,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Chunks;

    #[test]
    fn the_end_of_a_chunked_body_is_found_however_it_is_split() {
        let bytes = b"5;a=b\r\n\r\n\r\n0\r\n3 \r\nabc\r\n0\r\nx: y\r\n\r\nGET / HTTP/1.1\r\n\r\n";
        let end = bytes.len() - b"GET / HTTP/1.1\r\n\r\n".len();
        for step in 1..=bytes.len() {
            let (mut chunks, mut at) = (Chunks::BEGIN, 0);
            while chunks != Chunks::Ended {
                let to = (at + step).min(bytes.len());
                at += chunks.advance(&bytes[at..to]).unwrap();
            }
            assert_eq!(at, end, "in steps of {step}");
        }
    }

    #[test]
    fn invalid_chunks_are_errors() {
        for bytes in ["0x16\r\n", "16\nabc", "g\r\n", "fffffffffffffffff\r\n", "1;\n"] {
            let mut chunks = Chunks::BEGIN;
            assert_eq!(chunks.advance(bytes.as_bytes()), None, "{bytes:?}");
        }
    }
}
