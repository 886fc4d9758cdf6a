//! Progress bars, one a phase.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Where progress is shown.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    shown: bool,
}

impl Progress {
    /// Bars on standard error; on a terminal they move, elsewhere nothing is drawn.
    #[must_use]
    pub fn shown() -> Self {
        Self { shown: true }
    }

    /// No bars.
    #[must_use]
    pub fn hidden() -> Self {
        Self { shown: false }
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
        bar
    }
}
