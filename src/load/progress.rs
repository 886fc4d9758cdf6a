//! Progress of each phase: bars on a terminal, lines in a log.

use std::{
    io::{IsTerminal, stderr},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle, WeakProgressBar};
use parking_lot::Mutex;
use plugrank_export::{ExportError, ExportWatch};

/// Between two lines of a log.
const LINE_EVERY: Duration = Duration::from_secs(30);

/// Where progress is shown.
#[derive(Clone, Debug)]
pub struct Progress {
    shown: bool,
    /// All bars, on lines of their own: phases may run side by side.
    bars: MultiProgress,
    /// Those of the present phases, in the order in which they began, for reports of progress.
    present: Arc<Mutex<Vec<ProgressBar>>>,
}

impl Progress {
    /// Bars on standard error where that is a terminal; otherwise a line of the log every half a
    /// minute.
    #[must_use]
    pub fn shown() -> Self {
        Self { shown: true, bars: MultiProgress::new(), present: Arc::default() }
    }

    /// No bars.
    #[must_use]
    pub fn hidden() -> Self {
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::hidden());
        Self { shown: false, bars, present: Arc::default() }
    }

    /// The present phase, of several the first, rows of it that are done, and rows there are; `None` before the first.
    #[must_use]
    pub fn present(&self) -> Option<(String, u64, u64)> {
        let bars = self.present.lock();
        let bar = bars.iter().find(|bar| !bar.is_finished()).or(bars.last())?;
        Some((bar.message(), bar.position(), bar.length().unwrap_or(0)))
    }

    /// A bar over `rows` rows.
    #[must_use]
    pub fn bar(&self, name: &'static str, rows: u64) -> ProgressBar {
        let template = "{msg:14} {wide_bar} {human_pos}/{human_len} {per_sec} {eta}";
        self.drawn(name, Some(rows), template)
    }

    /// A count of rows, where their number is not known.
    #[must_use]
    pub fn count(&self, name: &'static str) -> ProgressBar {
        self.drawn(name, None, "{msg:14} {spinner} {human_pos} {per_sec}")
    }

    fn drawn(&self, name: &'static str, rows: Option<u64>, template: &str) -> ProgressBar {
        let bar = match rows {
            Some(rows) => ProgressBar::new(rows),
            None => ProgressBar::no_length(),
        };
        let bar = self.bars.add(bar);
        bar.set_style(
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        bar.set_message(name);
        if self.shown && !stderr().is_terminal() {
            let weak = bar.downgrade();
            thread::spawn(move || log_lines(&weak, name, LINE_EVERY));
        } else {
            bar.enable_steady_tick(Duration::from_millis(500));
        }
        let mut present = self.present.lock();
        present.retain(|bar| !bar.is_finished());
        present.push(bar.clone());
        bar
    }
}

#[async_trait]
impl ExportWatch for Progress {
    fn begin(&self, phase: &'static str, rows: Option<u64>) {
        match rows {
            Some(rows) => drop(self.bar(phase, rows)),
            None => drop(self.count(phase)),
        }
    }

    async fn advance(&self, rows: u64) -> Result<(), ExportError> {
        if let Some(bar) = self.present.lock().last() {
            bar.inc(rows);
        }
        Ok(())
    }

    fn end(&self) {
        if let Some(bar) = self.present.lock().last() {
            bar.finish();
        }
    }
}

/// Logs how far it is, until it is done.
fn log_lines(bar: &WeakProgressBar, name: &str, every: Duration) {
    let begun = Instant::now();
    loop {
        thread::sleep(every);
        let Some(bar) = bar.upgrade().filter(|bar| !bar.is_finished()) else { return };
        let (rows, seconds) = (bar.position(), begun.elapsed().as_secs_f64().round());
        match bar.length() {
            Some(of) => tracing::info!(phase = name, rows, of, seconds, "under way"),
            None => tracing::info!(phase = name, rows, seconds, "under way"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_with_the_bar() {
        let bar = ProgressBar::hidden();
        let weak = bar.downgrade();
        let lines = thread::spawn(move || log_lines(&weak, "items", Duration::from_millis(1)));
        bar.set_position(5);
        thread::sleep(Duration::from_millis(20));
        assert!(!lines.is_finished());
        bar.finish();
        lines.join().unwrap();
    }
}
