//! What `fuzz/` calls.

use crate::{
    api::{events::EventsRequest, items::ItemContent, rank::RankRequest},
    body,
    validate::Errors,
};

/// Reads a body as each request that has one, as far as no other part of the process is needed.
pub fn read_body(bytes: &[u8]) {
    if let Ok(request) = body::parse::<RankRequest<'_>>(bytes) {
        let mut errors = Errors::default();
        request.filter.iter().for_each(|filter| errors.filter("/filter", filter));
        if let Some(context) = &request.context {
            errors.features("context.features", &context.features);
        }
    }
    let _ = body::parse::<EventsRequest<'_>>(bytes);
    let _ = body::parse::<ItemContent>(bytes);
}
