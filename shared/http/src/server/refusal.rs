//! Answers to what is no request: they are written to the connection as they are.

use std::time::Duration;

use bytes::Bytes;

use crate::problem::{MEDIA_TYPE, Problem};

/// How a connection begins that speaks HTTP/2 from the start (RFC 9113, section 3.4).
pub(super) const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\n";

/// Code of HTTP/2 for a server that wants HTTP/1.1 (RFC 9113, section 7).
const HTTP_1_1_REQUIRED: u8 = 0x0d;

/// Refuses HTTP/2 in its own words: empty settings, then a GOAWAY with the reason.
pub(super) fn of_http2() -> Bytes {
    const REASON: &[u8] = b"HTTP/2 is not served on this port; use HTTP/1.1";
    const LENGTH: u8 = 8 + REASON.len() as u8;
    let mut frames = vec![0, 0, 0, 4, 0, 0, 0, 0, 0];
    frames.extend([0, 0, LENGTH, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, HTTP_1_1_REQUIRED]);
    frames.extend(REASON);
    frames.into()
}

/// Refuses a head that did not come in `time`.
pub(super) fn of_slow_head(time: Duration) -> Bytes {
    problem("408 Request Timeout", &Problem::head_too_slow(time))
}

/// Refuses a head with lines that end in LF alone.
pub(super) fn of_bare_lf() -> Bytes {
    problem("400 Bad Request", &Problem::bare_lf())
}

/// Refuses a request without TLS at a port that speaks it.
pub(super) fn of_no_tls() -> Bytes {
    problem("400 Bad Request", &Problem::no_tls())
}

fn problem(status: &str, problem: &Problem) -> Bytes {
    let body = serde_json::to_string(&**problem).unwrap_or_default();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: {MEDIA_TYPE}\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into()
}
