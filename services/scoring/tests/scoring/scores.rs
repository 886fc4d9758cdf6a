//! Scores, alone and in batches with others.

use std::sync::Arc;

use plugrank_bundle::{Bundle, GraphName};
use plugrank_contract::{
    CallError, Context, ErrorCode, History, Item, ItemId, Matrix, UserId,
    embedding::{Fetch, Fetched},
    scoring::{ModelKind, Score},
};
use plugrank_embedding::EmbeddingService;
use plugrank_scoring::{ScoringOptions, ScoringParts, ScoringService};
use plugrank_store::Store;
use plugrank_transport::Service;

use crate::{
    fixture::{Fixture, LATER, call, near, options, small_folder},
    offline::Offline,
};

pub(crate) async fn history(fixture: &Fixture, user: &str) -> (UserId, History, Vec<Item>) {
    let user = UserId::from(user);
    let lengths = fixture.bundle.manifest().history;
    let read = fixture.store.history(&user, LATER, lengths.clicks, lengths.impressions).await;
    let history = read.unwrap();
    let ids: Vec<ItemId> = history.entries.iter().map(|entry| entry.item_id.clone()).collect();
    (user, history, stored(fixture.store.as_ref(), &ids).await)
}

pub(crate) async fn stored(store: &dyn Store, ids: &[ItemId]) -> Vec<Item> {
    let items = store.items(ids).await.unwrap();
    items.into_iter().map(|item| item.unwrap().item.clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn scores_equal_the_graphs_run_row_by_row() {
    let fixture = Fixture::new().await;
    let offline = Offline::new(&fixture.bundle);
    for name in ["u1", "u3", "u6"] {
        let (user, history, items) = history(&fixture, name).await;
        let asked = call(name, [1, 7, 2, 40, 7]);
        let scored = fixture.score(asked.clone()).await.unwrap();
        let ids: Vec<ItemId> = asked.items.ids().cloned().collect();
        let candidates = stored(fixture.store.as_ref(), &ids).await;
        let expected: Vec<f32> = candidates
            .iter()
            .map(|item| offline.unified(&user, &history, &items, LATER, &offline.record(item)))
            .collect();
        near(&scored.ctr, &expected, 1e-5);
        assert_eq!(scored.ctr[1], scored.ctr[4], "an item named twice");

        let idrec = Score { model: ModelKind::Idrec, ..asked };
        let scored = fixture.score(idrec).await.unwrap();
        let expected: Vec<f32> =
            candidates.iter().map(|item| offline.idrec(&user, &offline.item(item))).collect();
        near(&scored.ctr, &expected, 1e-5);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn different_users_and_items_have_different_scores() {
    let fixture = Fixture::new().await;
    let one = fixture.score(call("u3", 1..=20)).await.unwrap().ctr;
    let other = fixture.score(call("u6", 1..=20)).await.unwrap().ctr;
    assert_ne!(one, other);
    assert!(one.iter().any(|ctr| *ctr != one[0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn scores_do_not_depend_on_the_rest_of_the_batch() {
    let fixture = Fixture::new().await;
    let calls: Vec<Score> = (0..40usize)
        .map(|number| {
            let user = format!("u{}", number % 8);
            let start = 1 + number % 9;
            Score {
                model: if number % 5 == 4 { ModelKind::Idrec } else { ModelKind::Unified },
                ..call(&user, start..start + 1 + (number * 7) % 30)
            }
        })
        .collect();
    let mut alone = Vec::new();
    for call in &calls {
        alone.push(fixture.score(call.clone()).await.unwrap());
    }
    // Which requests share a batch depends on the threads; a few rounds are enough for some to.
    let mut merged = 0;
    for _ in 0..50 {
        let together = calls.iter().cloned().map(|call| fixture.score(call));
        for (one, other) in alone.iter().zip(futures::future::join_all(together).await) {
            let other = other.unwrap();
            near(&one.ctr, &other.ctr, 1e-5);
            merged += usize::from(other.batch_rows > one.batch_rows);
        }
        if merged > 0 {
            break;
        }
    }
    assert!(merged > 0, "no request ever ran with another, so nothing was tested");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_larger_than_a_batch_is_split_and_reassembled() {
    let fixture = Fixture::new().await;
    let many: Vec<usize> = (0..150).map(|at| 1 + (at * 7) % 40).collect();
    let scored = fixture.score(call("u4", many.iter().copied())).await.unwrap();
    assert_eq!(scored.coverage.rows, 150);
    let each = fixture.score(call("u4", 1..=30)).await.unwrap().ctr;
    let rest = fixture.score(call("u4", 31..=40)).await.unwrap().ctr;
    let each: Vec<f32> = each.iter().chain(rest.iter()).copied().collect();
    let expected: Vec<f32> = many.iter().map(|item| each[item - 1]).collect();
    near(&scored.ctr, &expected, 1e-5);
}

#[tokio::test(flavor = "multi_thread")]
async fn coverage_reports_the_origin_of_vectors() {
    let fixture = Fixture::new().await;
    let first = fixture.score(call("u2", [1, 2, 999])).await.unwrap();
    let coverage = first.coverage;
    assert_eq!((coverage.rows, coverage.encoded, coverage.missing), (3, 2, 1));
    assert_eq!(coverage.history, 2);
    assert!(first.batch_rows >= 3);
    let second = fixture.score(call("u2", [1, 2, 999])).await.unwrap().coverage;
    assert_eq!((second.memory, second.missing), (2, 1));
    assert_eq!(fixture.scoring.counts().missing_rows, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_events_before_the_request_time_count() {
    let fixture = Fixture::new().await;
    for model in [ModelKind::Unified, ModelKind::Idrec] {
        let at = |as_of| Score { as_of, model, ..call("u4", [1, 2]) };
        let early = fixture.score(at(2_000_001)).await.unwrap();
        let late = fixture.score(at(LATER)).await.unwrap();
        assert_eq!((early.coverage.history, late.coverage.history), (2, 4), "{model:?}");
        if model == ModelKind::Unified {
            assert_ne!(early.ctr, late.ctr);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_candidates_are_an_empty_answer_and_too_many_an_error() {
    let fixture = Fixture::new().await;
    let empty = fixture.score(call("u1", [])).await.unwrap();
    assert_eq!((empty.ctr.len(), empty.coverage.rows), (0, 0));
    let error = fixture.score(call("u1", 0..201)).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidArgument);
    assert!(error.message.contains("items") && error.message.contains("200"), "{error}");
}

/// The small bundle with another manifest; its vocabularies are read from the folder.
fn changed(change: impl FnOnce(&mut serde_json::Value)) -> (tempfile::TempDir, Arc<Bundle>) {
    let folder = tempfile::tempdir().unwrap();
    let source = small_folder();
    let text = std::fs::read_to_string(source.join("manifest.json")).unwrap();
    let mut manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
    change(&mut manifest);
    std::fs::create_dir(folder.path().join("vocab")).unwrap();
    for name in manifest["files"].as_object().unwrap().keys() {
        std::fs::copy(source.join(name), folder.path().join(name)).unwrap();
    }
    std::fs::write(folder.path().join("manifest.json"), manifest.to_string()).unwrap();
    let bundle = Arc::new(Bundle::open(folder.path()).unwrap());
    (folder, bundle)
}

/// One more bundle input is a source and its reader: `history.length` was added so.
#[tokio::test(flavor = "multi_thread")]
async fn the_length_of_the_history_is_an_input() {
    let (_folder, bundle) = changed(|manifest| {
        let inputs = manifest["graphs"]["unified"]["inputs"].as_array_mut().unwrap();
        let recency = inputs.iter_mut().find(|input| input["name"] == "recency").unwrap();
        recency["source"] = "history.length".into();
    });
    let (plain, fixture) = (Fixture::new().await, Fixture::with(bundle, options()).await);
    // Three seconds after the second entry the recency bucket is 2, and so is the length.
    let soon = Score { as_of: 2_003_000, ..call("u2", [1, 7, 2]) };
    let late = Score { as_of: LATER, ..soon.clone() };
    let expected = plain.score(soon.clone()).await.unwrap().ctr;
    assert_eq!(fixture.score(soon).await.unwrap().ctr, expected);
    assert_eq!(fixture.score(late.clone()).await.unwrap().ctr, expected);
    assert_ne!(plain.score(late).await.unwrap().ctr, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_without_idrec_scores_with_unified_and_reports_it() {
    let (_folder, bundle) = changed(|manifest| {
        for list in ["graphs", "calibration"] {
            manifest[list].as_object_mut().unwrap().remove("idrec");
        }
    });
    let fixture = Fixture::with(bundle, options()).await;
    let idrec = Score { model: ModelKind::Idrec, ..call("u1", [1]) };
    let scored = fixture.score(idrec).await.unwrap();
    let fell = scored.fell.unwrap();
    assert_eq!((scored.model, fell.code), (ModelKind::Unified, ErrorCode::InvalidArgument));
    assert!(fell.message.contains("idrec"), "{fell}");
    let unified = fixture.score(call("u1", [1])).await.unwrap();
    assert_eq!((unified.ctr, unified.fell), (scored.ctr, None));
}

/// An alteration of an answer.
type Fault = fn(Fetched) -> Fetched;

/// The real embedding role, with one fault.
struct Faulty {
    inner: Arc<EmbeddingService>,
    fault: Fault,
}

#[async_trait::async_trait]
impl Service<Fetch> for Faulty {
    async fn call(&self, context: Context, call: Fetch) -> Result<Fetched, CallError> {
        Ok((self.fault)(self.inner.call(context, call).await?))
    }
}

/// Makes the second item's record NaN throughout.
fn not_a_number(fetched: Fetched) -> Fetched {
    let (rows, dim, dtype) = (fetched.items.rows(), fetched.items.dim(), fetched.items.dtype());
    let width = fetched.items.row_bytes();
    let mut data = fetched.items.data().to_vec();
    data[width..2 * width].fill(0xff);
    let items = Matrix::new(rows, dim, dtype, data).unwrap();
    Fetched { items, ..fetched }
}

fn another_bundle(fetched: Fetched) -> Fetched {
    Fetched { bundle: "another-1".to_owned(), ..fetched }
}

fn a_row_too_few(fetched: Fetched) -> Fetched {
    let (rows, dim, dtype) = (fetched.items.rows(), fetched.items.dim(), fetched.items.dtype());
    let data = fetched.items.data()[fetched.items.row_bytes()..].to_vec();
    let items = Matrix::new(rows - 1, dim, dtype, data).unwrap();
    Fetched { items, ..fetched }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nan_score_sorts_last_and_does_not_affect_other_requests() {
    let fixture = Fixture::new().await;
    let whole = fixture.score(call("u3", [1, 2, 3])).await.unwrap().ctr;
    let faulty = Faulty { inner: fixture.embedding_role(), fault: not_a_number };
    let faulty = Arc::new(faulty);
    let some = ScoringOptions { max_not_finite_share: 0.5, ..options() };
    let service = fixture.beside(faulty.clone(), some);
    let scored = service.call(Context::background(), call("u3", [1, 2, 3])).await.unwrap();
    assert!(scored.ctr[1].is_nan());
    near(&[scored.ctr[0], scored.ctr[2]], &[whole[0], whole[2]], 1e-6);
    assert_eq!(service.counts().not_finite, 1);

    // Above the allowed share the rung below answers, with the reason.
    let few = ScoringOptions { max_not_finite_share: 0.1, ..options() };
    let service = fixture.beside(faulty, few);
    for _ in 0..40 {
        let scored = service.call(Context::background(), call("u3", [1, 2, 3])).await.unwrap();
        assert_eq!(scored.model, ModelKind::Idrec);
        assert!(scored.ctr.iter().all(|ctr| ctr.is_finite()));
        let fell = scored.fell.unwrap();
        assert_eq!(fell.code, ErrorCode::NotFinite, "{fell}");
        assert!(fell.message.contains("1 of 3"), "{fell}");
    }
    assert!(service.not_finite_share().unwrap() > 0.1, "readiness reports it");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_embedding_answer_is_refused_and_idrec_scores() {
    let fixture = Fixture::new().await;
    let faults: [(Fault, ErrorCode, &str); 2] = [
        (another_bundle, ErrorCode::Unavailable, "another-1"),
        (a_row_too_few, ErrorCode::Internal, "2 x"),
    ];
    for (fault, code, says) in faults {
        let faulty = Faulty { inner: fixture.embedding_role(), fault };
        let service = fixture.beside(Arc::new(faulty), options());
        let scored = service.call(Context::background(), call("u3", [1, 2, 3])).await.unwrap();
        assert_eq!((scored.model, scored.ctr.len()), (ModelKind::Idrec, 3));
        let error = scored.fell.unwrap();
        assert_eq!(error.code, code, "{error}");
        assert!(error.message.contains(says), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_request_leaves_the_queue() {
    let fixture = Fixture::new().await;
    fixture.score(call("u1", 1..=40)).await.unwrap();
    for _ in 0..20 {
        let scored = fixture.score(call("u1", 1..=40));
        // Polled at most a few times, then dropped wherever it is.
        let _ = tokio::time::timeout(std::time::Duration::from_micros(50), scored).await;
    }
    for _ in 0..2_000 {
        if fixture.scoring.waiting() == 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    assert_eq!(fixture.scoring.waiting(), 0);
    assert!(fixture.scoring.alive());
    assert_eq!(fixture.score(call("u1", [1])).await.unwrap().ctr.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_that_has_passed_is_an_error_at_once() {
    let fixture = Fixture::new().await;
    let context = Context::background().within(std::time::Duration::ZERO);
    let error = fixture.scoring.call(context, call("u1", [1])).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::DeadlineExceeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_shape_is_warmed_before_the_service_starts() {
    let fixture = Fixture::new().await;
    let mut steps = Vec::new();
    let options = ScoringOptions { workers: 2, ..options() };
    let parts = ScoringParts { options, ..fixture.parts() };
    let service = ScoringService::new(parts, &mut |graph, done, total| {
        steps.push((graph, done, total));
    });
    assert!(service.unwrap().alive());
    let unified = steps.iter().filter(|step| step.0 == GraphName::Unified);
    let unified: Vec<_> = unified.collect();
    // 2 workers x 3 history buckets x (3 + 2 user buckets for 8 and 32 candidates in 64 rows).
    assert_eq!(unified.len(), 2 * 3 * (3 + 2));
    assert!(unified.iter().all(|step| step.2 == unified.len()));
}
