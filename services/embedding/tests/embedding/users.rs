//! User states.

use plugrank_contract::embedding::UserState;
use plugrank_embedding::EmbeddingOptions;

use crate::bench::{Bench, event, item};

const LATER: i64 = 5_000_000;

async fn state(bench: &Bench, user: &str, as_of: i64) -> UserState {
    bench.fetch_user(user, as_of).await.user.unwrap()
}

async fn bench() -> Bench {
    Bench::new(EmbeddingOptions::default()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_has_a_row_an_entry_and_is_made_once() {
    let bench = bench().await;
    let first = state(&bench, "u1", LATER).await;
    assert!(!first.cached);
    assert_eq!(first.history_len, 4);
    let rows: Vec<usize> = first.outputs.iter().map(plugrank_contract::Matrix::rows).collect();
    assert_eq!(rows, [4, 1], "keys have a row an entry, the interest one");
    assert_eq!(first.recency_bucket, 10, "1000 seconds");
    let second = state(&bench, "u1", LATER).await;
    assert!(second.cached);
    assert_eq!(second.outputs, first.outputs);
    // Time alone does not change the state, only what the request says of it.
    let later = state(&bench, "u1", LATER + 1_048_576_000).await;
    assert!(later.cached && later.recency_bucket > first.recency_bucket);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_came_before_the_moment_is_read() {
    let bench = bench().await;
    assert_eq!(state(&bench, "u1", 3_000_000).await.history_len, 2, "strictly before");
    assert_eq!(state(&bench, "u1", 3_000_001).await.history_len, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_makes_the_next_request_miss_the_old_state() {
    let bench = bench().await;
    let before = state(&bench, "u1", LATER).await;
    bench.store.append_events(vec![event(8, "u1", "i5", 4_500_000)]).await.unwrap();
    let after = state(&bench, "u1", LATER).await;
    assert!(!after.cached);
    assert_eq!(after.history_len, 5);
    assert_ne!(after.outputs, before.outputs);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_item_of_the_history_changes_the_state() {
    let bench = bench().await;
    let before = state(&bench, "u1", LATER).await;
    bench.store.put_items(vec![item("i4", "blue blue lamp")]).await.unwrap();
    let after = state(&bench, "u1", LATER).await;
    assert!(!after.cached);
    assert_ne!(after.outputs, before.outputs);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_made_without_its_vectors_is_not_kept() {
    let hurried = EmbeddingOptions { encode_on_miss: false, ..EmbeddingOptions::default() };
    let bench = Bench::new(hurried).await;
    let provisional = state(&bench, "u1", LATER).await;
    crate::bench::until(|| bench.service.counts().items_encoded == 4).await;
    let whole = state(&bench, "u1", LATER).await;
    assert!(!whole.cached, "the first one must not have been kept");
    assert_ne!(whole.outputs, provisional.outputs);
    assert!(state(&bench, "u1", LATER).await.cached);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_nobody_knows_has_a_state_too() {
    let bench = bench().await;
    let stranger = state(&bench, "stranger", LATER).await;
    assert_eq!((stranger.history_len, stranger.recency_bucket), (0, 0));
    let rows: Vec<usize> = stranger.outputs.iter().map(plugrank_contract::Matrix::rows).collect();
    assert_eq!(rows, [1, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn states_do_not_depend_on_who_is_encoded_beside() {
    let one = bench().await;
    let alone = state(&one, "u1", LATER).await;
    let other = bench().await;
    let calls = ["u1", "u2", "stranger", "x", "y", "z"];
    let together = futures::future::join_all(calls.map(|user| state(&other, user, LATER))).await;
    for (a, b) in alone.outputs.iter().zip(&together[0].outputs) {
        assert_eq!((a.rows(), a.dim()), (b.rows(), b.dim()));
        for row in 0..a.rows() {
            for (x, y) in a.row_f32(row).iter().zip(b.row_f32(row)) {
                assert!((x - y).abs() < 1e-3, "{x} and {y}: more than the rounding of f16");
            }
        }
    }
}
