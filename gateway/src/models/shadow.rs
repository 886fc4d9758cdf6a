//! The shadow: which requests another model ranks too, and how the two answers compare.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use plugrank_contract::ItemId;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::{Family, MetricConstructor},
        histogram::{Histogram, exponential_buckets, linear_buckets},
    },
    registry::Registry,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use crate::metrics::register_all;

/// Ranks in the shadow at a time: it never takes more than a part of one core of those that serve.
const AT_A_TIME: usize = 1;
/// Items that both answers must have for their order to be compared.
const LEAST_COMMON: usize = 3;

/// What a ranking in the shadow needs, and its result.
pub(crate) struct Shadow {
    /// Bits of an `f64`, so that it can be changed.
    share: AtomicU64,
    free: Arc<Semaphore>,
    metrics: ShadowMetrics,
}

/// An answer, for the comparison: items in their order with their probabilities.
pub(crate) type Answer = Vec<(ItemId, Option<f32>)>;

/// What a model in the shadow answered.
pub(crate) struct ShadowAnswer {
    pub(crate) answer: Answer,
    /// How long it took.
    pub(crate) seconds: f64,
    /// Share of what it scored whose vectors were not there.
    pub(crate) missing: f64,
}

impl Shadow {
    pub(crate) fn new(share: f64, registry: &mut Registry) -> Self {
        let free = Arc::new(Semaphore::new(AT_A_TIME));
        let share = share.to_bits().into();
        Self { share, free, metrics: ShadowMetrics::register(registry) }
    }

    /// Has another share of requests ranked in the shadow.
    pub(crate) fn set_share(&self, share: f64) {
        self.share.store(share.to_bits(), Ordering::Relaxed);
    }

    /// Leave to rank in the shadow of a model now; none where it is busy, which is counted.
    pub(crate) fn leave(&self, model: &str, idle: bool) -> Option<OwnedSemaphorePermit> {
        let permit = Arc::clone(&self.free).try_acquire_owned().ok().filter(|_| idle);
        if permit.is_none() {
            self.metrics.skipped.get_or_create(&ModelLabel::new(model)).inc();
        }
        permit
    }

    /// Compares an answer with that of the model in the shadow; `None` where it had none.
    pub(crate) fn compare(&self, model: &str, answered: &Answer, shadow: Option<&ShadowAnswer>) {
        self.metrics.compared(&ModelLabel::new(model), answered, shadow);
    }

    /// Whether a request is one of the share; by its id, so that it needs no generator.
    pub(crate) fn takes(&self, request: Uuid) -> bool {
        let (_, low) = request.as_u64_pair();
        // The first of its bits are fixed by UUID's versions.
        let place = (low << 2) as f64 / (1_u64 << 63) as f64 / 2.0;
        let share = f64::from_bits(self.share.load(Ordering::Relaxed));
        share > 0.0 && place < share
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ModelLabel {
    model: String,
}

impl ModelLabel {
    fn new(model: &str) -> Self {
        Self { model: model.to_owned() }
    }
}

type Histograms = Family<ModelLabel, Histogram, Buckets>;

/// Bounds of a histogram.
#[derive(Clone, Copy, Debug)]
enum Buckets {
    /// A share, in tenths.
    Share,
    /// A correlation.
    Correlation,
    /// A difference of probabilities.
    Difference,
    Seconds,
}

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        match self {
            Self::Share => Histogram::new(linear_buckets(0.0, 0.1, 11)),
            Self::Correlation => Histogram::new(linear_buckets(-1.0, 0.2, 11)),
            Self::Difference => Histogram::new(exponential_buckets(1e-6, 4.0, 11)),
            Self::Seconds => Histogram::new(exponential_buckets(50e-6, 2.0, 16)),
        }
    }
}

#[derive(Debug)]
struct ShadowMetrics {
    ranked: Family<ModelLabel, Counter>,
    failed: Family<ModelLabel, Counter>,
    skipped: Family<ModelLabel, Counter>,
    overlap: Histograms,
    correlation: Histograms,
    difference: Histograms,
    missing: Histograms,
    seconds: Histograms,
}

impl ShadowMetrics {
    fn register(to: &mut Registry) -> Self {
        let histograms = Histograms::new_with_constructor;
        let ours = Self {
            ranked: Family::default(),
            failed: Family::default(),
            skipped: Family::default(),
            overlap: histograms(Buckets::Share),
            correlation: histograms(Buckets::Correlation),
            difference: histograms(Buckets::Difference),
            missing: histograms(Buckets::Share),
            seconds: histograms(Buckets::Seconds),
        };
        let counts = [
            ("shadow_ranked", "Requests that a model in the shadow ranked too", &ours.ranked),
            ("shadow_failed", "Requests that it could not rank", &ours.failed),
            ("shadow_skipped", "Requests of the share for which nothing was free", &ours.skipped),
        ];
        register_all(to, counts);
        let histograms = [
            ("shadow_overlap", "Share of the items answered that it answered too", &ours.overlap),
            (
                "shadow_rank_correlation",
                "Spearman's correlation of the order of items that both answered",
                &ours.correlation,
            ),
            (
                "shadow_ctr_difference",
                "Absolute difference of the probabilities of an item that both answered",
                &ours.difference,
            ),
            (
                "shadow_missing_share",
                "Share of the candidates it scored whose vectors were not there",
                &ours.missing,
            ),
            ("shadow_seconds", "Time it took", &ours.seconds),
        ];
        register_all(to, histograms);
        ours
    }

    fn compared(&self, model: &ModelLabel, answered: &Answer, shadow: Option<&ShadowAnswer>) {
        let Some(ShadowAnswer { answer: shadow, seconds, missing }) = shadow else {
            self.failed.get_or_create(model).inc();
            return;
        };
        self.ranked.get_or_create(model).inc();
        self.seconds.get_or_create(model).observe(*seconds);
        self.missing.get_or_create(model).observe(*missing);
        let Comparison { overlap, correlation, differences } = compare(answered, shadow);
        self.overlap.get_or_create(model).observe(overlap);
        if let Some(correlation) = correlation {
            self.correlation.get_or_create(model).observe(correlation);
        }
        let difference = self.difference.get_or_create(model);
        differences.into_iter().for_each(|one| difference.observe(one));
    }
}

#[derive(Debug, PartialEq)]
struct Comparison {
    overlap: f64,
    correlation: Option<f64>,
    differences: Vec<f64>,
}

/// Compares two answers by the items that are in both.
fn compare(answered: &Answer, shadow: &Answer) -> Comparison {
    let places: HashMap<&ItemId, (usize, Option<f32>)> =
        shadow.iter().enumerate().map(|(place, (item, ctr))| (item, (place, *ctr))).collect();
    // In the order of the first; the places in the second.
    let common: Vec<(usize, Option<f32>, Option<f32>)> = answered
        .iter()
        .filter_map(|(item, ctr)| places.get(item).map(|(place, other)| (*place, *ctr, *other)))
        .collect();
    let difference = |(_, one, other): &(usize, Option<f32>, Option<f32>)| {
        Some(f64::from((one.as_ref()? - other.as_ref()?).abs()))
    };
    let mut order: Vec<usize> = (0..common.len()).collect();
    order.sort_unstable_by_key(|at| common[*at].0);
    // Spearman: 1 - 6 sum d^2 / (n (n^2 - 1)), without ties.
    let n = common.len() as f64;
    let squares = order.iter().enumerate().map(|(rank, at)| (rank as f64 - *at as f64).powi(2));
    let squares: f64 = squares.sum();
    Comparison {
        overlap: common.len() as f64 / answered.len().max(1) as f64,
        correlation: (common.len() >= LEAST_COMMON)
            .then(|| 1.0 - 6.0 * squares / (n * (n * n - 1.0))),
        differences: common.iter().filter_map(difference).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(items: &[(&str, f32)]) -> Answer {
        items.iter().map(|(item, ctr)| (ItemId::from(*item), Some(*ctr))).collect()
    }

    #[test]
    fn equal_lists_correlate_and_reversed_lists_anticorrelate() {
        let one = list(&[("a", 0.5), ("b", 0.25), ("c", 0.125)]);
        let whole = Comparison { overlap: 1.0, correlation: Some(1.0), differences: vec![0.0; 3] };
        assert_eq!(compare(&one, &one), whole);
        let reversed: Answer = one.iter().rev().cloned().collect();
        assert_eq!(compare(&one, &reversed).correlation, Some(-1.0));
    }

    #[test]
    fn only_items_of_both_lists_are_compared() {
        let one = list(&[("a", 0.5), ("x", 0.4), ("b", 0.25), ("c", 0.25)]);
        let other = list(&[("b", 0.5), ("a", 0.25), ("y", 0.2), ("c", 0.25)]);
        let Comparison { overlap, correlation, differences } = compare(&one, &other);
        // Places 0, 1, 2 against 1, 0, 2: 1 - 6 * 2 / (3 * 8).
        assert_eq!((overlap, correlation), (0.75, Some(0.5)));
        assert_eq!(differences, [0.25, 0.25, 0.0]);
        let none = Comparison { overlap: 0.0, correlation: None, differences: vec![] };
        assert_eq!(compare(&one, &Vec::new()), none);
    }

    #[test]
    fn the_sampled_share_of_requests_matches_the_setting() {
        let taken = |share| {
            let shadow = Shadow::new(share, &mut Registry::default());
            let ids = (0..2_000_u64)
                .map(|n| Uuid::from_u64_pair(0, n.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
            ids.filter(|id| shadow.takes(*id)).count()
        };
        assert_eq!((taken(0.0), taken(1.0)), (0, 2_000));
        assert!((150..250).contains(&taken(0.1)), "{}", taken(0.1));
    }
}
