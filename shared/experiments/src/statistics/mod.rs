//! What came of an experiment.
//!
//! Rows (arm, unit, exposures, outcomes, value, pre-period covariate) are added up by unit in a
//! [`Collector`]; units become [`Moments`] of an arm, which merge; from moments alone come means,
//! ratios, CUPED, intervals and p-values. The unit of every variance is the assigned unit, not the
//! exposure: exposures of one user are not independent.

mod catalog;
mod collect;
mod comparison;
mod estimate;
mod fixed;
mod guardrail;
mod moments;
mod power;
mod quantities;
mod results;
mod sample_ratio;
mod sequential;

pub use catalog::ShownItems;
pub use collect::{CatalogShown, Collected, Collector, Row, Schema};
pub use comparison::{Comparison, Interval};
pub(crate) use estimate::linearised;
pub use estimate::{Estimate, Measure, Metric};
pub use fixed::{FixedTest, welch};
pub use guardrail::{GuardrailResult, GuardrailVerdict};
pub use moments::Moments;
pub use power::{Power, power};
pub use results::{ArmResult, MetricResult, Results, ResultsOptions, TaskSum, results};
pub use sample_ratio::{SAMPLE_RATIO_ALPHA, SampleRatio, sample_ratio};
pub use sequential::Sequential;
