//! Popular overall.

use crate::{
    RetrievalOptions,
    answer::Answer,
    options::Quota,
    sources::{Found, RetrievalSource, SourceRequest, take_unblocked},
};

/// Names the items that are clicked most.
pub(crate) struct Popular;

impl RetrievalSource for Popular {
    const NAME: &'static str = "popular";
    const QUOTA: Quota = Quota { share: 0.2, weight: 1.0 };

    fn new(_: &RetrievalOptions) -> Self {
        Self
    }

    fn retrieve<'a>(&'a self, request: SourceRequest<'a>, enough: usize) -> Answer<'a, Found> {
        let SourceRequest { state, view, query } = request;
        let lists = state.popularity.lists();
        let ranking = query.few().unwrap_or(&lists.overall).iter().copied();
        // The lists may be some seconds old.
        let ranking = ranking.filter(|index| view.available(*index) && query.wants(*index));
        Answer::Now(Ok(take_unblocked(ranking, query, enough)))
    }
}
