//! The promises of [`plugrank_store::Store`], held against every implementation.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod changes;
mod concurrency;
mod fixtures;
mod model;
mod promises;
mod redis_cluster;
mod redis_failover;
mod redis_failures;
mod redis_server;
mod redis_tls;
mod vector_sets;
mod views;

use std::pin::Pin;

use plugrank_store::{
    EmbeddedOptions, EmbeddedStore, RedisOptions, RedisServers, RedisStore, Store,
};

/// Runs a test on a runtime of its own.
fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("runtime")
        .block_on(test);
}

/// Makes a future in a frame of its own: without optimization, a caller of many has room for all of
/// them on its stack at once, and there is not enough of it.
fn boxed<F: Future>(make: impl FnOnce() -> F) -> Pin<Box<F>> {
    Box::pin(make())
}

/// One test per promise and implementation; in a cluster all in one, for a cluster takes long to
/// start.
macro_rules! promises {
    ($($promise:ident),+ $(,)?) => {
        mod embedded {
            $(
                #[test]
                fn $promise() {
                    let dir = tempfile::tempdir().expect("temporary directory");
                    let store = super::embedded_store(dir.path());
                    super::run(super::promises::$promise(store));
                }
            )+
        }
        mod redis {
            $(
                #[test]
                fn $promise() {
                    let server = super::redis_server::RedisServer::start();
                    super::run(async {
                        let store = super::redis_store(&server.servers(), "plugrank").await;
                        super::promises::$promise(store).await;
                    });
                }
            )+
        }
        #[test]
        fn a_cluster_keeps_every_promise() {
            let cluster = redis_cluster::RedisCluster::start();
            run(async {
                let servers = cluster.servers();
                $(
                    println!(stringify!($promise));
                    let store = boxed(|| redis_store(&servers, stringify!($promise))).await;
                    boxed(|| promises::$promise(store)).await;
                )+
                boxed(|| changes::redis_tells_every_change(&servers)).await;
            });
        }
    };
}

fn embedded_store(dir: &std::path::Path) -> std::sync::Arc<dyn Store> {
    let store = EmbeddedStore::open(&dir.join("store.redb"), EmbeddedOptions::default());
    std::sync::Arc::new(store.expect("a fresh store"))
}

async fn redis_store(servers: &RedisServers, namespace: &str) -> std::sync::Arc<dyn Store> {
    let options = RedisOptions { namespace: namespace.into(), ..RedisOptions::default() };
    let store = RedisStore::connect(servers, options).await;
    std::sync::Arc::new(store.expect("a fresh namespace"))
}

promises!(
    items_read_back_as_written,
    an_item_is_replaced_whole,
    the_last_of_equal_items_stays,
    deleted_items_are_gone,
    a_scan_sees_every_item_once,
    users_read_back_and_are_replaced,
    an_event_counts_once,
    an_event_id_belongs_to_one_event_of_a_user,
    a_click_takes_the_place_of_its_impression,
    a_click_may_come_first,
    requests_items_and_users_are_kept_apart,
    events_without_request_stand_alone,
    history_is_cut_strictly_before,
    history_keeps_clicks_among_many_impressions,
    history_orders_equal_times_by_id,
    history_takes_any_time_and_id,
    bulk_history_is_idempotent,
    all_histories_are_scanned,
    statistics_are_replaced_and_extended,
    neighbours_read_back,
    vector_spaces_never_mix,
    empty_calls_are_no_error,
    concurrent_events_are_all_counted,
    concurrent_repeats_are_new_once,
    readers_never_see_less_than_was_confirmed,
    views_are_never_older_than_what_was_confirmed,
    a_view_is_profile_and_history,
    a_view_has_what_was_written_before,
    a_view_has_as_much_as_is_asked_for,
    a_view_ends_before_its_moment,
    a_follower_is_woken,
    history_agrees_with_the_model,
);
