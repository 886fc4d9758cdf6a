//! New in the catalog.

use crate::{
    RetrievalOptions,
    answer::Answer,
    options::Quota,
    sources::{Found, RetrievalSource, SourceRequest, newest, take_unblocked},
};

/// Names the newest items as of the moment of the request. An item without a time of creation is
/// never new.
pub(crate) struct Fresh;

impl RetrievalSource for Fresh {
    const NAME: &'static str = "fresh";
    const QUOTA: Quota = Quota { share: 0.1, weight: 1.0 };

    fn new(_: &RetrievalOptions) -> Self {
        Self
    }

    fn retrieve<'a>(&'a self, request: SourceRequest<'a>, enough: usize) -> Answer<'a, Found> {
        let query = request.query;
        Answer::Now(Ok(take_unblocked(newest(request), query, enough)))
    }
}
