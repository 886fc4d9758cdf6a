//! The beginning of a connection: as it is, or encrypted.

use std::io;

use actix_web::dev::Extensions;
use plugrank_tls::{ServerTls, ShownCertificate};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::either::Either;

use super::{
    refusal,
    stream::{ConnectionPolicy, LINGER},
};

/// What requests come over.
pub(super) type Io = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// How a record begins that begins a handshake (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;

/// What of a refused request is read at a time.
const READ: usize = 4096;

/// Makes connections what the port speaks.
#[derive(Clone)]
pub(super) struct Securing(Option<TlsAcceptor>);

impl Securing {
    pub(super) fn new(tls: Option<&ServerTls>) -> Self {
        Self(tls.map(|tls| TlsAcceptor::from(tls.config())))
    }

    /// The connection, once it can be spoken over. A handshake may take as long as the head of a request.
    ///
    /// # Errors
    /// When there is nothing to serve: the caller is gone, too slow, not trusted, or speaks no TLS.
    pub(super) async fn begin(self, io: TcpStream, policy: &ConnectionPolicy) -> io::Result<Io> {
        let Some(acceptor) = self.0 else { return Ok(Either::Left(io)) };
        let closing = async {
            policy.closing.cancelled().await;
            tokio::time::sleep(LINGER).await;
        };
        tokio::select! {
            begun = timeout(policy.head_timeout, handshake(acceptor, io)) => begun?,
            () = closing => Err(io::Error::other("the server stops")),
        }
    }
}

async fn handshake(acceptor: TlsAcceptor, mut io: TcpStream) -> io::Result<Io> {
    let mut first = [HANDSHAKE];
    if io.peek(&mut first).await? > 0 && first[0] != HANDSHAKE {
        io.write_all(&refusal::of_no_tls()).await?;
        io.shutdown().await?;
        // What is not read would cut the connection before the answer was.
        let mut sent = vec![0; READ];
        let rest = async { while io.read(&mut sent).await.is_ok_and(|read| read > 0) {} };
        let _ = timeout(LINGER, rest).await;
        return Err(io::Error::other("it speaks no TLS"));
    }
    Ok(Either::Right(Box::new(acceptor.accept(io).await?)))
}

/// Notes in the data of a connection whether its caller has shown a certificate.
pub(super) fn note(io: &Io, data: &mut Extensions) {
    if let Either::Right(stream) = io
        && let Some(shown) = ShownCertificate::of_connection(stream.get_ref().1)
    {
        data.insert(shown);
    }
}
