//! What is logged, changed while the process runs.

use std::{fmt, sync::Arc};

use parking_lot::Mutex;

type Change = Box<dyn Fn(&str) -> Result<(), String> + Send + Sync>;

/// The filter of the log. Clones share it.
#[derive(Clone, Default)]
pub struct LogLevel(Arc<Mutex<Option<Current>>>);

struct Current {
    level: String,
    change: Change,
}

impl LogLevel {
    pub(super) fn begin(
        &self,
        level: &str,
        change: impl Fn(&str) -> Result<(), String> + Send + Sync + 'static,
    ) {
        *self.0.lock() = Some(Current { level: level.to_owned(), change: Box::new(change) });
    }

    /// What is logged now, as in `telemetry.log_level`.
    #[must_use]
    pub fn get(&self) -> String {
        self.0.lock().as_ref().map(|current| current.level.clone()).unwrap_or_default()
    }

    /// Logs by another filter from now on, until the process ends.
    ///
    /// # Errors
    /// What is wrong with it; nothing is changed then.
    pub fn set(&self, level: &str) -> Result<(), String> {
        let mut current = self.0.lock();
        let current = current.as_mut().ok_or("there is no log yet")?;
        if level.trim().is_empty() {
            return Err("a level is missing".to_owned());
        }
        (current.change)(level)?;
        current.level = level.to_owned();
        Ok(())
    }
}

impl fmt::Debug for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LogLevel").field(&self.get()).finish()
    }
}

#[cfg(test)]
mod tests {
    use tracing::{Level, enabled};

    use crate::{options::TelemetryOptions, telemetry::Telemetry};

    #[test]
    fn the_log_level_can_be_changed() {
        let settings = TelemetryOptions { log_level: "warn".to_owned(), ..Default::default() };
        let (dispatch, telemetry) = Telemetry::build(&settings, None).unwrap();
        tracing::dispatcher::with_default(&dispatch, || {
            assert!(!enabled!(target: "plugrank", Level::DEBUG));
            telemetry.level().set("info,plugrank=debug").unwrap();
            assert!(enabled!(target: "plugrank", Level::DEBUG));
            assert!(telemetry.level().set("plugrank=loud").is_err());
            assert_eq!(telemetry.level().get(), "info,plugrank=debug");
        });
    }
}
