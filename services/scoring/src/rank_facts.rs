//! What re-ranking reads of the candidates, for a role without an item table.

use std::sync::Arc;

use plugrank_contract::{
    ItemId, ItemList, Matrix, embedding::RecordOrigin, reranking::RankFacts, scoring::Score,
};
use plugrank_encoding::{Embeddings, RecordSet};

use crate::ScoringService;

impl ScoringService {
    /// Categories and ages of all candidates, vectors of those that are worth most, when the call asks for
    /// them. Where no records were fetched, vectors are those available here.
    pub(crate) fn rank_facts(
        &self,
        call: &Score,
        worth: &[f32],
        records: Option<&RecordSet>,
    ) -> Option<Arc<RankFacts>> {
        if call.facts_for == 0 || worth.is_empty() {
            return None;
        }
        let pool = match call.rule_inputs.reorders {
            true => worth.len(),
            false => (call.facts_for as usize).min(worth.len()),
        };
        let indices = call.items.indices_in(&self.items);
        let view = self.items.view();
        let layout = &self.record_layout;
        let part = layout.vector();
        let own = match &self.embeddings {
            Embeddings::Here(encoding) => Some(encoding.records_table().view()),
            Embeddings::Remote(_) => None,
        };
        let vector = |place: usize, to: &mut Vec<u8>| {
            let record = match records {
                Some(records) if records.origin(place) == RecordOrigin::Missing => None,
                Some(records) => Some(records.bytes(place)),
                None => {
                    let index = indices[place];
                    let row = own.as_ref()?.of_content(index, view.content(index))?;
                    Some(row.bytes())
                }
            };
            to.extend_from_slice(layout.slice(part?, record?));
            Some(())
        };
        let mut data = Vec::new();
        let best = best(&call.items, worth).into_iter().take(pool);
        let with_vector: Vec<u32> =
            best.filter(|place| vector(*place as usize, &mut data).is_some()).collect();
        let (dim, dtype) = (part.map_or(0, |part| part.dim), layout.dtype);
        let vectors = Matrix::new(with_vector.len(), dim, dtype, data);
        Some(Arc::new(RankFacts {
            categories: indices.iter().map(|index| view.categories(*index).to_vec()).collect(),
            created_at: indices.iter().map(|index| view.created_at(*index)).collect(),
            vectors: vectors.unwrap_or_else(|_| Matrix::empty(dim, dtype)),
            with_vector,
            rules: view.rule_facts(&call.rule_inputs, &indices),
        }))
    }
}

/// Places by falling worth, what is no finite number last; equal ones by id, as re-ranking orders them, so that
/// the vectors are those of its pool.
fn best(items: &ItemList, worth: &[f32]) -> Vec<u32> {
    let ids: Vec<&ItemId> = items.ids().collect();
    let mut order: Vec<u32> = (0..).take(worth.len()).collect();
    let finite = |at: usize| if worth[at].is_finite() { worth[at] } else { f32::NEG_INFINITY };
    order.sort_unstable_by(|a, b| {
        let (a, b) = (*a as usize, *b as usize);
        finite(b).total_cmp(&finite(a)).then_with(|| ids.get(a).cmp(&ids.get(b)))
    });
    order
}
