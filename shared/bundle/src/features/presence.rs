//! Whether a feature has a value.

/// What was found of a feature.
///
/// [`Seen::add`](super::Seen::add) counts them; [`Seen`](super::Seen) has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// A value that the model knows.
    Known,
    /// A value outside the vocabulary.
    Unknown,
    /// Nothing.
    Missing,
}
