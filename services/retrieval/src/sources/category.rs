//! Popular in the user's categories.

use std::cmp::Reverse;

use plugrank_contract::ItemIndex;
use plugrank_items::{CategoryIndex, View};

use crate::{
    RetrievalOptions,
    answer::Answer,
    index_set::IndexMap,
    merge::{RankedLists, fuse_items},
    options::Quota,
    query::RetrievalQuery,
    sources::{Found, RetrievalSource, SourceRequest, until_enough},
};

/// Names what is popular in the categories the user clicks most, each in proportion to its clicks.
/// For a user without clicks, what is most popular in each category in turn, so that a user unknown
/// is shown the breadth of the catalog.
pub(crate) struct Category;

impl RetrievalSource for Category {
    const NAME: &'static str = "category";
    const QUOTA: Quota = Quota { share: 0.2, weight: 1.0 };

    fn new(_: &RetrievalOptions) -> Self {
        Self
    }

    fn retrieve<'a>(&'a self, request: SourceRequest<'a>, enough: usize) -> Answer<'a, Found> {
        Answer::Now(request.query.clicks().map(|_| popular_in_categories(request, enough)))
    }
}

fn popular_in_categories(request: SourceRequest<'_>, enough: usize) -> Vec<u32> {
    let SourceRequest { state, view, query } = request;
    let lists = state.popularity.lists();
    let mut tastes = top_categories(query, view, state.options.category.categories);
    if tastes.is_empty() {
        tastes = lists.categories.iter().take(enough).map(|&category| (category, 1)).collect();
    }
    let clicks: u64 = tastes.iter().map(|(_, clicks)| clicks).sum();
    let room = enough + tastes.len() + query.seen.len();
    let mut ranked = RankedLists::with_room(tastes.len(), room);
    for &(category, count) in &tastes {
        let share = (enough as u64 * count).div_ceil(clicks.max(1)) as usize;
        let (whole, few) = match query.few() {
            // A list has no room for all that is in a category, and few of them may be wanted.
            Some(few) => (&[][..], few),
            None => {
                (lists.by_category.get(category as usize).map_or(&[][..], |list| list), &[][..])
            }
        };
        let in_category = |index: &ItemIndex| view.categories(*index).contains(&category);
        let ranking = whole.iter().copied().chain(few.iter().copied().filter(in_category));
        let wanted = |index: &ItemIndex| view.available(*index) && query.wants(*index);
        ranked.add_weighing(count as f64, until_enough(ranking.filter(wanted), query, share));
    }
    fuse_items(&ranked)
}

/// The user's categories with how often they were clicked, most often first; among equals the one
/// clicked later.
fn top_categories(
    query: &RetrievalQuery,
    view: &View<'_>,
    count: usize,
) -> Vec<(CategoryIndex, u64)> {
    struct Taste {
        category: CategoryIndex,
        clicks: u64,
        latest: usize,
    }
    // Users click in few categories; a map this large need not grow for most of them.
    let mut places: IndexMap<u32> = IndexMap::with_room(64);
    let mut tastes: Vec<Taste> = Vec::with_capacity(64);
    for (latest, click) in query.clicks.iter().enumerate() {
        let Some(index) = click.index else { continue };
        for &category in view.categories(index) {
            let (place, new) = places.get_or_put(category, tastes.len() as u32);
            if new {
                tastes.push(Taste { category, clicks: 0, latest });
            }
            if let Some(taste) = tastes.get_mut(place as usize) {
                taste.clicks += 1;
            }
        }
    }
    tastes.sort_unstable_by_key(|taste| (Reverse(taste.clicks), taste.latest, taste.category));
    tastes.iter().take(count).map(|taste| (taste.category, taste.clicks)).collect()
}

#[cfg(test)]
mod tests {
    use super::top_categories;
    use crate::{
        query::{Click, RetrievalQuery},
        testing::{item, table},
    };

    #[test]
    fn categories_sort_by_clicks_then_by_latest_click() {
        let items = [("a", &["x", "y"][..]), ("b", &["z"]), ("c", &["y"])];
        let items = table(items.map(|(id, categories)| item(id, categories, None)));
        let view = items.view();
        let click = |id: &str| Click { entry: 0, index: view.index_of(id) };
        let query = RetrievalQuery {
            clicks: ["b", "gone", "a", "c"].map(click).to_vec(),
            ..RetrievalQuery::default()
        };
        // x, y and z are 0, 1 and 2.
        assert_eq!(top_categories(&query, &view, 10), [(1, 2), (2, 1), (0, 1)]);
        assert_eq!(top_categories(&query, &view, 1), [(1, 2)]);
    }
}
