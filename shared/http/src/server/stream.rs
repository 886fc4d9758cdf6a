//! A connection as actix-http sees it: it is given whole heads only.
//!
//! That is where the policy for connections is kept, because actix-http has another: it answers a
//! connection that never sent anything 408, and also a whole request that it finds late; it does not
//! limit how long the heads of later requests may take; it takes lines that end in LF alone; and it
//! closes a connection on which another protocol was offered.

use std::{
    cell::Cell,
    future::Future,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};
use tokio_util::{
    io::poll_read_buf,
    sync::{CancellationToken, WaitForCancellationFutureOwned},
};

use super::{
    chunks::Chunks,
    head::{self, Framing, HeadScan, Scanned},
    refusal,
};

/// Longest head, in bytes; actix-http answers longer ones 431.
const MAX_HEAD: usize = 128 << 10;

/// How much is read at a time.
const READ: usize = 8 << 10;

/// How long a client that was refused may go on sending before the connection is cut, so that it reads
/// why; and how long a connection without a request is kept once the server stops.
pub(super) const LINGER: Duration = Duration::from_secs(1);

/// How long connections may be silent, and when they end.
#[derive(Clone, Debug)]
pub(super) struct ConnectionPolicy {
    /// How long a head may take from its first byte.
    pub(super) head_timeout: Duration,
    /// How long a connection may be without its first request.
    pub(super) first_request: Duration,
    /// Cancelled when idle connections are to be closed.
    pub(super) closing: CancellationToken,
}

/// Requests of a connection that are not answered yet. Clones share the count.
#[derive(Clone, Debug, Default)]
pub(super) struct InFlight(Rc<Cell<usize>>);

impl InFlight {
    /// Counts a request out when what it gives is dropped.
    pub(super) fn until_dropped(&self) -> impl Drop + use<> {
        struct Answered(InFlight);
        impl Drop for Answered {
            fn drop(&mut self) {
                self.0.0.set(self.0.0.get().saturating_sub(1));
            }
        }
        Answered(self.clone())
    }
}

/// What comes next on the connection.
#[derive(Debug)]
enum Next {
    Head(HeadScan),
    Body(u64),
    Chunked(Chunks),
    /// All that comes is handed over: actix-http is about to close the connection.
    Unchecked,
}

/// What the timer of a connection runs for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waits {
    Nothing,
    FirstRequest,
    Head,
    Close,
}

/// How waiting for a head ended without one.
enum Unheard {
    /// The connection is closed.
    Silently,
    /// It is answered first.
    Refused(Bytes),
}

/// A last answer on its way out.
struct Farewell {
    bytes: Bytes,
    shut: bool,
    until: Pin<Box<Sleep>>,
}

/// A connection that hands over whole heads.
pub(super) struct HeadStream<T> {
    io: T,
    policy: Rc<ConnectionPolicy>,
    /// Read, and not handed over.
    buffer: BytesMut,
    /// How much of the buffer may be handed over.
    checked: usize,
    next: Next,
    in_flight: InFlight,
    /// Whether a request was handed over.
    served: bool,
    /// Whether an answer waits for the client to read.
    write_blocked: bool,
    waits: Waits,
    timer: Option<Pin<Box<Sleep>>>,
    closing: Pin<Box<WaitForCancellationFutureOwned>>,
    is_closing: bool,
    farewell: Option<Farewell>,
}

impl<T> HeadStream<T> {
    pub(super) fn new(io: T, policy: Rc<ConnectionPolicy>) -> Self {
        let closing = Box::pin(policy.closing.clone().cancelled_owned());
        Self {
            io,
            policy,
            buffer: BytesMut::new(),
            checked: 0,
            next: Next::Head(HeadScan::default()),
            in_flight: InFlight::default(),
            served: false,
            write_blocked: false,
            waits: Waits::Nothing,
            timer: None,
            closing,
            is_closing: false,
            farewell: None,
        }
    }

    pub(super) fn io(&self) -> &T {
        &self.io
    }

    pub(super) fn in_flight(&self) -> InFlight {
        self.in_flight.clone()
    }

    fn is_busy(&self) -> bool {
        self.in_flight.0.get() > 0 || self.write_blocked
    }

    /// Looks at what was read: whether something may be handed over now.
    fn check(&mut self) -> Result<bool, Bytes> {
        if self.buffer.is_empty() {
            return Ok(false);
        }
        match &mut self.next {
            Next::Unchecked => self.checked = self.buffer.len(),
            Next::Body(left) => {
                let here = self.buffer.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                self.checked = here;
                *left -= here as u64;
                if *left == 0 {
                    self.next = Next::Head(HeadScan::default());
                }
            }
            Next::Chunked(chunks) => match chunks.advance(&self.buffer) {
                Some(here) => {
                    self.checked = here;
                    if *chunks == Chunks::Ended {
                        self.next = Next::Head(HeadScan::default());
                    }
                }
                None => self.hand_over_all(),
            },
            Next::Head(scan) => match scan.advance(&self.buffer) {
                Scanned::Partial if self.buffer.len() >= MAX_HEAD => self.hand_over_all(),
                Scanned::Partial if !head::is_plausible(&self.buffer) => self.hand_over_all(),
                Scanned::Partial => return Ok(false),
                Scanned::BareLf if self.is_busy() => {
                    // In its turn, behind the answers that are due: actix-http says 400 to this.
                    self.buffer = BytesMut::from(&b"\0"[..]);
                    self.hand_over_all();
                }
                Scanned::BareLf => return Err(refusal::of_bare_lf()),
                Scanned::Whole(_)
                    if !self.served && self.buffer.starts_with(refusal::HTTP2_PREFACE) =>
                {
                    return Err(refusal::of_http2());
                }
                Scanned::Whole(end) => {
                    self.next = match head::read(&mut self.buffer[..end]) {
                        Framing::Length(0) => Next::Head(HeadScan::default()),
                        Framing::Length(length) => Next::Body(length),
                        Framing::Chunked => Next::Chunked(Chunks::BEGIN),
                        Framing::Unknown => Next::Unchecked,
                    };
                    self.checked = end;
                    self.served = true;
                    self.waits = Waits::Nothing;
                    self.in_flight.0.set(self.in_flight.0.get() + 1);
                }
            },
        }
        Ok(self.checked > 0)
    }

    fn hand_over_all(&mut self) {
        self.next = Next::Unchecked;
        self.checked = self.buffer.len();
    }

    /// While no head comes: whether the connection is to end.
    fn poll_unheard(&mut self, cx: &mut Context<'_>) -> Poll<Unheard> {
        self.is_closing = self.is_closing || self.closing.as_mut().poll(cx).is_ready();
        if !matches!(self.next, Next::Head(_)) {
            return Poll::Pending;
        }
        let busy = self.is_busy();
        let (waits, time) = match (self.buffer.is_empty(), self.served) {
            (false, _) => (Waits::Head, self.policy.head_timeout),
            (true, true) if self.is_closing && !busy => return Poll::Ready(Unheard::Silently),
            (true, true) => return Poll::Pending,
            (true, false) if self.is_closing => (Waits::Close, LINGER),
            (true, false) => (Waits::FirstRequest, self.policy.first_request),
        };
        let fresh = Instant::now() + time;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(fresh)));
        if self.waits != waits {
            timer.as_mut().reset(fresh);
            self.waits = waits;
        }
        ready!(timer.as_mut().poll(cx));
        if waits != Waits::Head {
            return Poll::Ready(Unheard::Silently);
        }
        if busy {
            // The answer before it comes first.
            timer.as_mut().reset(fresh);
            let _ = timer.as_mut().poll(cx);
            return Poll::Pending;
        }
        Poll::Ready(Unheard::Refused(refusal::of_slow_head(time)))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> HeadStream<T> {
    /// Writes a last answer, then waits for the client to close.
    fn poll_farewell(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(farewell) = &mut self.farewell else { return Poll::Ready(Ok(())) };
        let io = &mut self.io;
        if farewell.until.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        while !farewell.bytes.is_empty() {
            let written = ready!(Pin::new(&mut *io).poll_write(cx, &farewell.bytes))?;
            farewell.bytes.advance(written);
        }
        if !farewell.shut {
            ready!(Pin::new(&mut *io).poll_shutdown(cx))?;
            farewell.shut = true;
        }
        loop {
            self.buffer.clear();
            self.buffer.reserve(READ);
            if ready!(poll_read_buf(Pin::new(&mut *io), cx, &mut self.buffer))? == 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }

    fn refuse(&mut self, bytes: Bytes, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let until = Box::pin(sleep_until(Instant::now() + LINGER));
        self.farewell = Some(Farewell { bytes, shut: false, until });
        self.poll_farewell(cx)
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for HeadStream<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.farewell.is_some() {
            return this.poll_farewell(cx);
        }
        loop {
            if this.checked > 0 {
                let here = this.checked.min(into.remaining());
                into.put_slice(&this.buffer[..here]);
                this.buffer.advance(here);
                this.checked -= here;
                return Poll::Ready(Ok(()));
            }
            match this.check() {
                Ok(true) => continue,
                Ok(false) => {}
                Err(refusal) => return this.refuse(refusal, cx),
            }
            // Long bodies are not copied.
            if let Next::Body(left) = &mut this.next
                && *left >= into.remaining() as u64
            {
                let before = into.filled().len();
                let read = Pin::new(&mut this.io).poll_read(cx, into);
                *left -= (into.filled().len() - before) as u64;
                if *left == 0 {
                    this.next = Next::Head(HeadScan::default());
                }
                return read;
            }
            this.buffer.reserve(READ);
            match poll_read_buf(Pin::new(&mut this.io), cx, &mut this.buffer) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => match ready!(this.poll_unheard(cx)) {
                    Unheard::Silently => return Poll::Ready(Ok(())),
                    Unheard::Refused(refusal) => return this.refuse(refusal, cx),
                },
            }
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for HeadStream<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write(cx, bytes);
        this.write_blocked = written.is_pending();
        if this.is_closing {
            // Once the answer is out, reading says that the connection ends.
            cx.waker().wake_by_ref();
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}
