//! Where a graph input comes from.

use std::{fmt, str::FromStr};

use plugrank_contract::TensorDtype;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The graphs a bundle may hold.
///
/// ```
/// use plugrank_bundle::{GraphName, InputSource};
///
/// assert_eq!(GraphName::Unified.as_str(), "unified");
/// assert!("history.mask".parse::<InputSource>().is_ok());
/// assert!("history.weather".parse::<InputSource>().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GraphName {
    /// Text to vector.
    TextEncoder,
    /// Image to vector.
    ImageEncoder,
    /// Item to item record.
    ItemEncoder,
    /// History to user state.
    UserEncoder,
    /// The unified model's part that is computed per candidate.
    Unified,
    /// The ID-based host alone.
    Idrec,
}

impl GraphName {
    /// Name in the manifest.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TextEncoder => "text_encoder",
            Self::ImageEncoder => "image_encoder",
            Self::ItemEncoder => "item_encoder",
            Self::UserEncoder => "user_encoder",
            Self::Unified => "unified",
            Self::Idrec => "idrec",
        }
    }

    /// Forms of source its inputs may have.
    #[must_use]
    pub const fn sources(self) -> &'static [&'static str] {
        match self {
            Self::TextEncoder => &["text.token_ids", "text.mask"],
            Self::ImageEncoder => &["image.pixels"],
            Self::ItemEncoder => &["item.modal", "item.modal_present", "item.feature.NAME"],
            Self::UserEncoder => &[
                "history.item.OUTPUT",
                "history.feature.NAME",
                "history.label",
                "history.age_bucket",
                "history.action",
                "history.value",
                "history.mask",
                "user.feature.NAME",
            ],
            Self::Unified => &[
                "user.state.OUTPUT",
                "candidate.item.OUTPUT",
                "candidate.feature.NAME",
                "candidate.given.NAME",
                "history.mask",
                "history.length",
                "request.feature.NAME",
                "request.recency_bucket",
            ],
            Self::Idrec => &[
                "history.feature.NAME",
                "history.label",
                "history.age_bucket",
                "history.action",
                "history.value",
                "history.mask",
                "history.length",
                "user.feature.NAME",
                "candidate.feature.NAME",
                "candidate.given.NAME",
                "request.feature.NAME",
                "request.recency_bucket",
            ],
        }
    }
}

impl fmt::Display for GraphName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What fills a graph input. See `docs/bundle-format.md`.
///
/// ```
/// use plugrank_bundle::{GraphName, InputSource};
///
/// let source: InputSource = "candidate.feature.brand".parse().unwrap();
/// assert_eq!(source, InputSource::CandidateFeature("brand".to_owned()));
/// assert!(source.allowed_in(GraphName::Unified) && !source.allowed_in(GraphName::UserEncoder));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum InputSource {
    /// Token ids of a text. i64 `[batch, tokens]`.
    TextTokenIds,
    /// 1 for a token, 0 for padding. i64 `[batch, tokens]`.
    TextMask,
    /// Normalised pixels. f32 `[batch, 3, height, width]`.
    ImagePixels,
    /// Modal vector, zero where absent. f32 `[items, modal.dim]`.
    ItemModal,
    /// 1 for each part there is. f32 `[items, parts]`.
    ItemModalPresent,
    /// An item's feature. i64 `[items]` or `[items, length]`.
    ItemFeature(String),
    /// An output of `item_encoder` for each history item. `[users, history, d]`.
    HistoryItem(String),
    /// A feature of each history item. `[users, history]` or with a length.
    HistoryFeature(String),
    /// 1 clicked, 0 not. i64 `[users, history]`.
    HistoryLabel,
    /// Bucket of the interval to the newest entry. i64 `[users, history]`.
    HistoryAgeBucket,
    /// What was done, an id of the manifest's vocabulary. i64 `[users, history]`.
    HistoryAction,
    /// How much, a number after its transform. `[users, history]`.
    HistoryValue,
    /// 1 for an entry, 0 for padding. f32 `[users, history]`.
    HistoryMask,
    /// Entries of the history. i64 `[users]`.
    HistoryLength,
    /// A user's feature. `[users]` or `[users, length]`.
    UserFeature(String),
    /// An output of `user_encoder`.
    UserState(String),
    /// An output of `item_encoder` for each candidate. `[users, candidates, d]`.
    CandidateItem(String),
    /// A feature of each candidate. `[users, candidates]` or with a length.
    CandidateFeature(String),
    /// What the caller gives of each candidate. `[users, candidates]` or with a length.
    CandidateGiven(String),
    /// A feature of the request. `[users]` or with a length.
    RequestFeature(String),
    /// Bucket of the time since the newest history entry. i64 `[users]`.
    RequestRecencyBucket,
}

impl InputSource {
    /// Type and dimensions, where no manifest is needed to tell them.
    pub(crate) const fn fixed_shape(&self) -> Option<(TensorDtype, &'static [&'static str])> {
        use TensorDtype::{F32, I64};
        match self {
            Self::TextTokenIds | Self::TextMask => Some((I64, &["batch", "tokens"])),
            Self::HistoryLabel | Self::HistoryAgeBucket => Some((I64, &["users", "history"])),
            Self::HistoryMask => Some((F32, &["users", "history"])),
            Self::HistoryLength | Self::RequestRecencyBucket => Some((I64, &["users"])),
            _ => None,
        }
    }

    /// Whether inputs of `graph` may come from here.
    #[must_use]
    pub fn allowed_in(&self, graph: GraphName) -> bool {
        let text = self.to_string();
        graph.sources().iter().any(|form| match form.rsplit_once('.') {
            Some((prefix, "NAME" | "OUTPUT")) => {
                text.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('.'))
            }
            _ => text == *form,
        })
    }
}

/// No source has this form.
///
/// ```
/// use plugrank_bundle::InputSource;
///
/// let error = "history.weather".parse::<InputSource>().unwrap_err().to_string();
/// assert!(error.starts_with("unknown source `history.weather`"), "{error}");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown source `{0}`; see the table of graphs in docs/bundle-format.md")]
pub struct UnknownSource(String);

impl FromStr for InputSource {
    type Err = UnknownSource;

    fn from_str(text: &str) -> Result<Self, UnknownSource> {
        let plain = match text {
            "text.token_ids" => Some(Self::TextTokenIds),
            "text.mask" => Some(Self::TextMask),
            "image.pixels" => Some(Self::ImagePixels),
            "item.modal" => Some(Self::ItemModal),
            "item.modal_present" => Some(Self::ItemModalPresent),
            "history.label" => Some(Self::HistoryLabel),
            "history.age_bucket" => Some(Self::HistoryAgeBucket),
            "history.action" => Some(Self::HistoryAction),
            "history.value" => Some(Self::HistoryValue),
            "history.mask" => Some(Self::HistoryMask),
            "history.length" => Some(Self::HistoryLength),
            "request.recency_bucket" => Some(Self::RequestRecencyBucket),
            _ => None,
        };
        if let Some(source) = plain {
            return Ok(source);
        }
        type Named = (&'static str, fn(String) -> InputSource);
        let named: [Named; 9] = [
            ("item.feature.", Self::ItemFeature),
            ("history.item.", Self::HistoryItem),
            ("history.feature.", Self::HistoryFeature),
            ("user.feature.", Self::UserFeature),
            ("user.state.", Self::UserState),
            ("candidate.item.", Self::CandidateItem),
            ("candidate.feature.", Self::CandidateFeature),
            ("candidate.given.", Self::CandidateGiven),
            ("request.feature.", Self::RequestFeature),
        ];
        named
            .into_iter()
            .find_map(|(prefix, make)| {
                text.strip_prefix(prefix)
                    .filter(|name| !name.is_empty())
                    .map(|name| make(name.to_owned()))
            })
            .ok_or_else(|| UnknownSource(text.to_owned()))
    }
}

impl fmt::Display for InputSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TextTokenIds => f.write_str("text.token_ids"),
            Self::TextMask => f.write_str("text.mask"),
            Self::ImagePixels => f.write_str("image.pixels"),
            Self::ItemModal => f.write_str("item.modal"),
            Self::ItemModalPresent => f.write_str("item.modal_present"),
            Self::ItemFeature(name) => write!(f, "item.feature.{name}"),
            Self::HistoryItem(name) => write!(f, "history.item.{name}"),
            Self::HistoryFeature(name) => write!(f, "history.feature.{name}"),
            Self::HistoryLabel => f.write_str("history.label"),
            Self::HistoryAgeBucket => f.write_str("history.age_bucket"),
            Self::HistoryAction => f.write_str("history.action"),
            Self::HistoryValue => f.write_str("history.value"),
            Self::HistoryMask => f.write_str("history.mask"),
            Self::HistoryLength => f.write_str("history.length"),
            Self::UserFeature(name) => write!(f, "user.feature.{name}"),
            Self::UserState(name) => write!(f, "user.state.{name}"),
            Self::CandidateItem(name) => write!(f, "candidate.item.{name}"),
            Self::CandidateFeature(name) => write!(f, "candidate.feature.{name}"),
            Self::CandidateGiven(name) => write!(f, "candidate.given.{name}"),
            Self::RequestFeature(name) => write!(f, "request.feature.{name}"),
            Self::RequestRecencyBucket => f.write_str("request.recency_bucket"),
        }
    }
}

impl Serialize for InputSource {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for InputSource {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::{GraphName, InputSource};

    #[test]
    fn source_names_round_trip() {
        for text in
            ["text.mask", "history.action", "history.item.item_vector", "candidate.feature.item_id"]
        {
            assert_eq!(text.parse::<InputSource>().unwrap().to_string(), text);
        }
        for text in ["history.item.", "item.vector", "user.state", ""] {
            assert!(text.parse::<InputSource>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_graph_takes_only_its_own_sources() {
        let source: InputSource = "history.item.item_vector".parse().unwrap();
        assert!(source.allowed_in(GraphName::UserEncoder));
        assert!(!source.allowed_in(GraphName::Unified));
        let mask: InputSource = "history.mask".parse().unwrap();
        assert!(mask.allowed_in(GraphName::Unified) && !mask.allowed_in(GraphName::ItemEncoder));
    }
}
