//! A TCP proxy that can delay or drop traffic.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::AbortHandle,
    time::sleep,
};

/// How the line is.
#[derive(Clone, Copy, PartialEq)]
enum Line {
    /// What is sent arrives this much later.
    Slow(Duration),
    /// Nothing arrives until it is mended. Connections stay.
    Cut,
}

/// A line to `target`; ends with this value.
pub(super) struct Proxy {
    pub(super) port: u16,
    line: watch::Sender<Line>,
    listening: AbortHandle,
}

impl Proxy {
    pub(super) async fn to(target: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let line = watch::Sender::new(Line::Slow(Duration::ZERO));
        let seen = line.subscribe();
        let listening = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(connect(near, target, seen.clone()));
            }
        });
        Self { port, line, listening: listening.abort_handle() }
    }

    pub(super) fn slow(&self, by: Duration) {
        self.line.send_replace(Line::Slow(by));
    }

    pub(super) fn cut(&self) {
        self.line.send_replace(Line::Cut);
    }

    pub(super) fn mend(&self) {
        self.slow(Duration::ZERO);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn connect(near: TcpStream, target: u16, mut line: watch::Receiver<Line>) {
    if line.wait_for(|line| *line != Line::Cut).await.is_err() {
        return;
    }
    let Ok(far) = TcpStream::connect(("127.0.0.1", target)).await else { return };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    // One side closing closes both, as a caller that hangs up must be seen to.
    tokio::select! {
        () = carry(near_in, far_out, line.clone()) => {}
        () = carry(far_in, near_out, line) => {}
    }
}

async fn carry(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    mut line: watch::Receiver<Line>,
) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let now = *line.borrow();
        if let Line::Slow(by) = now {
            sleep(by).await;
        }
        if line.wait_for(|line| *line != Line::Cut).await.is_err() {
            return;
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
