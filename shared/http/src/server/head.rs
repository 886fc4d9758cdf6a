//! Heads of requests as bytes: where one ends, and how long the body behind it is.

use std::mem::MaybeUninit;

use memchr::memchr_iter;

/// Headers that actix-http takes at most.
const MAX_HEADERS: usize = 96;

/// Looks for the end of a head while its bytes come in.
#[derive(Debug, Default)]
pub(super) struct HeadScan {
    scanned: usize,
    line: usize,
    begun: bool,
}

/// What a [`HeadScan`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scanned {
    /// The head goes on.
    Partial,
    /// It ends before this byte.
    Whole(usize),
    /// A line of it ends in LF alone. Servers behind and before us may disagree about where it ends, which
    /// is how requests are smuggled.
    BareLf,
}

impl HeadScan {
    /// Looks at the bytes that came since the last time; `bytes` are all since the head's first.
    pub(super) fn advance(&mut self, bytes: &[u8]) -> Scanned {
        let from = self.scanned;
        self.scanned = bytes.len();
        for at in memchr_iter(b'\n', &bytes[from..]).map(|at| from + at) {
            if at == 0 || bytes[at - 1] != b'\r' {
                return Scanned::BareLf;
            }
            let empty = at == self.line + 1;
            self.line = at + 1;
            // Empty lines before a request are skipped (RFC 9112, section 2.2).
            if empty && self.begun {
                return Scanned::Whole(at + 1);
            }
            self.begun |= !empty;
        }
        Scanned::Partial
    }
}

/// The body behind a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes.
    Length(u64),
    /// Chunks up to an empty one.
    Chunked,
    /// Unknown: what follows is left to actix-http, which refuses the request.
    Unknown,
}

/// Whether bytes may become a head yet.
pub(super) fn is_plausible(bytes: &[u8]) -> bool {
    let mut headers = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    httparse::Request::new(&mut []).parse_with_uninit_headers(bytes, &mut headers).is_ok()
}

/// Reads a whole head, and takes offers to change the protocol out of it: no other is spoken here, so
/// they are to be ignored (RFC 9110, section 7.8), while actix-http gives the connection up for them.
pub(super) fn read(head: &mut [u8]) -> Framing {
    let (framing, offers) = {
        let mut headers = [const { MaybeUninit::uninit() }; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut []);
        match request.parse_with_uninit_headers(head, &mut headers) {
            Ok(httparse::Status::Complete(_)) => (framing(&request), offers(head, &request)),
            _ => (Framing::Unknown, Vec::new()),
        }
    };
    for (from, to) in offers {
        head[from..to].fill(b' ');
    }
    framing
}

fn framing(request: &httparse::Request<'_, '_>) -> Framing {
    let (mut length, mut chunked) = (None, false);
    for header in request.headers.iter() {
        let value = || str::from_utf8(header.value).map(str::trim).unwrap_or_default();
        if header.name.eq_ignore_ascii_case("content-length") {
            let read = value().bytes().all(|byte| byte.is_ascii_digit()).then(|| value().parse());
            match (length, read) {
                (None, Some(Ok(read))) => length = Some(read),
                _ => return Framing::Unknown,
            }
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            if chunked || request.version != Some(1) || !value().eq_ignore_ascii_case("chunked") {
                return Framing::Unknown;
            }
            chunked = true;
        }
    }
    match (chunked, length) {
        (true, Some(_)) => Framing::Unknown,
        (true, None) => Framing::Chunked,
        (false, None) if request.method == Some("CONNECT") => Framing::Unknown,
        (false, length) => Framing::Length(length.unwrap_or(0)),
    }
}

/// Where a head offers another protocol: values of `Upgrade`, and the word in `Connection`.
fn offers(head: &[u8], request: &httparse::Request<'_, '_>) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut note = |part: &[u8]| {
        let from = part.as_ptr() as usize - head.as_ptr() as usize;
        found.push((from, from + part.len()));
    };
    for header in request.headers.iter() {
        if header.name.eq_ignore_ascii_case("upgrade") {
            note(header.value);
        } else if header.name.eq_ignore_ascii_case("connection") {
            let words = header.value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
            words.filter(|word| word.eq_ignore_ascii_case(b"upgrade")).for_each(&mut note);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_head_is_found_however_it_is_split() {
        let bytes = b"\r\nGET / HTTP/1.1\r\nhost: x\r\n\r\nbody\r\n\r\n";
        let end = bytes.len() - b"body\r\n\r\n".len();
        for step in 1..=bytes.len() {
            let mut scan = HeadScan::default();
            let found = (step..=bytes.len() + step).step_by(step).find_map(|to| {
                match scan.advance(&bytes[..to.min(bytes.len())]) {
                    Scanned::Partial => None,
                    found => Some(found),
                }
            });
            assert_eq!(found, Some(Scanned::Whole(end)), "in steps of {step}");
        }
    }

    #[test]
    fn a_bare_line_feed_is_an_error() {
        for bytes in ["\nGET", "GET / HTTP/1.1\n", "GET / HTTP/1.1\r\nhost: x\n\r\n", "\r\n\n"] {
            assert_eq!(HeadScan::default().advance(bytes.as_bytes()), Scanned::BareLf, "{bytes:?}");
        }
    }

    fn framing_of(headers: &str) -> Framing {
        read(format!("POST / HTTP/1.1\r\nhost: x\r\n{headers}\r\n").into_bytes().as_mut_slice())
    }

    #[test]
    fn body_framing_agrees_with_actix_http() {
        for (headers, framing) in [
            ("", Framing::Length(0)),
            ("Content-Length: 12 \r\n", Framing::Length(12)),
            ("transfer-encoding: Chunked\r\n", Framing::Chunked),
            ("content-length: +1\r\n", Framing::Unknown),
            ("content-length: \r\n", Framing::Unknown),
            ("content-length: 1\r\ncontent-length: 1\r\n", Framing::Unknown),
            ("content-length: 1\r\ntransfer-encoding: chunked\r\n", Framing::Unknown),
            ("transfer-encoding: gzip, chunked\r\n", Framing::Unknown),
            ("content-length: 18446744073709551616\r\n", Framing::Unknown),
            ("bad header\r\n", Framing::Unknown),
        ] {
            assert_eq!(framing_of(headers), framing, "{headers:?}");
        }
        let mut tunnel = *b"CONNECT x:443 HTTP/1.1\r\nhost: x\r\n\r\n";
        assert_eq!(read(&mut tunnel), Framing::Unknown);
    }

    #[test]
    fn upgrade_headers_are_removed() {
        let mut head =
            b"GET / HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n"
                .to_vec();
        assert_eq!(read(&mut head), Framing::Length(0));
        let expected =
            "GET / HTTP/1.1\r\nConnection:        , HTTP2-Settings\r\nUpgrade:    \r\n\r\n";
        assert_eq!(str::from_utf8(&head).unwrap(), expected);
        let mut kept = b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n".to_vec();
        read(&mut kept);
        assert!(kept.ends_with(b"connection: close\r\n\r\n"));
    }

    #[test]
    fn invalid_heads_are_refused_before_they_end() {
        assert!(is_plausible(b"") && is_plausible(b"POST /v1/ra"));
        assert!(!is_plausible(b"\x16\x03\x01\x02\x00\x01\x00"));
    }
}
