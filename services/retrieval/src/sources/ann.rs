//! Nearest neighbours of the user's clicks.

use std::sync::Arc;

use crate::{
    RetrievalOptions,
    answer::Answer,
    index::VectorIndex,
    options::Quota,
    sources::{Found, RetrievalSource, SourceRequest},
};

/// Names the items nearest to the mean of the user's clicks, and those nearest to each of the
/// latest few, in turn: a mean alone falls between a user's several interests. A user without
/// clicks gets none.
pub(crate) struct Ann;

impl RetrievalSource for Ann {
    const NAME: &'static str = "ann";
    const QUOTA: Quota = Quota { share: 0.5, weight: 1.0 };

    fn new(_: &RetrievalOptions) -> Self {
        Self
    }

    fn retrieve<'a>(&'a self, request: SourceRequest<'a>, enough: usize) -> Answer<'a, Found> {
        match request.query.clicks() {
            Err(reason) => return Answer::Now(Err(reason)),
            Ok([]) => return Answer::Now(Ok(Vec::new())),
            Ok(_) => {}
        }
        let Some(index) = request.state.index.load_full() else {
            return Answer::Now(match request.state.engine {
                None => Ok(Vec::new()),
                Some(_) => Err("the vector engine has no vectors of this bundle yet".to_owned()),
            });
        };
        let index: Arc<dyn VectorIndex> = Arc::clone(&index.vectors);
        let SourceRequest { query, view, .. } = request;
        index.nearest_to_clicks(query, view, enough).map(|found| found.map_err(|e| e.to_string()))
    }
}
