//! Stand-ins for the services behind the gateway: each does what it is told to.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use plugrank_contract::{
    Call, CallError, Context, ErrorCode, ItemId,
    embedding::Invalidate,
    reranking::{Placement, Ranked, Rerank, Reranked},
    retrieval::{
        Candidate, DropReason, Dropped, ObserveEvents, RefreshItems, Retrieve, Retrieved, Source,
    },
    scoring::{Coverage, Load, Score, Scored},
};
use plugrank_transport::Service;

/// What a stand-in does next; it answers when it was told nothing.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    Fail(ErrorCode),
    /// Fails, with the time after which to try again.
    FailFor(ErrorCode, Duration),
    /// Answers, and says how long its queue would take.
    Backlog(Duration),
    Hang,
    Panic,
    /// Breaks the promise of its reply.
    Misbehave,
}

/// One stand-in: what it shall do, and what it was asked.
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
        self.acts.lock().unwrap().push_back(act);
    }

    pub(crate) fn calls(&self) -> Vec<(Context, C)> {
        self.calls.lock().unwrap().clone()
    }

    /// Calls that were dropped while they hung.
    pub(crate) fn dropped(&self) -> usize {
        self.dropped.load(Ordering::SeqCst)
    }

    /// Notes the call and does what it was told; whether to misbehave.
    async fn act(&self, context: Context, call: C) -> Result<bool, CallError> {
        self.calls.lock().unwrap().push((context, call));
        let act = self.acts.lock().unwrap().pop_front();
        match act {
            None => Ok(false),
            Some(Act::Misbehave) => Ok(true),
            Some(Act::Fail(code)) => Err(CallError::new(code, "told to fail")),
            Some(Act::Panic) => panic!("told to panic"),
            Some(Act::FailFor(code, time)) => {
                Err(CallError::new(code, "told to fail").retry_after(time))
            }
            Some(Act::Backlog(time)) => {
                *self.backlog.lock().unwrap() = time;
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
        let source = if call.candidates.is_some() { Source::Caller } else { Source::Popular };
        let asked = call.candidates.unwrap_or_else(|| known.clone());
        let mut reply = Retrieved {
            candidates: Vec::new(),
            dropped: Vec::new(),
            dropped_total: 0,
            failed: Vec::new(),
        };
        for item_id in asked {
            let reason = if !known.contains(&item_id) {
                Some(DropReason::Unknown)
            } else if call.exclude.contains(&item_id) {
                Some(DropReason::Excluded)
            } else {
                None
            };
            match reason {
                Some(reason) => reply.dropped.push(Dropped { item_id, reason }),
                None => reply.candidates.push(Candidate { item_id, sources: vec![source] }),
            }
        }
        reply.dropped_total = reply.dropped.len() as u32;
        if partial {
            reply.failed.push((Source::Ann, "no index".to_owned()));
        }
        Ok(reply)
    }
}

/// The probability the stand-in gives an item: rising with its number, so that the order by
/// probability is the reverse of retrieval's.
pub(crate) fn ctr(item_id: &str) -> f32 {
    item_id[1..].parse::<f32>().unwrap() / 100.0
}

#[async_trait]
impl Service<Score> for Fake<Score> {
    async fn call(&self, context: Context, call: Score) -> Result<Scored, CallError> {
        let misbehave = self.act(context, call.clone()).await?;
        let rows = call.item_ids.len() as u32;
        let mut scores: Vec<f32> = call.item_ids.iter().map(|id| ctr(id.as_str())).collect();
        if misbehave {
            scores.pop();
        }
        // One item the model goes wrong on.
        for (id, score) in call.item_ids.iter().zip(&mut scores) {
            if call.user_id.as_str() == "nan" && id.as_str() == "i40" {
                *score = f32::NAN;
            }
        }
        let coverage =
            Coverage { rows, memory: rows - 1, store: 0, encoded: 0, missing: 1, history: 3 };
        Ok(Scored {
            bundle: "test-1".to_owned(),
            ctr: scores,
            model: call.model,
            fell: None,
            late: None,
            coverage,
            batch_rows: 64,
            load: Load { backlog_us: self.backlog.lock().unwrap().as_micros() as u32 },
        })
    }
}

#[async_trait]
impl Service<Rerank> for Fake<Rerank> {
    async fn call(&self, context: Context, call: Rerank) -> Result<Reranked, CallError> {
        let misbehave = self.act(context, call.clone()).await?;
        let mut candidates = call.candidates;
        candidates.sort_by(|a, b| b.ctr.total_cmp(&a.ctr));
        if misbehave {
            let first = candidates[0].clone();
            candidates.insert(0, first);
        }
        let placed = candidates.into_iter().take(call.k as usize).map(|candidate| Ranked {
            item_id: candidate.item_id,
            score: candidate.ctr * 2.0,
            ctr: candidate.ctr,
            sources: candidate.sources,
            placement: Placement::Ranked,
        });
        Ok(Reranked { items: placed.collect(), skipped: Vec::new() })
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
