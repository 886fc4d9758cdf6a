//! Turns of work on an event loop that reads sockets too.
//!
//! Work in place keeps its thread from reading the requests that have arrived meanwhile. Were it left
//! to the order in which tasks wake, a busy loop would work through a whole round of requests before
//! it looked at its sockets again, and what waits in a socket is seen by no deadline and no admission.
//! [`in_turns`] lets one piece of work run between two looks at the sockets: the loop reads, admits
//! and refuses what came, then the ranking that has waited longest goes on. [`expected_wait`] says how
//! long one that comes now would wait, for the admission that refuses it at once.

use std::{
    cell::Cell,
    collections::BTreeMap,
    future::Future,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use pin_project_lite::pin_project;

/// Weight of the newest turn in the mean of their times.
const WEIGHT: f64 = 0.1;

thread_local! {
    static TURNS: Arc<Turns> = Arc::default();
    /// Whether this thread works within a turn.
    static WITHIN: Cell<bool> = const { Cell::new(false) };
}

/// Polls `work` in turns with the other such work of the thread it begins on: at most once between two
/// looks of the event loop at its sockets and timers, the oldest first. Inside of such work it changes
/// nothing.
pub fn in_turns<F: Future>(work: F) -> InTurns<F> {
    InTurns { work, place: None }
}

/// How long work that begins on this thread now would wait for its first turn.
#[must_use]
pub fn expected_wait() -> Duration {
    TURNS.with(|turns| {
        let queue = turns.0.lock();
        let ahead = queue.waiting.len() + usize::from(queue.next.is_some());
        Duration::from_secs_f64(queue.mean_seconds * ahead as f64)
    })
}

pin_project! {
    /// See [`in_turns`].
    pub struct InTurns<F> {
        #[pin]
        work: F,
        place: Option<Place>,
    }
}

impl<F: Future> Future for InTurns<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        if WITHIN.get() {
            return this.work.poll(context);
        }
        let place = this.place.get_or_insert_with(|| TURNS.with(Turns::enter));
        let Some(_turn) = place.take_turn(context.waker()) else { return Poll::Pending };
        this.work.poll(context)
    }
}

/// The turns of one event loop.
#[derive(Default)]
struct Turns(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    entered: u64,
    /// A ranking has had a turn since the loop last looked at its sockets, or is about to.
    busy: bool,
    /// Whose turn it is, until it is taken.
    next: Option<u64>,
    waiting: BTreeMap<u64, Waker>,
    /// Mean time from the beginning of a turn to that of the next, while a ranking waits for it.
    mean_seconds: f64,
    /// When the last turn began, if a ranking was waiting for the next one when it ended.
    last: Option<Instant>,
}

impl Queue {
    /// A turn begins.
    fn begin(&mut self, now: Instant) {
        if let Some(last) = self.last.replace(now) {
            let took = now.saturating_duration_since(last).as_secs_f64();
            let weight = if self.mean_seconds == 0.0 { 1.0 } else { WEIGHT };
            self.mean_seconds += weight * (took - self.mean_seconds);
        }
    }
}

impl Turns {
    fn enter(self: &Arc<Self>) -> Place {
        let mut queue = self.0.lock();
        queue.entered += 1;
        Place { turns: Arc::clone(self), number: queue.entered }
    }

    /// Gives the turn to the ranking that has waited longest.
    fn pass_on(&self) {
        let mut queue = self.0.lock();
        let longest = queue.waiting.pop_first();
        queue.busy = longest.is_some();
        queue.next = longest.as_ref().map(|(number, _)| *number);
        if longest.is_none() {
            queue.last = None;
        }
        drop(queue);
        if let Some((_, waker)) = longest {
            waker.wake();
        }
    }
}

/// The event loop has looked at its sockets.
impl Wake for Turns {
    fn wake(self: Arc<Self>) {
        self.pass_on();
    }
}

/// A place among those who take turns; left when dropped.
struct Place {
    turns: Arc<Turns>,
    number: u64,
}

impl Place {
    /// The turn, if it is free; otherwise `waker` is woken when it can.
    fn take_turn(&self, waker: &Waker) -> Option<Turn<'_>> {
        let mut queue = self.turns.0.lock();
        if queue.next == Some(self.number) {
            queue.next = None;
        } else if queue.busy {
            queue.waiting.insert(self.number, waker.clone());
            return None;
        }
        queue.busy = true;
        queue.begin(Instant::now());
        drop(queue);
        WITHIN.set(true);
        Some(Turn(&self.turns))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut queue = self.turns.0.lock();
        queue.waiting.remove(&self.number);
        let unused = queue.next == Some(self.number);
        drop(queue);
        if unused {
            self.turns.pass_on();
        }
    }
}

/// A turn that is being worked in; it ends once the loop has looked at its sockets.
struct Turn<'a>(&'a Arc<Turns>);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        WITHIN.set(false);
        // Tokio keeps back the waker of a task that yields until its loop has polled the driver;
        // outside of a runtime it wakes at once.
        let looked = Waker::from(Arc::clone(self.0));
        let _ = pin!(tokio::task::yield_now()).poll(&mut Context::from_waker(&looked));
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, rc::Rc};

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
        task::{LocalSet, spawn_local, yield_now},
    };

    use super::*;

    type Log = Rc<RefCell<Vec<String>>>;

    fn on_one_thread<T>(test: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(LocalSet::new().run_until(test))
    }

    /// Work that hops to other threads `hops` times.
    async fn work(log: Log, name: usize, hops: usize) {
        for hop in 0..=hops {
            log.borrow_mut().push(format!("{name}.{hop}"));
            if hop < hops {
                tokio::task::spawn_blocking(|| ()).await.unwrap();
            }
        }
    }

    /// While a busy loop works on the first of ten requests, more bytes arrive at a socket: they are read
    /// before the second request starts.
    #[test]
    fn sockets_are_read_between_two_turns() {
        on_one_thread(async {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
            let mut caller = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (mut read, _) = listener.accept().await.unwrap();
            let log = Log::default();
            let reader = Rc::clone(&log);
            let reading = spawn_local(async move {
                read.read_u8().await.unwrap();
                reader.borrow_mut().push("read".to_owned());
            });
            yield_now().await;
            let works: Vec<_> =
                (0..10).map(|name| spawn_local(in_turns(work(Rc::clone(&log), name, 0)))).collect();
            caller.write_u8(1).await.unwrap();
            for work in works {
                work.await.unwrap();
            }
            reading.await.unwrap();
            let log = log.borrow();
            let place = log.iter().position(|what| what == "read").unwrap();
            assert!(place <= 2, "{log:?}");
            assert_eq!(log.iter().filter(|what| *what != "read").count(), 10);
        });
    }

    #[test]
    fn work_continues_in_order_of_its_start() {
        on_one_thread(async {
            let log = Log::default();
            let works: Vec<_> =
                (0..3).map(|name| spawn_local(in_turns(work(Rc::clone(&log), name, 1)))).collect();
            for work in works {
                work.await.unwrap();
            }
            let log = log.borrow();
            let begun: Vec<_> = log.iter().filter(|what| what.ends_with(".0")).collect();
            assert_eq!(begun, ["0.0", "1.0", "2.0"]);
            assert_eq!(log.len(), 6);
        });
    }

    #[test]
    fn the_expected_wait_follows_the_queue_length() {
        const EACH: Duration = Duration::from_millis(2);
        on_one_thread(async {
            assert_eq!(expected_wait(), Duration::ZERO, "nobody is there");
            let busy = || in_turns(async { std::thread::sleep(EACH) });
            let first: Vec<_> = (0..10).map(|_| spawn_local(busy())).collect();
            for work in first {
                work.await.unwrap();
            }
            assert_eq!(expected_wait(), Duration::ZERO, "all are done");
            let works: Vec<_> = (0..20).map(|_| spawn_local(busy())).collect();
            yield_now().await;
            // One or two have run; a slow machine makes a turn longer, never shorter.
            assert!(expected_wait() >= EACH * 15, "{:?}", expected_wait());
            for work in works {
                work.await.unwrap();
            }
        });
    }

    #[test]
    fn dropped_work_gives_up_its_turn() {
        on_one_thread(async {
            let log = Log::default();
            let first = spawn_local(in_turns(work(Rc::clone(&log), 0, 0)));
            let gone: Vec<_> =
                (1..5).map(|name| spawn_local(in_turns(work(Rc::clone(&log), name, 0)))).collect();
            let last = spawn_local(in_turns(work(Rc::clone(&log), 5, 0)));
            first.await.unwrap();
            for gone in gone {
                gone.abort();
            }
            let last = tokio::time::timeout(Duration::from_secs(10), last);
            last.await.unwrap().unwrap();
            // And the turn is free again.
            in_turns(work(Rc::clone(&log), 6, 0)).await;
            assert_eq!(log.borrow().last().unwrap(), "6.0");
        });
    }

    #[test]
    fn a_panic_ends_its_turn() {
        on_one_thread(async {
            let log = Log::default();
            let panics = spawn_local(in_turns(async { panic!("a defect") }));
            let next = spawn_local(in_turns(work(Rc::clone(&log), 1, 0)));
            assert!(panics.await.is_err());
            next.await.unwrap();
            assert_eq!(*log.borrow(), ["1.0"]);
        });
    }

    #[test]
    fn nested_work_takes_no_further_turn() {
        on_one_thread(async {
            let inner = Log::default();
            let steps = Rc::clone(&inner);
            let mut all = pin!(in_turns(async {
                in_turns(work(Rc::clone(&steps), 1, 0)).await;
                in_turns(work(steps, 2, 0)).await;
            }));
            // Both in one poll.
            let polled = futures::poll!(&mut all);
            assert!(polled.is_ready());
            assert_eq!(*inner.borrow(), ["1.0", "2.0"]);
        });
    }
}
