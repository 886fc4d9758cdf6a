//! User states.

use plugrank_contract::Deadline;
use plugrank_contract::{HistoryLimits, TimestampMs, UserView, embedding::Tiers};
use plugrank_encoding::{EncodingOptions, UserEncoding};
use plugrank_inference::TensorData;

use crate::fixture::{Fixture, event, wait_until};

const LATER: TimestampMs = 5_000_000;

async fn fixture() -> Fixture {
    Fixture::new(EncodingOptions::default()).await
}

fn rows(state: &UserEncoding) -> Vec<usize> {
    state.state.outputs.iter().map(|output| output.rows).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_has_one_row_per_entry_and_is_made_once() {
    let fixture = fixture().await;
    let first = fixture.state("u1", LATER).await;
    assert!(!first.cached);
    assert_eq!(first.state.history_len, 4);
    assert_eq!(rows(&first), [4, 1], "keys have a row an entry, the interest one");
    assert_eq!(first.recency_bucket, 10, "1000 seconds");
    let second = fixture.state("u1", LATER).await;
    assert!(second.cached);
    assert_eq!(second.state, first.state);
    // Time alone does not change the state, only what the request says of it.
    let later = fixture.state("u1", LATER + 1_048_576_000).await;
    assert!(later.cached && later.recency_bucket > first.recency_bucket);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_events_before_the_request_time_are_read() {
    let fixture = fixture().await;
    assert_eq!(fixture.state("u1", 3_000_000).await.state.history_len, 2, "strictly before");
    assert_eq!(fixture.state("u1", 3_000_001).await.state.history_len, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_longer_than_the_bundle_reads_makes_the_same_state() {
    let fixture = fixture().await;
    let limits = fixture.encoding.users().limits();
    let many = (limits.clicks + limits.impressions) as i64 * 2;
    let events =
        (1..=many).map(|at| event(100 + at as u64, "u2", &format!("i{}", 1 + at % 5), at * 1_000));
    fixture.store.append_events(events.collect()).await.unwrap();
    let narrow = fixture.user("u2", LATER).await;
    let wide = HistoryLimits { clicks: 1_000, impressions: 1_000 };
    let wide = fixture.store.user_view(&narrow.user_id, LATER, wide).await.unwrap();
    assert!(wide.entries.len() as i64 >= many);
    let recent: Vec<_> = narrow.recent(limits).cloned().collect();
    let narrow = UserView::new(narrow.user_id.clone(), narrow.profile.clone(), recent, limits);
    let mut states = Vec::new();
    for view in [&narrow, &*wide] {
        let state = fixture.encoding.user_state(view, LATER, Deadline::NONE, Tiers::All);
        states.push(state.await.unwrap());
    }
    assert_eq!(states[0].state.history_len as usize, limits.clicks + limits.impressions);
    assert_eq!(states[0].state, states[1].state);
    assert_eq!(states[0].recency_bucket, states[1].recency_bucket);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_invalidates_the_cached_state() {
    let fixture = fixture().await;
    let before = fixture.state("u1", LATER).await;
    fixture.store.append_events(vec![event(8, "u1", "i5", 4_500_000)]).await.unwrap();
    let after = fixture.state("u1", LATER).await;
    assert!(!after.cached);
    assert_eq!(after.state.history_len, 5);
    assert_ne!(after.state, before.state);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_made_without_its_vectors_is_not_cached() {
    let hurried = EncodingOptions { encode_on_miss: false, ..EncodingOptions::default() };
    let fixture = Fixture::new(hurried).await;
    let provisional = fixture.state("u1", LATER).await;
    wait_until(|| fixture.encoding.counts().items_encoded == 4).await;
    let whole = fixture.state("u1", LATER).await;
    assert!(!whole.cached, "the first one must not have been cached");
    assert_ne!(whole.state, provisional.state);
    assert!(fixture.state("u1", LATER).await.cached);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_user_has_a_state() {
    let fixture = fixture().await;
    let stranger = fixture.state("stranger", LATER).await;
    assert_eq!((stranger.state.history_len, stranger.recency_bucket), (0, 0));
    assert_eq!(rows(&stranger), [1, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn states_do_not_depend_on_the_rest_of_the_batch() {
    let one = fixture().await;
    let alone = one.state("u1", LATER).await;
    let other = fixture().await;
    let calls = ["u1", "u2", "stranger", "x", "y", "z"];
    let together = futures::future::join_all(calls.map(|user| other.state(user, LATER))).await;
    let values = |data: &TensorData| data.to_f64();
    assert_eq!(alone.state.outputs.len(), 2);
    assert_eq!(together[0].state.outputs.len(), 2);
    for (a, b) in alone.state.outputs.iter().zip(&together[0].state.outputs) {
        assert_eq!(a.rows, b.rows);
        assert_eq!(values(&a.data).len(), values(&b.data).len());
        for (x, y) in values(&a.data).iter().zip(values(&b.data)) {
            assert!((x - y).abs() < 1e-3, "{x} and {y}: more than the rounding of f16");
        }
    }
}
