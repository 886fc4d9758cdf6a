//! One HTTP/1.1 connection that is kept, blocking.

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
            if let Some(head) = Head::read(&self.buffer[..filled])? {
                break head;
            }
        };
        if head.end > self.buffer.len() {
            self.buffer.resize(head.end, 0);
        }
        while filled < head.end {
            filled += self.read(filled)?;
        }
        Ok(Reply { status: head.status, body: &self.buffer[head.body..head.end] })
    }

    /// The connection itself, when it is to be read otherwise.
    pub(crate) fn into_stream(self) -> TcpStream {
        self.stream
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

/// What an answer's head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) status: u16,
    /// Where the body begins and ends.
    pub(crate) body: usize,
    pub(crate) end: usize,
}

impl Head {
    /// The head at the beginning of what was received; `None` when it is not all there.
    pub(crate) fn read(received: &[u8]) -> io::Result<Option<Self>> {
        let Some(end) = memmem::find(received, b"\r\n\r\n") else { return Ok(None) };
        let body = end + 4;
        let (status, length) = parse(&received[..body])
            .ok_or_else(|| invalid("an answer without a status or a length"))?;
        Ok(Some(Self { status, body, end: body + length }))
    }
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
    use super::Head;

    #[test]
    fn status_and_length_are_read_from_a_head() {
        let received =
            b"HTTP/1.1 503 Service Unavailable\r\ndate: x\r\nContent-Length: 12\r\n\r\nno";
        let head = Head::read(received).unwrap();
        assert_eq!(head, Some(Head { status: 503, body: 65, end: 77 }));
        assert_eq!(Head::read(b"HTTP/1.1 200 OK\r\n").unwrap(), None);
        assert!(Head::read(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
    }
}
