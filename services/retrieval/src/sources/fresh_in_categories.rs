//! New in the categories the user clicked last.

use plugrank_items::CategoryIndex;

use crate::{
    RetrievalOptions,
    answer::Answer,
    options::Quota,
    sources::{Found, RetrievalSource, SourceRequest, newest, take_unblocked},
};

/// Latest clicks whose main categories count.
const CLICKS: usize = 10;
/// New items looked at for each that is wanted: where a category has few new ones, there are few.
const LOOKED_AT: usize = 10;

/// Names the newest items of the main categories of the user's latest clicks: what is new everywhere
/// says little to a user who buys shoes. A user without clicks gets none.
pub(crate) struct FreshInCategories;

impl RetrievalSource for FreshInCategories {
    const NAME: &'static str = "fresh_in_categories";
    const QUOTA: Quota = Quota { share: 0.0, weight: 1.0 };

    fn new(_: &RetrievalOptions) -> Self {
        Self
    }

    fn retrieve<'a>(&'a self, request: SourceRequest<'a>, enough: usize) -> Answer<'a, Found> {
        let SourceRequest { view, query, .. } = request;
        let clicks = match query.clicks() {
            Ok(clicks) => &clicks[..clicks.len().min(CLICKS)],
            Err(reason) => return Answer::Now(Err(reason)),
        };
        let main = |category: Option<&CategoryIndex>| category.copied();
        let mut clicked = Vec::with_capacity(clicks.len());
        clicked
            .extend(clicks.iter().filter_map(|click| main(view.categories(click.index?).first())));
        if clicked.is_empty() {
            return Answer::Now(Ok(Vec::new()));
        }
        let ranking = newest(request).take(enough * LOOKED_AT).filter(|index| {
            main(view.categories(*index).first()).is_some_and(|one| clicked.contains(&one))
        });
        Answer::Now(Ok(take_unblocked(ranking, query, enough)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{FreshInCategories, RetrievalSource};
    use crate::{
        RetrievalOptions,
        answer::Answer,
        query::{Click, RetrievalQuery},
        sources::SourceRequest,
        testing::{Fixture, item, put},
    };

    #[test]
    fn only_new_items_of_clicked_categories_are_found() {
        let fixture = Fixture::new();
        let items = &fixture.state.items;
        let [shoe, hat, newer_shoe, newest_hat, future_shoe] = [
            ("shoe", "shoes", 1),
            ("hat", "hats", 2),
            ("newer-shoe", "shoes", 3),
            ("newest-hat", "hats", 4),
            ("future-shoe", "shoes", 50),
        ]
        .map(|(id, category, at)| put(items, &item(id, &[category, "sale"], Some(at))));
        let view = items.view();
        let found = |clicks: &[u32]| {
            let clicks = clicks.iter().map(|index| Click { entry: 0, index: Some(*index) });
            let query = Arc::new(RetrievalQuery {
                clicks: clicks.collect(),
                as_of: 10,
                ..RetrievalQuery::default()
            });
            let request = SourceRequest { state: &fixture.state, view: &view, query: &query };
            let source = FreshInCategories::new(&RetrievalOptions::default());
            match source.retrieve(request, 5) {
                Answer::Now(found) => found.unwrap(),
                Answer::Later(_) => panic!("there is nothing to wait for"),
            }
        };
        assert_eq!(found(&[shoe]), [newer_shoe, shoe]);
        assert_eq!(found(&[future_shoe, hat]), [newest_hat, newer_shoe, hat, shoe]);
        assert_eq!(found(&[]), [0; 0]);
    }
}
