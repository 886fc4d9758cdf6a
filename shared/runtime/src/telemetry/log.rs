//! The log's way to standard error: lines of many requests leave in one write.

use std::{
    io::{self, Write},
    mem,
    sync::Arc,
    thread,
    time::Duration,
};

use parking_lot::{Condvar, Mutex};
use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// How long a line waits for others.
const WRITE_EVERY: Duration = Duration::from_millis(20);
/// Bytes that may wait. Who finds more writes them itself, so that a slow reader of the log slows
/// the process down, as it would without a buffer, and no line is lost.
const WAITING_BYTES: usize = 1 << 20;

/// Buffers lines up to `info` for a moment; warnings and errors are written at once, after what
/// waits. Clones share the buffer.
#[derive(Clone)]
pub(crate) struct LogWriter(Arc<Shared>);

struct Shared {
    output: Mutex<Box<dyn Write + Send>>,
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    lines: Vec<u8>,
    /// The thread has ended, so that lines are written at once.
    closed: bool,
}

/// Ends the thread that writes, when it is dropped.
pub(crate) struct LogThread(LogWriter);

impl std::fmt::Debug for LogThread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogThread").finish_non_exhaustive()
    }
}

impl Drop for LogThread {
    fn drop(&mut self) {
        let shared = &self.0.0;
        shared.waiting.lock().closed = true;
        shared.changed.notify_all();
        shared.write();
    }
}

impl LogWriter {
    /// To `output`, by a thread of its own.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start(output: impl Write + Send + 'static) -> io::Result<(Self, LogThread)> {
        let shared = Arc::new(Shared {
            output: Mutex::new(Box::new(output)),
            waiting: Mutex::default(),
            changed: Condvar::new(),
        });
        let writing = Arc::clone(&shared);
        thread::Builder::new().name("log".to_owned()).spawn(move || {
            while writing.wait() {
                thread::sleep(WRITE_EVERY);
                writing.write();
            }
        })?;
        let writer = Self(shared);
        Ok((writer.clone(), LogThread(writer)))
    }
}

impl Shared {
    /// Waits for lines; false when the thread is to end.
    fn wait(&self) -> bool {
        let mut waiting = self.waiting.lock();
        while waiting.lines.is_empty() && !waiting.closed {
            self.changed.wait(&mut waiting);
        }
        !waiting.closed
    }

    /// Writes what waits. The output is taken first, so that lines leave in their order.
    fn write(&self) {
        let mut output = self.output.lock();
        let lines = mem::take(&mut self.waiting.lock().lines);
        // There is nowhere left to report it to.
        let _unwritten = output.write_all(&lines).and_then(|()| output.flush());
    }

    fn add(&self, line: &[u8], at_once: bool) {
        let mut waiting = self.waiting.lock();
        let first = waiting.lines.is_empty();
        waiting.lines.extend_from_slice(line);
        let at_once = at_once || waiting.closed || waiting.lines.len() > WAITING_BYTES;
        drop(waiting);
        if at_once {
            self.write();
        } else if first {
            self.changed.notify_one();
        }
    }
}

/// Takes one line.
pub(crate) struct LineWriter<'a> {
    shared: &'a Shared,
    at_once: bool,
}

impl Write for LineWriter<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.shared.add(line, self.at_once);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = LineWriter<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        LineWriter { shared: &self.0, at_once: true }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Self::Writer {
        LineWriter { shared: &self.0, at_once: *metadata.level() <= Level::WARN }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[derive(Clone, Default)]
    struct Output(Arc<Mutex<Vec<Vec<u8>>>>);

    impl Write for Output {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().push(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn log_lines_are_written_in_batches_and_in_order() {
        let output = Output::default();
        let (writer, thread) = LogWriter::start(output.clone()).unwrap();
        writer.0.add(b"one\n", false);
        writer.0.add(b"two\n", false);
        writer.0.add(b"warning\n", true);
        assert_eq!(*output.0.lock(), [b"one\ntwo\nwarning\n"]);
        writer.0.add(b"later\n", false);
        let deadline = Instant::now() + Duration::from_secs(10);
        while output.0.lock().len() < 2 {
            assert!(Instant::now() < deadline, "never written");
            thread::sleep(Duration::from_millis(1));
        }
        writer.0.add(b"last\n", false);
        drop(thread);
        assert_eq!(output.0.lock().concat(), b"one\ntwo\nwarning\nlater\nlast\n");
        writer.0.add(b"after\n", false);
        assert!(
            output.0.lock().concat().ends_with(b"last\nafter\n"),
            "without the thread, lines are written at once"
        );
    }
}
