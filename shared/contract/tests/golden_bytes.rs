//! The bytes of calls and replies on the wire. A change here breaks processes of another version:
//! then the path of the call needs a new one too.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use plugrank_contract::{
    CallError, Dtype, ErrorCode, Event, EventType, ItemId, Matrix, NamedTensor, TensorDtype,
    UserId,
    embedding::{Fetch, FetchVectors, Fetched, Invalidate, RecordOrigin, Tiers, UserState},
    reranking::{Placement, Ranked, Rerank, Reranked, ScoredCandidate},
    retrieval::{
        Candidate, DropReason, Dropped, ObserveEvents, RefreshItems, Retrieve, Retrieved, Source,
    },
    scoring::{Coverage, Infer, Inferred, Load, ModelKind, Score, Scored},
};
use serde::Serialize;

fn hex(value: &impl Serialize) -> String {
    let bytes = postcard::to_stdvec(value).unwrap();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn items(ids: &[&str]) -> Vec<ItemId> {
    ids.iter().map(|id| ItemId::from(*id)).collect()
}

fn matrix() -> Matrix {
    Matrix::new(1, 2, Dtype::F32, [1.0_f32, -2.0].iter().flat_map(|x| x.to_le_bytes()).collect())
        .unwrap()
}

#[test]
fn retrieval() {
    let call = Retrieve {
        user_id: UserId::from("u"),
        limit: 300,
        candidates: Some(items(&["a"])),
        exclude: items(&["b"]),
        as_of: 1_000,
    };
    assert_eq!(hex(&call), "0175ac0201010161010162d00f");
    let reply = Retrieved {
        candidates: vec![Candidate {
            item_id: ItemId::from("a"),
            sources: vec![Source::Caller, Source::Fresh],
        }],
        dropped: vec![Dropped { item_id: ItemId::from("b"), reason: DropReason::OverLimit }],
        dropped_total: 1,
        failed: vec![(Source::Ann, "x".to_owned())],
    };
    assert_eq!(hex(&Ok::<_, CallError>(reply)), "00010161020005010162040101010178");
    let event = Event {
        event_id: "e".to_owned(),
        event_type: EventType::Click,
        user_id: UserId::from("u"),
        item_id: ItemId::from("a"),
        request_id: Some("r".to_owned()),
        position: Some(2),
        timestamp: 5,
    };
    assert_eq!(hex(&ObserveEvents { events: vec![event] }), "010165010175016101017201020a");
    assert_eq!(hex(&RefreshItems { item_ids: items(&["a"]) }), "010161");
}

#[test]
fn embedding() {
    let user = Some((UserId::from("u"), 1_000));
    let call = Fetch { item_ids: items(&["a", "b"]), user, tiers: Tiers::Held };
    assert_eq!(hex(&call), "0201610162010175d00f01");
    let state =
        UserState { outputs: vec![matrix()], recency_bucket: 3, history_len: 2, cached: true };
    let reply = Fetched {
        bundle: "v".to_owned(),
        items: matrix(),
        origins: vec![RecordOrigin::Missing],
        user: Some(state),
        late: Some("x".to_owned()),
    };
    assert_eq!(
        hex(&Ok::<_, CallError>(reply)),
        "000176010201080000803f000000c001030101010201080000803f000000c0030201010178"
    );
    assert_eq!(hex(&FetchVectors { item_ids: items(&["a"]) }), "010161");
    assert_eq!(hex(&Invalidate { item_ids: items(&["a"]) }), "010161");
}

#[test]
fn scoring() {
    let call = Score {
        user_id: UserId::from("u"),
        item_ids: items(&["a"]),
        as_of: 1_000,
        model: ModelKind::Idrec,
        tiers: Tiers::All,
    };
    assert_eq!(hex(&call), "0175010161d00f0100");
    let coverage = Coverage { rows: 1, memory: 1, store: 2, encoded: 3, missing: 4, history: 5 };
    let reply = Scored {
        bundle: "v".to_owned(),
        ctr: vec![0.5],
        model: ModelKind::Idrec,
        fell: Some(CallError::new(ErrorCode::Overloaded, "x")),
        late: None,
        coverage,
        batch_rows: 32,
        load: Load { backlog_us: 7 },
    };
    assert_eq!(hex(&Ok::<_, CallError>(reply)), "000176010000003f010102017800000101020304052007");
}

#[test]
fn inference() {
    let tensor = NamedTensor {
        name: "x".to_owned(),
        dtype: TensorDtype::I64,
        shape: vec![1, 1],
        data: 7_i64.to_le_bytes().to_vec(),
    };
    let call = Infer { model: ModelKind::Idrec, inputs: vec![tensor.clone()] };
    assert_eq!(hex(&call), "0101017802020101080700000000000000");
    let reply = Inferred { outputs: vec![tensor] };
    assert_eq!(hex(&Ok::<_, CallError>(reply)), "0001017802020101080700000000000000");
}

#[test]
fn reranking() {
    let (item_id, sources) = (ItemId::from("a"), vec![Source::Popular]);
    let candidate =
        ScoredCandidate { item_id: item_id.clone(), ctr: 0.5, sources: sources.clone() };
    let call = Rerank { candidates: vec![candidate], k: 20, as_of: 1_000, seed: 9 };
    assert_eq!(hex(&call), "0101610000003f010414d00f09");
    let placed = Ranked { item_id, score: 0.25, ctr: 0.5, sources, placement: Placement::Explored };
    let reply = Reranked { items: vec![placed], skipped: vec!["x".to_owned()] };
    assert_eq!(hex(&Ok::<_, CallError>(reply)), "000101610000803e0000003f010401010178");
}

#[test]
fn errors() {
    let codes = [
        ErrorCode::InvalidArgument,
        ErrorCode::NotFound,
        ErrorCode::Overloaded,
        ErrorCode::DeadlineExceeded,
        ErrorCode::Unavailable,
        ErrorCode::Internal,
    ];
    let of = |code| hex(&Err::<(), _>(CallError::new(code, "x")));
    assert_eq!(
        codes.map(of),
        ["0100017800", "0101017800", "0102017800", "0103017800", "0104017800", "0105017800"]
    );
    let later = CallError::overloaded("x").retry_after(std::time::Duration::from_millis(250));
    assert_eq!(hex(&Err::<(), _>(later)), "0102017801fa01");
}
