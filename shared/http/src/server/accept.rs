//! Takes connections, and hands them to the workers in turns.

use std::{
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    time::Duration,
};

use actix_rt::Arbiter;
#[cfg(target_os = "linux")]
use socket2::{SockFilter, SockRef};
use tokio::{
    net::TcpListener as TokioListener,
    sync::{OwnedSemaphorePermit, Semaphore, mpsc::UnboundedSender, oneshot},
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

/// How long handshakes that have begun may take once no further one begins.
const HANDSHAKES: Duration = Duration::from_millis(50);
/// How long nothing is taken after the system refused a connection, for want of file descriptors say.
const PAUSE: Duration = Duration::from_millis(100);

/// A connection on its way to a worker.
pub(super) struct Connection {
    pub(super) io: TcpStream,
    pub(super) peer: SocketAddr,
    /// Counts the connection among the open ones.
    pub(super) permit: OwnedSemaphorePermit,
}

/// The thread that takes connections.
pub(super) struct Accept {
    stop: CancellationToken,
    stopped: oneshot::Receiver<()>,
    thread: Arbiter,
}

impl Accept {
    pub(super) fn start(
        listener: TcpListener,
        workers: Vec<UnboundedSender<Connection>>,
        permits: Arc<Semaphore>,
    ) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let stop = CancellationToken::new();
        let (ended, stopped) = oneshot::channel();
        let thread = Arbiter::new();
        let until = stop.clone();
        thread.spawn(async move {
            if let Err(error) = take(listener, &workers, &permits, &until).await {
                tracing::error!(%error, "no connections can be taken");
            }
            let _ = ended.send(());
        });
        Ok(Self { stop, stopped, thread })
    }

    /// Ends it. Connections that clients have already made are taken first, so that none of them is lost: closing
    /// the listener resets those that are made meanwhile, so on Linux none is begun for a moment before.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        let _ = self.stopped.await;
        self.thread.stop();
    }
}

async fn take(
    listener: TcpListener,
    workers: &[UnboundedSender<Connection>],
    permits: &Arc<Semaphore>,
    stop: &CancellationToken,
) -> io::Result<()> {
    let listener = TokioListener::from_std(listener)?;
    let mut workers = workers.iter().cycle();
    let one = async || {
        let permit = Arc::clone(permits).acquire_owned().await.map_err(io::Error::other)?;
        let (io, peer) = listener.accept().await?;
        Ok(Connection { io: io.into_std()?, peer, permit })
    };
    // Errors that say nothing of the next connection are passed over.
    let mut hand_over = |taken: io::Result<Connection>| match taken {
        Ok(connection) => {
            if let Some(worker) = workers.next() {
                let _ = worker.send(connection);
            }
            Ok(())
        }
        Err(error) if is_of_the_client(&error) => Ok(()),
        Err(error) => Err(error),
    };
    loop {
        tokio::select! {
            taken = one() => if let Err(error) = hand_over(taken) {
                tracing::warn!(%error, "a connection cannot be taken");
                tokio::time::sleep(PAUSE).await;
            },
            () = stop.cancelled() => break,
        }
    }
    if let Err(error) = begin_no_more(&listener) {
        tracing::debug!(%error, "connections that are made while the listener is closed are reset");
    }
    let until = Instant::now() + HANDSHAKES;
    while let Ok(taken) = timeout_at(until, one()).await {
        if hand_over(taken).is_err() {
            break;
        }
    }
    Ok(())
}

/// From now on no handshake begins: its first packet is dropped, as if it had been lost on its way, so that the client
/// sends it again, and is refused by then. Handshakes under way go on, and so do connections.
#[cfg(target_os = "linux")]
fn begin_no_more(listener: &TokioListener) -> io::Result<()> {
    // A program of the packet filter (linux/filter.h) over the TCP header.
    const LOAD_BYTE: u16 = 0x30;
    const SKIP_UNLESS_SET: u16 = 0x45;
    const RETURN: u16 = 0x06;
    const FLAGS: u32 = 13;
    const SYN: u32 = 0x02;
    let (dropped, whole) = (0, u32::MAX);
    SockRef::from(listener).attach_filter(&[
        SockFilter::new(LOAD_BYTE, 0, 0, FLAGS),
        SockFilter::new(SKIP_UNLESS_SET, 0, 1, SYN),
        SockFilter::new(RETURN, 0, 0, dropped),
        SockFilter::new(RETURN, 0, 0, whole),
    ])
}

/// Elsewhere there is no such filter.
#[cfg(not(target_os = "linux"))]
fn begin_no_more(_: &TokioListener) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Errors of one connection, which say nothing about the next.
fn is_of_the_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
