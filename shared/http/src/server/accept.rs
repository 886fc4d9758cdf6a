//! Takes connections, and hands them to the workers in turns.

use std::{
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    time::Duration,
};

use actix_rt::Arbiter;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc::UnboundedSender, oneshot};
use tokio_util::sync::CancellationToken;

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

    /// Ends it. Connections that clients have already made are taken first, so that none of them is lost.
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
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let mut workers = workers.iter().cycle();
    let mut hand_over = |(io, peer), permit| {
        if let Some(worker) = workers.next() {
            let _ = worker.send(Connection { io, peer, permit });
        }
    };
    loop {
        let one = async {
            let permit = Arc::clone(permits).acquire_owned().await.map_err(io::Error::other)?;
            let (io, peer) = listener.accept().await?;
            Ok::<_, io::Error>(((io.into_std()?, peer), permit))
        };
        tokio::select! {
            taken = one => match taken {
                Ok((taken, permit)) => hand_over(taken, permit),
                Err(error) if is_of_the_client(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "a connection cannot be taken");
                    tokio::time::sleep(PAUSE).await;
                }
            },
            () = stop.cancelled() => break,
        }
    }
    let listener = listener.into_std()?;
    while let Ok(permit) = Arc::clone(permits).try_acquire_owned() {
        match listener.accept() {
            Ok(taken) => hand_over(taken, permit),
            Err(error) if is_of_the_client(&error) => {}
            Err(_) => break,
        }
    }
    Ok(())
}

/// Errors of one connection, which say nothing about the next.
fn is_of_the_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
