//! Where candidates come from.

pub(crate) mod ann;
pub(crate) mod caller;
pub(crate) mod category;
pub(crate) mod co_visitation;
pub(crate) mod fresh;
pub(crate) mod popular;

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::{FutureExt, future::join_all};
use plugrank_contract::{inner_span, retrieval::Source as Kind};
use tracing::{Instrument, field::Empty};

use crate::{
    merge::RankedList,
    query::{Named, Query},
};

/// Names candidates for a request, best first.
///
/// A source need not leave out what the filters take out; but what [`Query::blocks`] it does well
/// not to count, so that enough is left.
#[async_trait]
pub(crate) trait Source: Send + Sync {
    /// What to call it in replies.
    fn kind(&self) -> Kind;
    /// How much its ranks count against other sources'.
    fn weight(&self) -> f64;
    /// Names candidates. Nothing to go by is no failure but an empty list.
    async fn retrieve(&self, query: &Arc<Query>) -> Result<Vec<Named>, String>;
}

/// What the sources gave, and which failed and why.
pub(crate) struct Gathered {
    pub(crate) lists: Vec<RankedList<Kind>>,
    pub(crate) failed: Vec<(Kind, String)>,
}

/// Asks all sources side by side. One that fails, panics or takes longer than `allowed` is
/// reported; the others still answer.
pub(crate) async fn gather(
    sources: &[Box<dyn Source>],
    query: &Arc<Query>,
    allowed: Option<Duration>,
) -> Gathered {
    let answers = join_all(sources.iter().map(|source| ask(source.as_ref(), query, allowed))).await;
    let mut gathered = Gathered { lists: Vec::new(), failed: Vec::new() };
    for (source, answer) in sources.iter().zip(answers) {
        match answer {
            Ok(items) => gathered.lists.push(RankedList {
                source: source.kind(),
                weight: source.weight(),
                items,
            }),
            Err(reason) => gathered.failed.push((source.kind(), reason)),
        }
    }
    gathered
}

async fn ask(
    source: &dyn Source,
    query: &Arc<Query>,
    allowed: Option<Duration>,
) -> Result<Vec<Named>, String> {
    let span = inner_span!(
        "source",
        otel.name = format!("source {:?}", source.kind()),
        otel.status_code = Empty,
        otel.status_description = Empty,
        retrieval.candidates = Empty,
    );
    let answer = in_time(source, query, allowed).instrument(span.clone()).await;
    match &answer {
        Ok(named) => {
            span.record("retrieval.candidates", named.len() as i64);
        }
        Err(reason) => {
            span.record("otel.status_code", "ERROR");
            span.record("otel.status_description", reason.as_str());
        }
    }
    answer
}

async fn in_time(
    source: &dyn Source,
    query: &Arc<Query>,
    allowed: Option<Duration>,
) -> Result<Vec<Named>, String> {
    let answer = AssertUnwindSafe(source.retrieve(query)).catch_unwind();
    let answer = match allowed {
        None => answer.await,
        Some(allowed) => tokio::time::timeout(allowed, answer)
            .await
            .map_err(|_| format!("did not answer within {} ms", allowed.as_millis()))?,
    };
    answer.unwrap_or_else(|panic| {
        let what = panic
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no message");
        tracing::error!(source = ?source.kind(), panic = what, "a source panicked");
        Err(format!("panicked: {what}"))
    })
}

/// Why a source that goes by clicks cannot answer, when they could not be read.
pub(crate) fn clicks_at_hand(query: &Query) -> Result<(), String> {
    match &query.clicks_failed {
        None => Ok(()),
        Some(reason) => Err(format!("the user's clicks cannot be read: {reason}")),
    }
}

/// The first items of a ranking until `enough` of them are not blocked. Blocked ones that are
/// passed on the way are named too, so that the filters can say what became of them.
pub(crate) fn take_unblocked(
    ranking: impl Iterator<Item = u32>,
    query: &Query,
    enough: usize,
) -> Vec<Named> {
    let mut named = Vec::with_capacity(enough);
    let mut free = 0;
    for index in ranking {
        if free == enough {
            break;
        }
        free += usize::from(!query.blocks(index));
        named.push(Named::Known(index));
    }
    named
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use async_trait::async_trait;
    use plugrank_contract::retrieval::Source as Kind;

    use super::{Source, gather, take_unblocked};
    use crate::query::{Named, Query};

    struct Fixed(Kind, Behaviour);

    enum Behaviour {
        Answer,
        Fail,
        Panic,
        Hang,
    }

    #[async_trait]
    impl Source for Fixed {
        fn kind(&self) -> Kind {
            self.0
        }
        fn weight(&self) -> f64 {
            1.0
        }
        async fn retrieve(&self, _: &Arc<Query>) -> Result<Vec<Named>, String> {
            match self.1 {
                Behaviour::Answer => Ok(vec![Named::Known(1)]),
                Behaviour::Fail => Err("no luck".to_owned()),
                Behaviour::Panic => panic!("a defect"),
                Behaviour::Hang => std::future::pending().await,
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_others_still_answer() {
        let sources: Vec<Box<dyn Source>> = vec![
            Box::new(Fixed(Kind::Ann, Behaviour::Panic)),
            Box::new(Fixed(Kind::CoVisitation, Behaviour::Fail)),
            Box::new(Fixed(Kind::Category, Behaviour::Hang)),
            Box::new(Fixed(Kind::Popular, Behaviour::Answer)),
        ];
        let query = Arc::new(Query::default());
        let gathered = gather(&sources, &query, Some(Duration::from_millis(25))).await;
        assert_eq!(
            gathered.failed,
            [
                (Kind::Ann, "panicked: a defect".to_owned()),
                (Kind::CoVisitation, "no luck".to_owned()),
                (Kind::Category, "did not answer within 25 ms".to_owned()),
            ]
        );
        assert_eq!(gathered.lists.len(), 1);
        assert_eq!(gathered.lists[0].source, Kind::Popular);
    }

    #[test]
    fn blocked_items_do_not_count() {
        let query = Query { seen: [0, 1, 3].into(), ..Query::default() };
        let named = take_unblocked(0..100, &query, 2);
        assert_eq!(named, [0, 1, 2, 3, 4].map(Named::Known));
        assert_eq!(take_unblocked(0..100, &query, 0), []);
    }
}
