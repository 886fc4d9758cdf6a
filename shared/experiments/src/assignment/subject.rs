//! Whom the question of arms is about.

use std::fmt;

/// What is known about a request when its arms are found.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// The user.
    pub user_id: &'a str,
    /// The request.
    pub request_id: &'a str,
    /// The surface it is for.
    pub surface: &'a str,
    /// Features of the user; asked for only by experiments that have conditions.
    pub features: &'a dyn UserFeatures,
}

impl fmt::Debug for Subject<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Subject")
            .field("user_id", &self.user_id)
            .field("request_id", &self.request_id)
            .field("surface", &self.surface)
            .finish_non_exhaustive()
    }
}

/// Features of a user by name. `()` has none.
pub trait UserFeatures {
    /// The value of the feature, if the user has it.
    fn feature(&self, name: &str) -> Option<SubjectFeature<'_>>;
}

impl UserFeatures for () {
    fn feature(&self, _name: &str) -> Option<SubjectFeature<'_>> {
        None
    }
}

/// The value of a user feature.
#[derive(Clone, Debug, PartialEq)]
pub enum SubjectFeature<'a> {
    /// A number.
    Number(f64),
    /// A text.
    Text(&'a str),
    /// A list of texts.
    Texts(Vec<&'a str>),
}
