//! Candidates that the item table does not have.

use std::collections::BTreeMap;

use plugrank_contract::{
    ItemId,
    scoring::{ModelKind, Score},
};

use crate::{
    fixture::{Fixture, LATER, call, near},
    offline::Offline,
    scores::{history, stored},
};

fn id(number: usize) -> ItemId {
    ItemId::from(format!("i{number}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_id_is_scored_without_content_and_others_of_its_batch_with_theirs() {
    let fixture = Fixture::new().await;
    let offline = Offline::new(&fixture.bundle);
    // Its index stays, and the vocabulary knows its id.
    fixture.store.delete_items(&[id(5)]).await.unwrap();
    fixture.encoding.invalidate(&[id(5)]).await.unwrap();
    // Four entries of a batch, with ids that were never met at their first and last places.
    let numbers = (0..100).map(|at| match at {
        0 | 31 | 32 | 64 | 99 => 900 + at,
        _ => 1 + at % 6,
    });
    let numbers: Vec<usize> = numbers.collect();
    let unknown = numbers.iter().filter(|number| **number == 5 || **number >= 900).count() as u32;

    let (user, history, behaviour) = history(&fixture, "u3").await;
    let mut expected = BTreeMap::new();
    for number in &numbers {
        if expected.contains_key(number) {
            continue;
        }
        let id = id(*number);
        let (record, features) = if *number == 5 || *number >= 900 {
            (offline.missing_record(&id), offline.missing_item(&id))
        } else {
            let item = stored(fixture.store.as_ref(), &[id]).await.remove(0);
            (offline.record(&item), offline.item(&item))
        };
        let unified = offline.unified(&user, &history, &behaviour, LATER, &record);
        expected.insert(*number, (unified, offline.idrec(&user, &features)));
    }
    assert_ne!(expected[&1].0, expected[&900].0, "content tells");
    assert_ne!(expected[&5].1, expected[&900].1, "the id tells, without content");
    let unified: Vec<f32> = numbers.iter().map(|number| expected[number].0).collect();
    let idrec: Vec<f32> = numbers.iter().map(|number| expected[number].1).collect();

    let named = call("u3", numbers.iter().copied());
    let (_, elsewhere) = fixture.apart().await;
    let lists =
        [named.items.clone(), named.items.resolve(&fixture.items), named.items.resolve(&elsewhere)];
    for items in lists {
        let asked = Score { items, ..named.clone() };
        let scored = fixture.score(asked.clone()).await.unwrap();
        near(&scored.ctr, &unified, 1e-5);
        let coverage = scored.coverage;
        assert_eq!((coverage.rows, coverage.missing), (100, unknown));
        assert_eq!(coverage.memory + coverage.encoded, 100 - unknown);
        let scored = fixture.score(Score { model: ModelKind::Idrec, ..asked }).await.unwrap();
        near(&scored.ctr, &idrec, 1e-5);
        assert_eq!(scored.coverage.missing, 0, "the ID-based model reads no record");
    }
}
