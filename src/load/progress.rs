//! Progress bars, one a phase.

use std::{sync::Arc, time::Duration};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use parking_lot::Mutex;

/// Where progress is shown.
#[derive(Clone, Debug)]
pub struct Progress {
    shown: bool,
    /// The bar of the present phase, for whoever asks how far things are.
    present: Arc<Mutex<Option<ProgressBar>>>,
}

impl Progress {
    /// Bars on standard error; on a terminal they move, elsewhere nothing is drawn.
    #[must_use]
    pub fn shown() -> Self {
        Self { shown: true, present: Arc::default() }
    }

    /// No bars.
    #[must_use]
    pub fn hidden() -> Self {
        Self { shown: false, present: Arc::default() }
    }

    /// The present phase, rows of it that are done, and rows there are; `None` before the first.
    #[must_use]
    pub fn present(&self) -> Option<(String, u64, u64)> {
        let bar = self.present.lock();
        let bar = bar.as_ref()?;
        Some((bar.message(), bar.position(), bar.length().unwrap_or(0)))
    }

    /// A bar over `rows` rows.
    #[must_use]
    pub fn bar(&self, name: &'static str, rows: u64) -> ProgressBar {
        let template = "{msg:14} {wide_bar} {human_pos}/{human_len} {per_sec} {eta}";
        self.drawn(name, Some(rows), template)
    }

    /// A count of rows, where nobody knows how many there are.
    #[must_use]
    pub fn count(&self, name: &'static str) -> ProgressBar {
        self.drawn(name, None, "{msg:14} {spinner} {human_pos} {per_sec}")
    }

    fn drawn(&self, name: &'static str, rows: Option<u64>, template: &str) -> ProgressBar {
        let target =
            if self.shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(rows, target);
        bar.set_style(
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        bar.set_message(name);
        bar.enable_steady_tick(Duration::from_millis(500));
        *self.present.lock() = Some(bar.clone());
        bar
    }
}
