//! Whom an experiment is for.

use serde::{Deserialize, Serialize};

use crate::assignment::{Subject, SubjectFeature};

/// Whom an experiment is for. Everybody, if nothing is said.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Target {
    /// Surfaces; none for all of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub surfaces: Vec<String>,
    /// Conditions that all hold.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub must: Vec<UserCondition>,
    /// Conditions none of which holds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub must_not: Vec<UserCondition>,
}

impl Target {
    pub(crate) fn matches(&self, subject: &Subject<'_>) -> bool {
        let holds = |condition: &UserCondition| {
            let value = subject.features.feature(&condition.feature);
            value.is_some_and(|value| condition.holds(&value))
        };
        (self.surfaces.is_empty() || self.surfaces.iter().any(|name| name == subject.surface))
            && self.must.iter().all(holds)
            && !self.must_not.iter().any(holds)
    }
}

/// A condition on one user feature. All that it says holds; it does not hold for a user without
/// the feature.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UserCondition {
    /// Name of the feature.
    pub feature: String,
    /// The feature, or an entry of its list, is one of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub any: Option<Vec<Scalar>>,
    /// The feature is a number of at least this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gte: Option<f64>,
    /// The feature is a number above this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gt: Option<f64>,
    /// The feature is a number of at most this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lte: Option<f64>,
    /// The feature is a number below this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lt: Option<f64>,
}

impl UserCondition {
    pub(super) fn says_nothing(&self) -> bool {
        let bounds = [self.gte, self.gt, self.lte, self.lt];
        self.any.is_none() && bounds.iter().all(Option::is_none)
    }

    fn holds(&self, value: &SubjectFeature<'_>) -> bool {
        let bounded = |number: f64| {
            self.gte.is_none_or(|bound| number >= bound)
                && self.gt.is_none_or(|bound| number > bound)
                && self.lte.is_none_or(|bound| number <= bound)
                && self.lt.is_none_or(|bound| number < bound)
        };
        let bounds = [self.gte, self.gt, self.lte, self.lt];
        let in_bounds = match value {
            SubjectFeature::Number(number) => bounded(*number),
            SubjectFeature::Text(_) | SubjectFeature::Texts(_) => {
                bounds.iter().all(Option::is_none)
            }
        };
        in_bounds && self.any.as_ref().is_none_or(|any| any.iter().any(|one| one.is(value)))
    }
}

/// A text or a number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "neither a text nor a number")]
pub enum Scalar {
    /// A number.
    Number(f64),
    /// A text.
    Text(String),
}

impl Scalar {
    fn is(&self, value: &SubjectFeature<'_>) -> bool {
        match (self, value) {
            (Self::Number(one), SubjectFeature::Number(other)) => one == other,
            (Self::Text(one), SubjectFeature::Text(other)) => one == other,
            (Self::Text(one), SubjectFeature::Texts(others)) => others.contains(&one.as_str()),
            _ => false,
        }
    }
}
