//! What `fuzz/` calls.

use serde::Deserialize;

use crate::{
    api::{
        events::EventsRequest,
        items::{ItemChanges, ItemContent},
        rank::RankRequest,
        users::{UserChanges, UserContent},
    },
    body,
    validate::Errors,
};

/// Reads a body as each request that has one, as far as no other part of the process is needed.
pub fn read_body(bytes: &[u8]) {
    if let Some(request) = parsed::<RankRequest<'_>>(bytes) {
        let mut errors = Errors::default();
        request.filter.iter().for_each(|filter| errors.filter("/filter", filter));
        if let Some(context) = &request.context {
            errors.features("context.features", &context.features);
        }
        let _ = errors.none_or(());
    }
    parsed::<EventsRequest<'_>>(bytes);
    parsed::<UserContent>(bytes);
    parsed::<UserChanges>(bytes);
    parsed::<ItemChanges>(bytes);
    if let Some(content) = parsed::<ItemContent>(bytes) {
        let mut errors = Errors::default();
        errors.features("features", &content.features);
        let _ = errors.none_or(());
    }
}

/// A body, or a problem that says which field is wrong.
fn parsed<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<T> {
    match body::parse(bytes) {
        Ok(value) => Some(value),
        Err(problem) => {
            assert!(problem.field.is_some() && problem.status == 400, "{problem}");
            None
        }
    }
}
