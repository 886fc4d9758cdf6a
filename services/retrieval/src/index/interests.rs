//! What to search for, given a user's clicks.

use plugrank_contract::ItemIndex;

use super::vector::recency_mean;
use crate::{
    merge::{RankedList, fuse},
    options::AnnOptions,
};

/// A search for neighbours.
pub(crate) struct Search {
    /// What they should be near to, of any length.
    pub(crate) vector: Vec<f32>,
    /// How many.
    pub(crate) count: usize,
}

/// Latest clicks whose vectors are read.
pub(crate) fn clicks_read(options: &AnnOptions) -> usize {
    options.mean_clicks.max(options.interests)
}

/// Searches for what is near to the mean of the user's clicks, and to each of the latest few.
/// `vectors`: those of the latest clicks, the latest first; `None` where there is none.
pub(crate) fn searches(
    vectors: impl Iterator<Item = Option<Vec<f32>>>,
    options: &AnnOptions,
    enough: usize,
) -> Vec<Search> {
    let clicks: Vec<(usize, Vec<f32>)> =
        vectors.enumerate().filter_map(|(rank, vector)| Some((rank, vector?))).collect();
    let for_mean = clicks.iter().filter(|(rank, _)| *rank < options.mean_clicks);
    let mean = recency_mean(
        for_mean.map(|(rank, vector)| (*rank, vector.as_slice())),
        options.half_life_clicks,
    );
    // With one click the mean is that click.
    let interests = if clicks.len() > 1 { options.interests } else { 0 };
    let latest = clicks.into_iter().take(interests).map(|(_, vector)| vector);
    // The mean alone could fill the answer. A single click's list is merged with others, so that its
    // far end would not come in.
    mean.map(|vector| Search { vector, count: enough })
        .into_iter()
        .chain(latest.map(|vector| Search { vector, count: enough.div_ceil(2) }))
        .collect()
}

/// Merges what the searches found.
pub(crate) fn merge(found: Vec<Vec<ItemIndex>>, enough: usize) -> Vec<ItemIndex> {
    let lists: Vec<_> = found.into_iter().map(|list| RankedList::weighing(1.0, list)).collect();
    let mut merged = fuse(&lists).indices;
    merged.truncate(enough);
    merged
}
