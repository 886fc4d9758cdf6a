//! Fakes of the services behind the gateway: each does what the test tells it to.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use parking_lot::Mutex;
use plugrank_contract::{
    Call, CallError, Context, ErrorCode, ItemId, UserRead,
    embedding::Invalidate,
    reranking::{Place, Rerank, Reranked},
    retrieval::{
        Dropped, Name, ObserveEvents, RefreshItems, Retrieve, Retrieved, Similar, SimilarItems,
        SourceSet, UNKNOWN,
    },
    scoring::{
        CheckFeatures, FeaturesChecked, RecordCoverage, Score, Scored, ScoringLoad, WrongFeature,
    },
};
use plugrank_transport::Service;

/// What a fake does next; without one it answers.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    Fail(ErrorCode),
    /// Fails, with the time after which to try again.
    FailFor(ErrorCode, Duration),
    /// Refuses the call for the value at this JSON pointer.
    Refuse(&'static str),
    /// Answers, and reports this backlog.
    Backlog(Duration),
    Hang,
    Panic,
    /// Answers with an invalid reply.
    Misbehave,
}

/// A fake service: its next acts, and the calls that it received.
pub(crate) struct Fake<C> {
    acts: Mutex<VecDeque<Act>>,
    calls: Mutex<Vec<(Context, C)>>,
    backlog: Mutex<Duration>,
    dropped: AtomicUsize,
}

/// Counts calls that were dropped while they hung.
struct Hanging<'a>(&'a AtomicUsize);

impl Drop for Hanging<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl<C: Call> Fake<C> {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            acts: Mutex::default(),
            calls: Mutex::default(),
            backlog: Mutex::default(),
            dropped: AtomicUsize::new(0),
        })
    }

    pub(crate) fn next(&self, act: Act) {
        self.acts.lock().push_back(act);
    }

    pub(crate) fn calls(&self) -> Vec<(Context, C)> {
        self.calls.lock().clone()
    }

    /// Calls that were dropped while they hung.
    pub(crate) fn dropped(&self) -> usize {
        self.dropped.load(Ordering::SeqCst)
    }

    /// Records the call and performs the next act; whether the reply has to be invalid.
    async fn act(&self, context: Context, call: C) -> Result<bool, CallError> {
        self.calls.lock().push((context, call));
        let act = self.acts.lock().pop_front();
        match act {
            None => Ok(false),
            Some(Act::Misbehave) => Ok(true),
            Some(Act::Fail(code)) => Err(CallError::new(code, "told to fail")),
            Some(Act::Panic) => panic!("told to panic"),
            Some(Act::FailFor(code, time)) => {
                Err(CallError::new(code, "told to fail").retry_after(time))
            }
            Some(Act::Refuse(pointer)) => Err(CallError::invalid("told to refuse").at(pointer)),
            Some(Act::Backlog(time)) => {
                *self.backlog.lock() = time;
                Ok(false)
            }
            Some(Act::Hang) => {
                let _counted = Hanging(&self.dropped);
                std::future::pending().await
            }
        }
    }
}

/// The catalog retrieval knows: items `i1` to `i40`.
pub(crate) const CATALOG: usize = 40;

#[async_trait]
impl Service<Retrieve> for Fake<Retrieve> {
    async fn call(&self, context: Context, call: Retrieve) -> Result<Retrieved, CallError> {
        let partial = self.act(context, call.clone()).await?;
        let known: Vec<ItemId> = (1..=CATALOG).map(|n| ItemId::from(format!("i{n}"))).collect();
        let source = usize::from(call.candidates.is_none());
        let asked = call.candidates.map_or(known.clone(), |given| given.ids().cloned().collect());
        let excluded: Vec<ItemId> = call.exclude.ids().cloned().collect();
        let (mut candidates, mut dropped) = (Vec::new(), Vec::new());
        for item_id in asked {
            if !known.contains(&item_id) {
                dropped.push(Dropped { item_id, reason: UNKNOWN });
            } else if excluded.contains(&item_id) {
                dropped.push(Dropped { item_id, reason: Name::Borrowed("excluded") });
            } else {
                candidates.push(item_id);
            }
        }
        let unknown = dropped.iter().filter(|one| one.reason == UNKNOWN).count() as u32;
        let failed = (Name::Borrowed("ann"), "no index".to_owned());
        Ok(Retrieved {
            sources: vec![SourceSet::only(source); candidates.len()],
            candidates: candidates.into(),
            source_names: [Name::Borrowed("caller"), Name::Borrowed("popular")].into(),
            dropped_total: dropped.len() as u32,
            dropped: if call.explain { dropped } else { Vec::new() },
            unknown,
            failed: if partial { vec![failed] } else { Vec::new() },
            user: UserRead::NotRead,
        })
    }
}

#[async_trait]
impl Service<Similar> for Fake<Similar> {
    async fn call(&self, context: Context, call: Similar) -> Result<SimilarItems, CallError> {
        self.act(context, call.clone()).await?;
        let near: Vec<ItemId> = (2..2 + call.k).map(|n| ItemId::from(format!("i{n}"))).collect();
        let similarity = (1..=call.k).map(|n| 1.0 / n as f32).collect();
        Ok(SimilarItems { items: near.into(), similarity, bundle: "test-1".to_owned() })
    }
}

/// The probability that the fake gives an item: rising with its number, so that the order by
/// probability is the reverse of retrieval's.
pub(crate) fn ctr(item_id: &str) -> f32 {
    item_id[1..].parse::<f32>().unwrap() / 100.0
}

#[async_trait]
impl Service<Score> for Fake<Score> {
    async fn call(&self, context: Context, call: Score) -> Result<Scored, CallError> {
        let misbehave = self.act(context, call.clone()).await?;
        let rows = call.items.len() as u32;
        let mut scores: Vec<f32> = call.items.ids().map(|id| ctr(id.as_str())).collect();
        if misbehave {
            scores.pop();
        }
        // An item that the model scores NaN.
        for (id, score) in call.items.ids().zip(&mut scores) {
            if call.user_id.as_str() == "nan" && id.as_str() == "i40" {
                *score = f32::NAN;
            }
        }
        let coverage =
            RecordCoverage { rows, memory: rows - 1, store: 0, encoded: 0, missing: 1, history: 3 };
        Ok(Scored {
            bundle: "test-1".into(),
            ctr: scores.into(),
            scores: Vec::new(),
            value: None,
            facts: None,
            model: call.model,
            fell: None,
            late: None,
            coverage,
            batch_rows: 64,
            load: ScoringLoad { backlog_us: self.backlog.lock().as_micros() as u32 },
        })
    }
}

/// Reads numbers of `price`, and anything of other features.
#[async_trait]
impl Service<CheckFeatures> for Fake<CheckFeatures> {
    async fn call(
        &self,
        context: Context,
        call: CheckFeatures,
    ) -> Result<FeaturesChecked, CallError> {
        self.act(context, call.clone()).await?;
        let wrong = call.values.iter().map(|values| {
            let text = values.get("price").filter(|price| price.numbers().is_empty())?;
            let detail = format!("is {}; the model reads a number", text.kind());
            Some(WrongFeature { name: "price".to_owned(), detail })
        });
        Ok(FeaturesChecked { wrong: wrong.collect() })
    }
}

#[async_trait]
impl Service<Rerank> for Fake<Rerank> {
    async fn call(&self, context: Context, call: Rerank) -> Result<Reranked, CallError> {
        let misbehave = self.act(context, call.clone()).await?;
        let mut order: Vec<u32> = (0..call.ctr.len() as u32).collect();
        let ctr = |candidate: u32| call.ctr[candidate as usize];
        order.sort_by(|a, b| ctr(*b).total_cmp(&ctr(*a)));
        if misbehave {
            order.insert(0, order[0]);
        }
        let places = order.into_iter().take(call.k as usize).map(|candidate| Place {
            candidate,
            score: ctr(candidate) * 2.0,
            rule: Name::Borrowed("ranked"),
            propensity: None,
        });
        Ok(Reranked { places: places.collect(), moves: Vec::new(), skipped: Vec::new() })
    }
}

macro_rules! notice {
    ($call:ty) => {
        #[async_trait]
        impl Service<$call> for Fake<$call> {
            async fn call(&self, context: Context, call: $call) -> Result<(), CallError> {
                self.act(context, call).await.map(|_| ())
            }
        }
    };
}

notice!(ObserveEvents);
notice!(RefreshItems);
notice!(Invalidate);
