use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::FutureExt;
use plugrank_contract::Deadline;
use plugrank_contract::retrieval::SourceSet;
use tokio::time::Instant;

use super::{
    Found, RetrievalSource, SOURCES, SourceRequest, Sources, gather, listed, take_unblocked,
};
use crate::{
    RetrievalOptions, answer::Answer, options::Quota, query::RetrievalQuery, testing::Fixture,
};

/// A source with a behaviour of the test's.
macro_rules! source {
    ($name:ident, $text:literal, $answer:expr) => {
        struct $name;

        impl RetrievalSource for $name {
            const NAME: &'static str = $text;
            const QUOTA: Quota = Quota { share: 0.5, weight: 1.0 };
            fn new(_: &RetrievalOptions) -> Self {
                Self
            }
            fn retrieve<'a>(
                &'a self,
                request: SourceRequest<'a>,
                enough: usize,
            ) -> Answer<'a, Found> {
                let answer: fn(SourceRequest<'a>, usize) -> Answer<'a, Found> = $answer;
                answer(request, enough)
            }
        }
    };
}

source!(Steady, "steady", |_, enough| Answer::Now(Ok((0..enough as u32).collect())));
source!(Slow, "slow", |_, _| Answer::Later(async { Ok(vec![1]) }.boxed()));
source!(Failing, "failing", |_, _| Answer::Now(Err("no luck".to_owned())));
source!(Panicking, "panicking", |_, _| panic!("a defect"));
source!(LatePanic, "late_panic", |_, _| Answer::Later(async { panic!("another") }.boxed()));
source!(Hanging, "hanging", |_, _| Answer::Later(std::future::pending().boxed()));

#[tokio::test(start_paused = true)]
async fn a_failing_or_hanging_source_does_not_affect_the_others() {
    let sources = [
        listed::<Panicking>(),
        listed::<LatePanic>(),
        listed::<Failing>(),
        listed::<Hanging>(),
        listed::<Slow>(),
        listed::<Steady>(),
    ];
    let fixture = Fixture::new();
    let options = RetrievalOptions { quotas: BTreeMap::new(), ..RetrievalOptions::default() };
    let sources = Sources::listed(&sources, &options).unwrap();
    let query = Arc::new(RetrievalQuery { limit: 4, ..RetrievalQuery::default() });
    let view = fixture.state.items.view();
    let request = SourceRequest { state: &fixture.state, view: &view, query: &query };
    let until = Instant::now() + Duration::from_millis(25);
    let gathered = gather(sources.asked(&sources.plan), request, Deadline::at(until)).await;
    let failed: Vec<(&str, &str)> =
        gathered.failed.iter().map(|(name, reason)| (&**name, reason.as_str())).collect();
    assert_eq!(
        failed,
        [
            ("panicking", "panicked: a defect"),
            ("late_panic", "panicked: another"),
            ("failing", "no luck"),
            ("hanging", "did not answer within 25 ms"),
        ]
    );
    let lists: Vec<_> = gathered.lists.iter().map(|list| (list.source, list.items)).collect();
    assert_eq!(lists, [(SourceSet::only(4), &[1][..]), (SourceSet::only(5), &[0, 1])]);
}

#[tokio::test]
async fn one_more_source_is_one_line() {
    let mut listing = SOURCES.to_vec();
    listing.push(listed::<Steady>());
    let mut options = RetrievalOptions::default();
    options.quotas.insert("fresh".to_owned(), Quota { share: 0.0, weight: 1.0 });
    let sources = Sources::listed(&listing, &options).unwrap();
    let last = SOURCES.len();
    let names: Vec<&str> = sources.names.iter().map(|name| &**name).collect();
    assert_eq!(names[..5], ["ann", "co_visitation", "category", "popular", "fresh"]);
    assert_eq!(names[last..], ["steady", "caller"]);
    let active: Vec<&str> = sources.asked(&sources.plan).map(|(source, _)| source.name).collect();
    assert!(!active.contains(&"fresh") && active.last() == Some(&"steady"), "{active:?}");
    assert_eq!(
        (sources.popular(), sources.caller()),
        (SourceSet::only(3), SourceSet::only(last + 1))
    );

    let fixture = Fixture::new();
    let query = Arc::new(RetrievalQuery { limit: 3, ..RetrievalQuery::default() });
    let view = fixture.state.items.view();
    let request = SourceRequest { state: &fixture.state, view: &view, query: &query };
    // No deadline and nothing to wait for: the answer is there at the first poll.
    let gathered = gather(sources.asked(&sources.plan), request, Deadline::NONE)
        .now_or_never()
        .expect("no wait");
    assert!(gathered.failed.is_empty(), "{:?}", gathered.failed);
    let steady = gathered.lists.iter().last().expect("a list");
    assert_eq!((steady.source, steady.items), (SourceSet::only(last), &[0, 1][..]));
}

#[test]
fn blocked_items_do_not_count_towards_the_quota() {
    let query =
        RetrievalQuery { seen: [0, 1, 3].into_iter().collect(), ..RetrievalQuery::default() };
    assert_eq!(take_unblocked(0..100, &query, 2), [0, 1, 2, 3, 4]);
    assert!(take_unblocked(0..100, &query, 0).is_empty());
}

#[test]
fn quotas_of_unknown_sources_or_out_of_range_are_refused() {
    let wrong = |name: &str, share: f64| {
        let mut options = RetrievalOptions::default();
        options.quotas.insert("ann".to_owned(), Quota { share: 0.7, weight: 2.0 });
        Sources::new(&options).unwrap_or_else(|error| panic!("{error}"));
        options.quotas.insert(name.to_owned(), Quota { share, weight: 1.0 });
        Sources::new(&options).err().expect("a wrong quota").to_string()
    };
    let message = wrong("an", 0.1);
    for part in ["`quotas.an`", "ann, co_visitation, category, popular, fresh"] {
        assert!(message.contains(part), "{message}");
    }
    assert!(wrong("fresh", -0.1).contains("`quotas.fresh`"));
}
