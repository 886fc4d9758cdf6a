//! What the bodies of requests in flight take, as metrics.

use std::fmt;

use plugrank_body::BodyMemory;
use plugrank_runtime::Metrics;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::gauge::ConstGauge,
};

/// Registers it, read when scraped.
pub(crate) fn register(metrics: &Metrics, bodies: BodyMemory) {
    metrics.register(|to| to.register_collector(Box::new(Bodies(bodies))));
}

struct Bodies(BodyMemory);

impl fmt::Debug for Bodies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Bodies").field(&self.0.used()).finish()
    }
}

impl Collector for Bodies {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for (name, help, bytes) in [
            (
                "body_memory_used_bytes",
                "Memory that bodies of requests in flight take",
                self.0.used(),
            ),
            ("body_memory_limit_bytes", "What they may take at most", self.0.limit()),
        ] {
            let gauge = ConstGauge::new(i64::try_from(bytes).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}
