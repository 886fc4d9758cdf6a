//! The item data that a reply carries for re-ranking in another process.

use std::sync::Arc;

use plugrank_contract::{
    Context, ItemId,
    reranking::RankFacts,
    scoring::{ModelKind, Score, Scored},
};
use plugrank_items::ItemTable;
use plugrank_store::{Store, StoredItem};
use plugrank_transport::Service;

use crate::{
    fixture::{Fixture, call, near},
    offline::Offline,
};

/// Half precision, and the order of sums in a batch.
const ROUNDING: f32 = 2e-3;

/// Many share a score by the ID-based model, which knows `i1` to `i6` alone; `i999` is unknown.
fn candidates() -> Score {
    call("u3", [8, 1, 999, 20, 15, 40, 3, 6, 4])
}

/// What was asked, and what the store has of it.
struct Asked<'a> {
    offline: &'a Offline<'a>,
    ids: Vec<ItemId>,
    stored: Vec<Option<Arc<StoredItem>>>,
}

impl<'a> Asked<'a> {
    async fn new(call: &Score, offline: &'a Offline<'a>, store: &dyn Store) -> Self {
        let ids: Vec<ItemId> = call.items.ids().cloned().collect();
        let stored = store.items(&ids).await.unwrap();
        Self { offline, ids, stored }
    }

    /// Places of the best, equal ones by id as re-ranking orders them; those that the store has.
    fn best(&self, scored: &Scored, many: u32) -> Vec<u32> {
        let mut order: Vec<usize> = (0..self.ids.len()).collect();
        let ctr = &scored.ctr;
        order.sort_by(|a, b| {
            ctr[*b].total_cmp(&ctr[*a]).then_with(|| self.ids[*a].cmp(&self.ids[*b]))
        });
        order.truncate(many as usize);
        let there = |place: &usize| self.stored[*place].is_some();
        order.into_iter().filter(there).map(|place| place as u32).collect()
    }

    /// Holds categories and ages against the store; `table` names the categories.
    fn check_rows(&self, facts: &RankFacts, table: &ItemTable) {
        let rows = self.stored.len();
        assert_eq!((facts.categories.len(), facts.created_at.len()), (rows, rows));
        let view = table.view();
        for (at, stored) in self.stored.iter().enumerate() {
            let item = stored.as_ref().map(|stored| &stored.item);
            let names = facts.categories[at].iter().map(|one| view.category_name(*one).unwrap());
            assert!(names.eq(item.into_iter().flat_map(|item| &item.categories)), "place {at}");
            assert_eq!(facts.created_at[at], item.and_then(|item| item.created_at), "place {at}");
        }
    }

    /// Holds vectors against the graphs.
    fn check_vectors(&self, facts: &RankFacts, places: &[u32]) {
        assert_eq!(facts.with_vector, places);
        assert_eq!(facts.vectors.rows(), places.len());
        for (row, place) in places.iter().enumerate() {
            let item = &self.stored[*place as usize].as_ref().unwrap().item;
            let vector = self.offline.record(item)[0].data.to_f64();
            let vector: Vec<f32> = vector.into_iter().map(|x| x as f32).collect();
            near(&facts.vectors.row_f32(row), &vector, ROUNDING);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn scoring_sends_categories_and_ages_of_all_and_vectors_of_the_best() {
    let fixture = Fixture::new().await;
    let offline = Offline::new(&fixture.bundle);
    let asked = Asked::new(&candidates(), &offline, fixture.store.as_ref()).await;
    let apart = fixture.apart().await;
    let here = (Arc::clone(&fixture.scoring), Arc::clone(&fixture.items));
    for (service, table) in [here, apart] {
        for facts_for in [1, 2, 5, 100] {
            let call = Score { facts_for, ..candidates() };
            let scored = service.call(Context::background(), call).await.unwrap();
            assert_eq!((scored.model, &scored.fell), (ModelKind::Unified, &None));
            let facts = scored.facts.as_deref().unwrap();
            asked.check_rows(facts, &table);
            asked.check_vectors(facts, &asked.best(&scored, facts_for));
        }
        let scored = service.call(Context::background(), candidates()).await.unwrap();
        assert_eq!(scored.facts, None, "nobody asked");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_id_based_model_sends_the_vectors_that_are_cached() {
    let fixture = Fixture::new().await;
    let offline = Offline::new(&fixture.bundle);
    let asked = Asked::new(&candidates(), &offline, fixture.store.as_ref()).await;
    let idrec = |facts_for| Score { model: ModelKind::Idrec, facts_for, ..candidates() };
    let cold = fixture.score(idrec(100)).await.unwrap();
    let facts = cold.facts.as_deref().unwrap();
    asked.check_rows(facts, &fixture.items);
    asked.check_vectors(facts, &[]);
    // Fetches the records.
    fixture.score(candidates()).await.unwrap();
    let mut met = Vec::new();
    for facts_for in 1..=9 {
        let scored = fixture.score(idrec(facts_for)).await.unwrap();
        assert_eq!((scored.model, &scored.fell), (ModelKind::Idrec, &None));
        let facts = scored.facts.as_deref().unwrap();
        asked.check_rows(facts, &fixture.items);
        asked.check_vectors(facts, &asked.best(&scored, facts_for));
        met.extend(scored.ctr.iter().map(|ctr| ctr.to_bits()));
    }
    met.sort_unstable();
    met.dedup();
    assert!((2..9).contains(&met.len()), "some are equal, some are not: {met:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_item_has_neither_category_nor_vector() {
    let fixture = Fixture::new().await;
    fixture.score(call("u3", [1, 4])).await.unwrap();
    let gone = [ItemId::from("i4")];
    fixture.store.delete_items(&gone).await.unwrap();
    fixture.encoding.invalidate(&gone).await.unwrap();
    for model in [ModelKind::Unified, ModelKind::Idrec] {
        let asked = Score { model, facts_for: 2, ..call("u3", [4, 1]) };
        let facts = fixture.score(asked).await.unwrap().facts.unwrap();
        assert_eq!(facts.with_vector, [1], "{model:?}");
        assert_eq!(facts.categories[0], [0; 0], "{model:?}");
        assert_eq!(facts.categories[1].len(), 1, "{model:?}");
    }
}
