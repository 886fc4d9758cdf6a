//! The bytes of calls and replies on the wire. A change here breaks processes of another version:
//! then the path of the call needs a new one too.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;

use plugrank_contract::{
    CallError, Condition, Dtype, ErrorCode, Event, EventType, FeatureValues, Filter, HistoryEntry,
    HistoryLimits, ItemId, Matrix, NamedTensor, TensorDtype, UserId, UserRead, UserView,
    embedding::{
        Fetch, FetchUser, FetchVectors, Fetched, Invalidate, RecordOrigin, Tiers, UserState,
    },
    loading::{
        BundlesListed, CheckBundle, CheckedBundle, ListBundles, ListModels, ListedModel,
        LoadBundle, LoadState, ModelsListed,
    },
    reranking::{Move, Place, RankFacts, Rerank, Reranked, RuleFacts},
    retrieval::{
        Dropped, Name, ObserveEvents, RefreshItems, Retrieve, Retrieved, Similar, SimilarItems,
        SourceSet,
    },
    scoring::{
        CheckFeatures, FeatureOwner, FeaturesChecked, GivenCandidateFeatures, GivenFeatures, Infer,
        Inferred, ModelKind, RecordCoverage, RuleInputs, Score, Scored, ScoringLoad, TaskScores,
        Valued, WrongFeature,
    },
};
use serde::Serialize;

fn hex(value: &impl Serialize) -> String {
    let bytes = postcard::to_stdvec(value).unwrap();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn items(ids: &[&str]) -> Vec<ItemId> {
    ids.iter().map(|id| ItemId::from(*id)).collect()
}

fn entries() -> Vec<HistoryEntry> {
    let entry = HistoryEntry::new(ItemId::from("a"), true, 500);
    vec![HistoryEntry { action: Some("buy".into()), value: Some(3_i64.into()), ..entry }]
}

fn view() -> UserRead {
    let entries = entries();
    let limits = HistoryLimits { clicks: 1_000, impressions: 50 };
    let view = UserView::new(UserId::from("u"), None, entries, limits);
    UserRead::Read(Arc::new(UserView { version: 7, ..view }))
}

fn matrix() -> Matrix {
    Matrix::new(1, 2, Dtype::F32, [1.0_f32, -2.0].iter().flat_map(|x| x.to_le_bytes()).collect())
        .unwrap()
}

#[test]
fn retrieval() {
    let condition = Condition {
        field: "f".to_owned(),
        any: Some(vec!["t".into(), 0.5.into()]),
        ..Condition::default()
    };
    let call = Retrieve {
        user_id: UserId::from("u"),
        surface: "h".into(),
        limit: 300,
        candidates: Some(items(&["a"]).into()),
        exclude: items(&["b"]).into(),
        shown: [7].into(),
        context: items(&["c"]).into(),
        recent: Some(entries().into()),
        filters: vec![Filter { must: vec![condition], ..Filter::default() }],
        as_of: 1_000,
        explain: true,
    };
    assert_eq!(
        hex(&call),
        "01750168ac020101016101016201070101630101016101e80701036275790100060101016600000000010200017401000000000000e03f000000d00f01"
    );
    let similar = Similar { item_id: ItemId::from("a"), k: 3, filters: Vec::new() };
    assert_eq!(hex(&similar), "01610300");
    let reply =
        SimilarItems { items: items(&["b"]).into(), similarity: vec![0.5], bundle: "v".to_owned() };
    assert_eq!(hex(&Ok::<_, CallError>(reply)), "00010162010000003f0176");
    let reply = Retrieved {
        candidates: items(&["a"]).into(),
        source_names: [Name::Borrowed("s"), Name::Borrowed("t")].into(),
        sources: vec![SourceSet::only(0).union(SourceSet::only(1))],
        dropped: vec![Dropped { item_id: ItemId::from("b"), reason: Name::Borrowed("r") }],
        dropped_total: 2,
        unknown: 1,
        failed: vec![(Name::Borrowed("s"), "x".to_owned())],
        user: UserRead::Failed("y".to_owned()),
    };
    assert_eq!(
        hex(&Ok::<_, CallError>(reply)),
        "00010161020173017401030101620172020101017301780101" // status, lists
            .to_owned()
            + "79"
    );
    assert_eq!(hex(&view()), "0201750001016101e8070103627579010006403207");
    let event = Event {
        event_id: "e".to_owned(),
        event_type: EventType::click(),
        user_id: UserId::from("u"),
        item_id: ItemId::from("a"),
        value: None,
        request_id: Some("r".to_owned()),
        position: Some(2),
        surface: None,
        timestamp: 5,
    };
    assert_eq!(
        hex(&ObserveEvents { events: vec![event] }),
        "01016505636c69636b010000803f01750161000101720102000a"
    );
    assert_eq!(hex(&RefreshItems { item_ids: items(&["a"]) }), "010161");
}

#[test]
fn embedding() {
    let user = FetchUser { user_id: UserId::from("u"), as_of: 1_000, user: UserRead::NotRead };
    let items_of = items(&["a", "b"]).into();
    let call = Fetch { items: items_of, user: Some(user), tiers: Tiers::Cached };
    assert_eq!(hex(&call), "0201610162010175d00f0001");
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
    assert_eq!(hex(&FetchVectors { item_ids: items(&["a"]), changed: true }), "01016101");
    assert_eq!(hex(&Invalidate { item_ids: items(&["a"]) }), "010161");
}

#[test]
fn scoring() {
    let call = Score {
        user_id: UserId::from("u"),
        items: items(&["a"]).into(),
        user: UserRead::NotRead,
        as_of: 1_000,
        model: ModelKind::Idrec,
        tiers: Tiers::All,
        facts_for: 200,
        rule_inputs: Arc::new(RuleInputs {
            columns: vec!["c".to_owned()],
            ..RuleInputs::default()
        }),
        given: None,
        value: None,
        explain: false,
    };
    assert_eq!(hex(&call), "017501016100d00f0100c801010163000000000000");
    let valued = Valued {
        formula: "n".into(),
        values: [2.0].into(),
        broken: None,
        names: vec!["n".into()],
        numbers: vec![2.0],
    };
    assert_eq!(hex(&valued), "016e01000000400001016e0100000040");
    let features = FeatureValues::from([("d".to_owned(), "x".into()), ("n".to_owned(), 3.into())]);
    let candidate = GivenCandidateFeatures { place: 4, features: Arc::new(features.clone()) };
    let given = GivenFeatures {
        request: features,
        user: FeatureValues::new(),
        recent: Some(entries().into()),
        candidates: vec![candidate],
    };
    assert_eq!(
        hex(&given),
        "020164000178016e010006000101016101e807010362757901000601040201640001".to_owned()
            + "78016e010006"
    );
    let coverage =
        RecordCoverage { rows: 1, memory: 1, store: 2, encoded: 3, missing: 4, history: 5 };
    let reply = Scored {
        bundle: "v".into(),
        ctr: [0.5].into(),
        scores: vec![TaskScores { task: "t".into(), probabilities: [0.5].into() }],
        value: None,
        facts: None,
        model: ModelKind::Idrec,
        fell: Some(CallError::new(ErrorCode::Overloaded, "x")),
        late: None,
        coverage,
        batch_rows: 32,
        load: ScoringLoad { backlog_us: 7 },
    };
    assert_eq!(
        hex(&Ok::<_, CallError>(reply)),
        "000176010000003f010174010000003f000001010201780000000101020304052007"
    );
}

#[test]
fn checking_features() {
    let values = vec![FeatureValues::from([("n".to_owned(), 3.into())])];
    let call = CheckFeatures { owner: FeatureOwner::User, values };
    assert_eq!(hex(&call), "010101016e010006");
    let wrong = WrongFeature { name: "n".to_owned(), detail: "x".to_owned() };
    let reply = FeaturesChecked { wrong: vec![None, Some(wrong)] };
    assert_eq!(hex(&Ok::<_, CallError>(reply)), "00020001016e0178");
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
    let facts = RankFacts {
        categories: vec![vec![3, 4]],
        created_at: vec![Some(5)],
        with_vector: vec![0],
        vectors: matrix(),
        rules: RuleFacts { keys: vec![vec![6]], ..RuleFacts::default() },
    };
    let call = Rerank {
        items: items(&["a"]).into(),
        ctr: [0.5].into(),
        worth: Some([2.0].into()),
        facts: Some(Arc::new(facts)),
        surface: "h".into(),
        k: 20,
        before: 40,
        diversity: Some(0.5),
        explain: true,
        as_of: 1_000,
        seed: 9,
    };
    assert_eq!(
        hex(&call),
        "010161010000003f010100000040010102030401010a0100010201080000803f000000c001010600000001681428010000003f01d00f09"
    );
    let place = Place {
        candidate: 7,
        score: 0.25,
        rule: Name::Borrowed("explored"),
        propensity: Some(0.5),
    };
    let moved = Move { rule: Name::Borrowed("m"), from: Some(3), to: None };
    let reply = Reranked {
        places: vec![place],
        moves: vec![(3, vec![moved])],
        skipped: vec!["x".to_owned()],
    };
    assert_eq!(
        hex(&Ok::<_, CallError>(reply)),
        "0001070000803e086578706c6f726564010000003f010301016d010300010178"
    );
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
    let error = |code| hex(&Err::<(), _>(CallError::new(code, "x")));
    assert_eq!(
        codes.map(error),
        [
            "010001780000",
            "010101780000",
            "010201780000",
            "010301780000",
            "010401780000",
            "010501780000"
        ]
    );
    let later = CallError::overloaded("x").retry_after(std::time::Duration::from_millis(250));
    assert_eq!(hex(&Err::<(), _>(later)), "0102017801fa0100");
}

#[test]
fn loading() {
    let folder = Some("m".to_owned());
    assert_eq!(hex(&CheckBundle { folder: folder.clone() }), "01016d");
    assert_eq!(hex(&CheckedBundle { version: "7".to_owned() }), "0137");
    assert_eq!(hex(&LoadBundle { folder, version: "7".to_owned() }), "01016d0137");
    assert_eq!(hex(&ListModels {}), "");
    assert_eq!(hex(&ListBundles {}), "");
    assert_eq!(hex(&BundlesListed { folders: vec![("m".to_owned(), 300)] }), "01016dac02");
    let state = LoadState::Loading { phase: "items".to_owned(), done: 3, of: 9 };
    let model = |state| ListedModel { name: "7".to_owned(), version: "7".to_owned(), state };
    let states = [LoadState::Ready, state, LoadState::Absent, LoadState::Failed("x".to_owned())];
    let models = states.map(model).to_vec();
    assert_eq!(
        hex(&ModelsListed { models }),
        "0401370137000137013701056974656d7303090137013702013701370301".to_owned() + "78"
    );
}
