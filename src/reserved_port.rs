//! A port that is taken before the process is ready, and answers only then.

use std::net::{SocketAddr, TcpListener};

use anyhow::{Context, Result};
use tokio::net::TcpSocket;

/// Connections that may wait to be taken.
const BACKLOG: u32 = 2048;

/// A bound socket that does not listen yet: that the port is taken is known before minutes of
/// loading, and a caller is refused at once meanwhile instead of waiting, and turns to another
/// process.
pub struct ReservedPort {
    socket: TcpSocket,
    announce: Option<Announce>,
}

/// Told the address that is listened on.
pub type Announce = Box<dyn FnOnce(SocketAddr)>;

impl ReservedPort {
    /// Takes the port of `server.bind`.
    ///
    /// # Errors
    /// When it cannot be listened on.
    pub fn bind(address: SocketAddr) -> Result<Self> {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4(),
            SocketAddr::V6(_) => TcpSocket::new_v6(),
        };
        let bound = socket.and_then(|socket| {
            // As the standard library does: a port whose old connections linger is free.
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            Ok(socket)
        });
        let socket = bound.with_context(|| refused(address))?;
        Ok(Self { socket, announce: None })
    }

    /// Tells `announce` as soon as connections are taken.
    #[must_use]
    pub fn announced(self, announce: Announce) -> Self {
        Self { announce: Some(announce), ..self }
    }

    /// Takes connections from now on.
    ///
    /// # Errors
    /// When another process began to listen first.
    pub fn listen(self) -> Result<TcpListener> {
        let address = self.socket.local_addr()?;
        let listener = self.socket.listen(BACKLOG).with_context(|| refused(address))?;
        if let Some(announce) = self.announce {
            announce(address);
        }
        Ok(listener.into_std()?)
    }
}

fn refused(address: SocketAddr) -> String {
    format!("cannot listen on {address} (server.bind)")
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn a_reserved_port_refuses_connections_until_it_listens() {
        let port = ReservedPort::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = port.socket.local_addr().unwrap();
        assert!(TcpStream::connect(address).is_err());
        let listener = port.listen().unwrap();
        assert!(TcpStream::connect(address).is_ok());
        let error = ReservedPort::bind(address).err().unwrap();
        assert!(error.to_string().contains("server.bind"), "{error:#}");
        drop(listener);
    }
}
