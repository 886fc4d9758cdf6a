//! Closed loops of many connections in one thread.
//!
//! A thread a connection would be woken for each answer, and the server's `send` would pay for that;
//! one thread that is awake finds the answers of others when it looks.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::SocketAddr,
    time::{Duration, Instant},
};

use mio::{Events, Interest, Poll, Token, net::TcpStream};

use crate::client::{Head, Reply};

/// Longest time without any answer.
const SILENCE: Duration = Duration::from_secs(5);
/// Bytes of an answer that a connection has room for at first.
const ROOM: usize = 1 << 16;

/// Connections that each send when they were answered.
pub(crate) struct Ring {
    poll: Poll,
    connections: Vec<Connection>,
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
    head: Option<Head>,
    sent: Instant,
}

impl Ring {
    /// Takes over connections that are open and idle.
    pub(crate) fn new(streams: Vec<std::net::TcpStream>) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut connections = Vec::with_capacity(streams.len());
        for (number, stream) in streams.into_iter().enumerate() {
            connections.push(Connection::new(&poll, Token(number), stream)?);
        }
        Ok(Self { poll, connections })
    }

    /// Sends `requests` in turn until `end`; `answered` is told about each answer and when its request
    /// was sent, and of each that failed (`None`).
    pub(crate) fn run(
        &mut self,
        address: SocketAddr,
        requests: &[Vec<u8>],
        end: Instant,
        mut answered: impl FnMut(Option<Reply<'_>>, Instant),
    ) -> io::Result<()> {
        let mut next = requests.iter().cycle();
        let mut send = |connection: &mut Connection| match next.next() {
            Some(request) => connection.send(request),
            None => Ok(()),
        };
        for connection in &mut self.connections {
            send(connection)?;
        }
        let mut events = Events::with_capacity(self.connections.len());
        while Instant::now() < end {
            match self.poll.poll(&mut events, Some(SILENCE)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            if events.is_empty() {
                return Err(io::Error::new(ErrorKind::TimedOut, "no answer within five seconds"));
            }
            for event in &events {
                let Token(number) = event.token();
                let Some(connection) = self.connections.get_mut(number) else { continue };
                let sent = connection.sent;
                match connection.receive() {
                    Ok(None) => continue,
                    Ok(Some(reply)) => answered(Some(reply), sent),
                    Err(_) => {
                        answered(None, sent);
                        let stream = std::net::TcpStream::connect_timeout(&address, SILENCE)?;
                        *connection = Connection::new(&self.poll, Token(number), stream)?;
                    }
                }
                if Instant::now() < end {
                    send(connection)?;
                }
            }
        }
        Ok(())
    }
}

impl Connection {
    fn new(poll: &Poll, token: Token, stream: std::net::TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        poll.registry().register(&mut stream, token, Interest::READABLE)?;
        Ok(Self { stream, buffer: vec![0; ROOM], filled: 0, head: None, sent: Instant::now() })
    }

    /// Sends a request, which the socket's buffer takes as a whole: the one before was answered.
    fn send(&mut self, request: &[u8]) -> io::Result<()> {
        self.filled = 0;
        self.head = None;
        self.sent = Instant::now();
        self.stream.write_all(request)
    }

    /// The answer, once all of it is there.
    fn receive(&mut self) -> io::Result<Option<Reply<'_>>> {
        loop {
            if self.filled == self.buffer.len() {
                self.buffer.resize(2 * self.filled, 0);
            }
            match self.stream.read(&mut self.buffer[self.filled..]) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(read) => self.filled += read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error),
            }
            if self.head.is_none() {
                self.head = Head::read(&self.buffer[..self.filled])?;
            }
            match &self.head {
                Some(head) if head.end <= self.filled => {
                    let body = &self.buffer[head.body..head.end];
                    return Ok(Some(Reply { status: head.status, body }));
                }
                _ => {}
            }
        }
    }
}
