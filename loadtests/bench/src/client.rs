//! One HTTP/1.1 connection that is kept, blocking: two system calls a request, so that the load
//! generator takes as little as it can of the cores it shares with the server.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use memchr::memmem;

/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A connection.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// An answer.
pub(crate) struct Reply<'a> {
    pub(crate) status: u16,
    pub(crate) body: &'a [u8],
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        Ok(Self { stream, buffer: vec![0; 1 << 18] })
    }

    /// Sends a whole request and reads the answer, which must state its length.
    pub(crate) fn exchange(&mut self, request: &[u8]) -> io::Result<Reply<'_>> {
        self.stream.write_all(request)?;
        let mut filled = 0;
        let head = loop {
            filled += self.read(filled)?;
            if let Some(end) = memmem::find(&self.buffer[..filled], b"\r\n\r\n") {
                break end + 4;
            }
        };
        let (status, length) = parse(&self.buffer[..head])
            .ok_or_else(|| invalid("an answer without a status or a length"))?;
        let end = head + length;
        if end > self.buffer.len() {
            self.buffer.resize(end, 0);
        }
        while filled < end {
            filled += self.read(filled)?;
        }
        Ok(Reply { status, body: &self.buffer[head..end] })
    }

    fn read(&mut self, filled: usize) -> io::Result<usize> {
        let free = &mut self.buffer[filled..];
        if free.is_empty() {
            return Err(invalid("an answer's head that does not end"));
        }
        match self.stream.read(free)? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            read => Ok(read),
        }
    }
}

fn invalid(message: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, message)
}

/// Status and content length of a head.
fn parse(head: &[u8]) -> Option<(u16, usize)> {
    let head = std::str::from_utf8(head).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    Some((status, length?))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn status_and_length_are_read_from_a_head() {
        let head = b"HTTP/1.1 503 Service Unavailable\r\ndate: x\r\nContent-Length: 12\r\n\r\n";
        assert_eq!(parse(head), Some((503, 12)));
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"), None);
    }
}
