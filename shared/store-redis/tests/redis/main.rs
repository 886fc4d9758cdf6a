//! The store on real Redis servers: the contract tests, on one server and in a cluster, and what only
//! Redis does.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod changes;
mod cluster;
mod failover;
mod failures;
mod migrate;
mod retention;
mod server;
mod tls;
mod vector_sets;

use std::pin::Pin;

use plugrank_store::contract_tests::{self, AnyStore, run};
use plugrank_store_redis::{RedisConnection, RedisOptions, RedisStore};

/// Makes a future in a frame of its own: without optimization, a caller of many has room for all of
/// them on its stack at once, and there is not enough of it.
fn boxed<F: Future>(make: impl FnOnce() -> F) -> Pin<Box<F>> {
    Box::pin(make())
}

async fn redis_store(servers: &RedisConnection, namespace: &str) -> AnyStore {
    let options = RedisOptions { namespace: namespace.into(), ..RedisOptions::default() };
    let store = RedisStore::connect(servers, options).await;
    std::sync::Arc::new(store.expect("a fresh namespace"))
}

/// One test each on a server; in a cluster all in one, for a cluster takes long to start.
macro_rules! on_redis {
    ($($test:ident),+ $(,)?) => {
        mod one_server {
            $(
                #[test]
                fn $test() {
                    let server = super::server::RedisServer::start();
                    super::run(async {
                        let store = super::redis_store(&server.servers(), "plugrank").await;
                        super::contract_tests::$test(store).await;
                    });
                }
            )+
        }
        #[test]
        fn a_cluster_passes_the_store_contract() {
            let cluster = cluster::RedisCluster::start();
            run(async {
                let servers = cluster.servers();
                $(
                    println!(stringify!($test));
                    let store = boxed(|| redis_store(&servers, stringify!($test))).await;
                    boxed(|| contract_tests::$test(store)).await;
                )+
                boxed(|| changes::redis_tells_every_change(&servers)).await;
            });
        }
    };
}
plugrank_store::for_each_contract_test!(on_redis);
