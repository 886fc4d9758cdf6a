//! What the manifest says of features.

use plugrank_contract::TensorDtype;
use serde::{Deserialize, Serialize};

/// Feature schema.
///
/// ```
/// use plugrank_bundle::manifest::Features;
///
/// let json = r#"{"item": [{"name": "brand", "column": "brand", "vocab": "brand.txt", "length": 1}], "user": []}"#;
/// let features: Features = serde_json::from_str(json).unwrap();
/// let all: Vec<_> = features.all().map(|(owner, feature)| (owner, &*feature.name)).collect();
/// assert_eq!(all, [("item", "brand")]);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Features {
    /// Features of items.
    pub item: Vec<Feature>,
    /// Features of users.
    pub user: Vec<Feature>,
    /// Features of the request: what its caller says of the situation, and what follows from its time.
    #[serde(default)]
    pub request: Vec<Feature>,
    /// Features that the caller gives of each candidate.
    #[serde(default)]
    pub candidate: Vec<Feature>,
    /// What is read of each entry of a history beside its item, label and time: [`ACTION`], [`VALUE`].
    #[serde(default)]
    pub history: Vec<Feature>,
}

/// What a user did: the type of an event, or the data set's column of this name.
pub const ACTION: &str = "action";
/// How much of it: the value of an event, or the data set's column of this name.
pub const VALUE: &str = "value";

impl Features {
    /// All of them, each with what it is of.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, &Feature)> {
        let Self { item, user, request, candidate, history } = self;
        let groups = [
            ("item", item),
            ("user", user),
            ("request", request),
            ("candidate", candidate),
            ("history", history),
        ];
        groups.into_iter().flat_map(|(of, features)| features.iter().map(move |one| (of, one)))
    }
}

/// A feature: which column, and how its values become what graphs read.
///
/// ```
/// use plugrank_bundle::{
///     TensorDtype,
///     manifest::{Feature, FeatureKind, Observed, Transform},
/// };
///
/// let json = r#"{"name": "price", "column": "price", "kind": "number", "length": 1,
///     "transform": {"buckets": [10.0, 100.0]}, "observed": {"missing": 0.02}}"#;
/// let feature: Feature = serde_json::from_str(json).unwrap();
/// assert_eq!((feature.column(), feature.kind), (Some("price"), FeatureKind::Number));
/// assert_eq!(feature.transform, Some(Transform::Buckets(vec![10.0, 100.0])));
/// assert_eq!(feature.dtype(), TensorDtype::I64, "a graph reads the bucket, not the number");
/// assert_eq!(feature.observed, Some(Observed { missing: 0.02, unknown: 0.0 }));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feature {
    /// Name in the graphs' sources.
    pub name: String,
    /// Column of the dataset folder, and the name by which callers give it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// What of the request's time it is, in place of a column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub derive: Option<Derive>,
    /// Whether values are looked up or counted with.
    #[serde(default)]
    pub kind: FeatureKind,
    /// Of a category: file with one value a line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vocab: Option<String>,
    /// How many values it has: 1, or the length a list is cut or padded to.
    pub length: usize,
    /// Of a number: what is done to it first; nothing when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transform: Option<Transform>,
    /// Of a number that is not bucketed: what stands for a missing value and for padding, after the
    /// transform; 0 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<f32>,
    /// What training saw of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed: Option<Observed>,
}

impl Feature {
    /// What graphs read of it: f32 for a number that is not bucketed, else ids.
    #[must_use]
    pub fn dtype(&self) -> TensorDtype {
        match (self.kind, &self.transform) {
            (FeatureKind::Category, _) | (FeatureKind::Number, Some(Transform::Buckets(_))) => {
                TensorDtype::I64
            }
            (FeatureKind::Number, _) => TensorDtype::F32,
        }
    }

    /// The column it is read from; `None` where it is derived.
    #[must_use]
    pub fn column(&self) -> Option<&str> {
        self.column.as_deref()
    }
}

/// Whether a feature's values are looked up or counted with.
///
/// [`Feature`] has an example.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeatureKind {
    /// Values of a vocabulary. Numbers are looked up by their decimal text.
    #[default]
    Category,
    /// Numbers.
    Number,
}

impl FeatureKind {
    /// As the manifest has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Category => "category",
            Self::Number => "number",
        }
    }
}

/// What of a request's time a feature is.
///
/// ```
/// use plugrank_bundle::manifest::{Derive, Feature};
///
/// let json = r#"{"name": "hour", "derive": "hour", "vocab": "hour.txt", "length": 1}"#;
/// let feature: Feature = serde_json::from_str(json).unwrap();
/// assert_eq!((feature.derive, feature.column()), (Some(Derive::Hour), None));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Derive {
    /// The hour of the day, 0 to 23.
    Hour,
    /// The day of the week, Monday 0.
    Weekday,
}

/// What is done to a number before a graph reads it, in f64, rounded once.
///
/// [`Feature`] has an example.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transform {
    /// Nothing.
    None,
    /// `sign(x) * ln(1 + |x|)`.
    Log1p,
    /// `(x - mean) / std`.
    Standard {
        /// Subtracted.
        mean: f64,
        /// Divided by; above 0.
        std: f64,
    },
    /// `1 +` how many of these, ascending, are at most x.
    Buckets(Vec<f64>),
}

/// What training saw of a feature.
///
/// [`Feature`] has an example.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observed {
    /// Share of rows without a value.
    pub missing: f64,
    /// Share of rows with a value outside the vocabulary.
    #[serde(default)]
    pub unknown: f64,
}
