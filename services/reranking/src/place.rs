//! A filled place, and what put a candidate there.

use plugrank_contract::retrieval::Name;

/// What a place says that goes by its value alone.
pub const RANKED: Name = Name::Borrowed("ranked");
/// What a place says that was given in spite of a rule, because nothing else was left.
pub const CAP_RELAXED: Name = Name::Borrowed("cap_relaxed");

/// A filled place.
#[derive(Clone, Debug, PartialEq)]
pub struct FilledPlace {
    /// Which candidate, by its place in the order by value.
    pub item: usize,
    /// What the order goes by; never above that of the place before.
    pub score: f32,
    /// What put it there.
    pub rule: Name,
    /// With which probability it was put there, given the places before; `None` where nothing is drawn.
    pub propensity: Option<f32>,
}
