//! The candidates of one request.

use plugrank_contract::{ItemIndex, retrieval::SourceSet};

/// Candidates, best first, as columns of the same length.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Candidates {
    /// Which item.
    pub(crate) indices: Vec<ItemIndex>,
    /// Every source that named it.
    pub(crate) sources: Vec<SourceSet>,
}

impl Candidates {
    /// Number of candidates.
    pub(crate) fn len(&self) -> usize {
        self.indices.len()
    }

    /// Adds a candidate at the end.
    pub(crate) fn push(&mut self, item: ItemIndex, sources: SourceSet) {
        self.indices.push(item);
        self.sources.push(sources);
    }

    /// Keeps the candidates that `keep` says yes to, told the place of each. Their order stays.
    pub(crate) fn retain(&mut self, keep: impl Fn(usize) -> bool) {
        let mut kept = 0;
        for at in 0..self.len() {
            if keep(at) {
                self.indices[kept] = self.indices[at];
                self.sources[kept] = self.sources[at];
                kept += 1;
            }
        }
        self.indices.truncate(kept);
        self.sources.truncate(kept);
    }

    /// Keeps the first `limit` candidates; the items of the others.
    pub(crate) fn split_off(&mut self, limit: usize) -> Vec<ItemIndex> {
        self.sources.truncate(limit);
        if limit < self.len() { self.indices.split_off(limit) } else { Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use plugrank_contract::retrieval::SourceSet;

    use super::Candidates;

    #[test]
    fn filtering_keeps_columns_aligned() {
        let mut candidates = Candidates::default();
        for item in 0..6 {
            candidates.push(item, SourceSet::only(item as usize));
        }
        candidates.retain(|at| at % 2 == 1);
        assert_eq!(candidates.indices, [1, 3, 5]);
        assert_eq!(candidates.sources, [1, 3, 5].map(SourceSet::only));
        assert!(candidates.split_off(3).is_empty());
        assert_eq!(candidates.split_off(1), [3, 5]);
        assert_eq!((candidates.len(), candidates.sources.len()), (1, 1));
    }
}
