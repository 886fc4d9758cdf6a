//! What to search for, given a user's clicks.

use std::borrow::Cow;

use plugrank_contract::ItemIndex;

use super::vector::recency_mean;
use crate::{
    merge::{RankedLists, fuse_items},
    options::AnnOptions,
};

/// Vectors of a user's latest clicks, the latest first, in one block.
pub(crate) struct ClickVectors {
    dim: usize,
    /// How many clicks ago each was.
    ranks: Vec<usize>,
    /// Row by row.
    rows: Vec<f32>,
}

impl ClickVectors {
    /// Without vectors, with room for those of so many clicks.
    pub(crate) fn with_room(dim: usize, clicks: usize) -> Self {
        Self { dim, ranks: Vec::with_capacity(clicks), rows: Vec::with_capacity(clicks * dim) }
    }

    /// Adds the vector of the click `rank` clicks ago, which `read` writes if there is one.
    pub(crate) fn add(&mut self, rank: usize, read: impl FnOnce(&mut [f32]) -> bool) {
        let start = self.rows.len();
        self.rows.resize(start + self.dim, 0.0);
        if read(&mut self.rows[start..]) {
            self.ranks.push(rank);
        } else {
            self.rows.truncate(start);
        }
    }

    fn iter(&self) -> impl Iterator<Item = (usize, &[f32])> {
        self.ranks.iter().copied().zip(self.rows.chunks_exact(self.dim.max(1)))
    }
}

/// A search for neighbours.
pub(crate) struct Search<'a> {
    /// Of a search near to a single click: how many clicks ago it was.
    pub(crate) click: Option<usize>,
    /// What they should be near to, of any length.
    pub(crate) vector: Cow<'a, [f32]>,
    /// How many.
    pub(crate) count: usize,
}

/// Latest clicks whose vectors are read.
pub(crate) fn clicks_read(options: &AnnOptions) -> usize {
    options.mean_clicks.max(options.interests)
}

/// Searches for what is near to the mean of the user's clicks, and to each of the latest few.
pub(crate) fn searches<'a>(
    clicks: &'a ClickVectors,
    options: &AnnOptions,
    enough: usize,
) -> Vec<Search<'a>> {
    let for_mean = clicks.iter().filter(|(rank, _)| *rank < options.mean_clicks);
    let mean = recency_mean(for_mean, options.half_life_clicks);
    // With one click the mean is that click.
    let interests = if clicks.ranks.len() > 1 { options.interests } else { 0 };
    let mut searches = Vec::with_capacity(1 + interests);
    // The mean alone could fill the answer. A single click's list is merged with others, so that its
    // far end would not come in.
    searches.extend(mean.map(|mean| Search {
        click: None,
        vector: Cow::Owned(mean),
        count: enough,
    }));
    searches.extend(clicks.iter().take(interests).map(|(rank, vector)| Search {
        click: Some(rank),
        vector: Cow::Borrowed(vector),
        count: enough.div_ceil(2),
    }));
    searches
}

/// The best of what several searches found.
pub(crate) fn best(found: &RankedLists, enough: usize) -> Vec<ItemIndex> {
    let mut merged = fuse_items(found);
    merged.truncate(enough);
    merged
}

/// The same of lists on their own.
pub(crate) fn merge(found: &[Vec<ItemIndex>], enough: usize) -> Vec<ItemIndex> {
    let mut lists = RankedLists::with_room(found.len(), found.iter().map(Vec::len).sum());
    found.iter().for_each(|list| lists.add_weighing(1.0, list.iter().copied()));
    best(&lists, enough)
}
