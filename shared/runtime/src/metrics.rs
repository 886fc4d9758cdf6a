//! One registry of metrics, handed to whoever measures, and its text form.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::{encoding::text, metrics::info::Info, registry::Registry};

/// The metrics of a process. Clones share one registry; nothing is global.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
}

impl Metrics {
    /// Media type of [`Metrics::encode`].
    pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

    /// An empty registry; every name in it begins with `plugrank_`.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("plugrank");
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "Version of the program", build);
        Self { registry: Arc::new(Mutex::new(registry)) }
    }

    /// Registers metrics, or collectors that are asked on every scrape.
    pub fn register<T>(&self, with: impl FnOnce(&mut Registry) -> T) -> T {
        with(&mut self.registry.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// All metrics as OpenMetrics text, which Prometheus reads.
    ///
    /// # Errors
    /// When a metric cannot be written, a defect of its type.
    pub fn encode(&self) -> Result<String, std::fmt::Error> {
        let mut page = String::new();
        text::encode(&mut page, &self.registry.lock().unwrap_or_else(PoisonError::into_inner))?;
        Ok(page)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;

    use super::Metrics;

    #[test]
    fn clones_share_one_registry() {
        let metrics = Metrics::new();
        let counter = Counter::<u64>::default();
        metrics.clone().register(|to| to.register("events", "Events", counter.clone()));
        counter.inc_by(3);
        let page = metrics.encode().unwrap();
        assert!(page.contains("plugrank_events_total 3\n"), "{page}");
        assert!(page.contains("plugrank_build_info{version=\""), "{page}");
        assert!(page.ends_with("# EOF\n"));
    }
}
