//! Work that gives way to requests: what fills a second model while the first one answers.
//!
//! Until the process serves, such work runs as any other, so that a start takes no longer than it must. From then on
//! it runs when nothing else wants to (`SCHED_IDLE` of Linux), on threads of its own that end with it: a thread that has
//! given up its priority may not be allowed to take it back.

use std::{
    panic::resume_unwind,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

/// Whether requests are answered in this process.
static SERVING: AtomicBool = AtomicBool::new(false);
/// How much longer than its runs [`pause_after`] waits.
const REST: u32 = 2;
/// The least priority there is, for where the idle class is refused.
#[cfg(target_os = "linux")]
const LOWEST: i32 = 19;

/// From here on requests are answered in this process.
pub fn begin_serving() {
    SERVING.store(true, Ordering::Relaxed);
}

/// Does something that no request waits for, on a thread of low priority while requests are answered.
///
/// ```
/// let sum = plugrank_background::beside(|| (1..=4).sum::<u32>());
/// assert_eq!(sum, 10);
/// ```
///
/// # Panics
/// As the work does.
pub fn beside<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    if !SERVING.load(Ordering::Relaxed) {
        return work();
    }
    thread::scope(|scope| {
        let done = scope.spawn(|| {
            give_way();
            work()
        });
        done.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}

/// Has this thread, which was started for such work alone, give way to all others while requests are answered.
pub fn give_way() {
    #[cfg(target_os = "linux")]
    if SERVING.load(Ordering::Relaxed) {
        use thread_priority::{
            NormalThreadSchedulePolicy::Idle, ThreadPriority, ThreadSchedulePolicy,
            set_thread_priority_and_policy, thread_native_id,
        };
        // Of the calling thread alone; where the system refuses, the work is only less polite. A thread that wakes takes
        // the processor from one of the idle class at once, which it does not from one that is merely nice.
        let idle = ThreadSchedulePolicy::Normal(Idle);
        let _ = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, idle);
        let _ = rustix::process::setpriority_process(None, LOWEST);
    }
}

/// How long something runs on this thread, for who expects the same of later runs. While requests are answered it is the
/// processor time of the thread: at low priority what others take in between is no time of the work.
#[derive(Debug)]
pub struct WorkClock {
    begun: Instant,
    processor: Option<Duration>,
}

impl WorkClock {
    /// From now on.
    #[must_use]
    pub fn start() -> Self {
        let processor = if SERVING.load(Ordering::Relaxed) { processor_time() } else { None };
        Self { begun: Instant::now(), processor }
    }

    /// Until now, on the same thread.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        let processor = self.processor.and_then(|begun| processor_time()?.checked_sub(begun));
        processor.unwrap_or_else(|| self.begun.elapsed())
    }
}

/// Processor time of the calling thread, where the system says so.
fn processor_time() -> Option<Duration> {
    #[cfg(target_os = "linux")]
    {
        let spent = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        Some(Duration::new(spent.tv_sec.try_into().ok()?, spent.tv_nsec.try_into().ok()?))
    }
    #[cfg(not(target_os = "linux"))]
    None
}

/// Waits after something that ran so long, while requests are answered: for work that is done elsewhere than on the
/// thread that asks for it, so that the priority of this one changes nothing. It takes a third of the time then, in
/// pieces.
pub fn pause_after(ran: Duration) {
    if SERVING.load(Ordering::Relaxed) {
        thread::sleep(ran * REST);
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::panic::catch_unwind;

    use super::*;

    fn priority() -> i32 {
        rustix::process::getpriority_process(None).unwrap()
    }

    // One test, because `begin_serving` changes the whole process.
    #[test]
    fn background_work_yields_to_requests() {
        let before = priority();
        assert_eq!(beside(priority), before, "the process does not serve yet");
        let begun = Instant::now();
        pause_after(Duration::from_secs(60));
        assert!(begun.elapsed() < Duration::from_secs(30));
        let slept = || {
            let clock = WorkClock::start();
            thread::sleep(Duration::from_millis(50));
            clock.elapsed()
        };
        assert!(slept() >= Duration::from_millis(50), "before serving, sleep counts");
        begin_serving();
        assert!(beside(slept) < Duration::from_millis(25), "CPU time: sleep does not count");
        // Begun first: on a machine with nothing else to do a thread's processor time is all of the time.
        let begun = Instant::now();
        let clock = WorkClock::start();
        let mut turns = 0_u64;
        while begun.elapsed() < Duration::from_millis(20) {
            turns = std::hint::black_box(turns + 1);
        }
        assert!(clock.elapsed() > Duration::ZERO && clock.elapsed() <= begun.elapsed());
        assert_eq!(beside(priority), LOWEST);
        let policy = || thread_priority::thread_schedule_policy().unwrap();
        let idle = thread_priority::NormalThreadSchedulePolicy::Idle;
        assert_eq!(beside(policy), thread_priority::ThreadSchedulePolicy::Normal(idle));
        assert_eq!(priority(), before, "the waiting thread keeps its priority");
        let panic = catch_unwind(|| beside::<()>(|| panic!("no luck"))).unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"no luck"));
        let begun = Instant::now();
        pause_after(Duration::from_millis(5));
        assert!(begun.elapsed() >= Duration::from_millis(10));
    }
}
