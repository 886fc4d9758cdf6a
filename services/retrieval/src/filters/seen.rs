//! Items the user clicked before.

use plugrank_contract::ItemIndex;
use plugrank_items::View;

use crate::{filters::Filter, query::Query};

/// Takes out what the user clicked. Where the caller names the candidates, no click is read, so that
/// what the user has seen stays.
pub(crate) struct Seen;

impl Filter for Seen {
    fn reason(&self) -> &'static str {
        "seen"
    }

    fn keeps(&self, item: ItemIndex, query: &Query, _: &View<'_>) -> bool {
        !query.seen.contains(item)
    }

    fn applies(&self, query: &Query) -> bool {
        !query.seen.is_empty()
    }
}
