//! A service in several processes: load balancing, hedging, retries, ejection.
#![expect(clippy::unwrap_used, reason = "a test fails by it")]

use std::{
    net::{SocketAddr, TcpListener},
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use actix_web::{App, HttpResponse, HttpServer, dev::ServerHandle, web};
use async_trait::async_trait;
use plugrank_body::BodyMemory;
use plugrank_contract::{Call, CallError, Context, ErrorCode};
use plugrank_transport::{
    Client, EndpointStatus, Local, LocalOptions, PeerOptions, Remote, RemoteOptions, Service,
    server,
};
use serde::{Deserialize, Serialize};

/// An idempotent call.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Ask;
/// A call that is not idempotent.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Order;
/// A call to every replica.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Notice;

impl Call for Ask {
    type Reply = usize;
    const PATH: &'static str = "/rpc/v1/test/ask";
    const IDEMPOTENT: bool = true;
}

impl Call for Order {
    type Reply = usize;
    const PATH: &'static str = "/rpc/v1/test/order";
    const IDEMPOTENT: bool = false;
}

impl Call for Notice {
    type Reply = ();
    const PATH: &'static str = "/rpc/v1/test/notice";
    const IDEMPOTENT: bool = true;
    const EVERY_REPLICA: bool = true;
}

/// A process of the service.
struct Replica {
    number: usize,
    /// It takes calls and answers none.
    stuck: AtomicBool,
    /// It answers every call with this.
    fails: Option<CallError>,
    asked: AtomicU64,
    noticed: AtomicU64,
}

impl Replica {
    async fn answer(&self) -> Result<usize, CallError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.stuck.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        self.fails.clone().map_or(Ok(self.number), Err)
    }
}

#[async_trait]
impl Service<Ask> for Replica {
    async fn call(&self, _: Context, _: Ask) -> Result<usize, CallError> {
        self.answer().await
    }
}

#[async_trait]
impl Service<Order> for Replica {
    async fn call(&self, _: Context, _: Order) -> Result<usize, CallError> {
        self.answer().await
    }
}

#[async_trait]
impl Service<Notice> for Replica {
    async fn call(&self, _: Context, _: Notice) -> Result<(), CallError> {
        if self.stuck.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        self.noticed.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

struct Served {
    replica: Arc<Replica>,
    address: SocketAddr,
    handle: ServerHandle,
}

fn serve(number: usize, fails: Option<CallError>, address: &str) -> Served {
    let zero = AtomicU64::default;
    let stuck = AtomicBool::new(false);
    let replica = Arc::new(Replica { number, stuck, fails, asked: zero(), noticed: zero() });
    let options = LocalOptions { name: "test", max_in_flight: NonZeroUsize::new(64).unwrap() };
    let local = Local::start_here(Arc::clone(&replica), &options);
    let http = HttpServer::new(move || {
        let local = local.clone();
        App::new()
            .app_data(server::body_reader(Duration::from_secs(5), BodyMemory::new(64 << 20)))
            .configure(move |config| {
                server::route::<Ask>(config, Arc::new(local.clone()));
                server::route::<Order>(config, Arc::new(local.clone()));
                server::route::<Notice>(config, Arc::new(local));
            })
            .route("/readyz", web::get().to(HttpResponse::Ok))
    })
    .workers(1)
    .disable_signals()
    .bind(address)
    .unwrap();
    let address = http.addrs()[0];
    let server = http.run();
    let handle = server.handle();
    actix::spawn(server);
    Served { replica, address, handle }
}

const ANYWHERE: &str = "127.0.0.1:0";

fn nobody() -> SocketAddr {
    TcpListener::bind(ANYWHERE).unwrap().local_addr().unwrap()
}

fn options(addresses: &[SocketAddr]) -> RemoteOptions {
    RemoteOptions {
        name: "test",
        base_urls: addresses.iter().map(|address| format!("http://{address}")).collect(),
        peers: PeerOptions {
            hedge: false,
            eject_after: 3,
            eject_ms: 100,
            eject_max_ms: 200,
            ..PeerOptions::default()
        },
        token: None,
    }
}

fn hedged(addresses: &[SocketAddr]) -> RemoteOptions {
    let mut options = options(addresses);
    (options.peers.hedge, options.peers.hedge_after_ms) = (true, Some(50));
    options
}

/// The same options, by which no endpoint is ever ejected.
fn never_ejecting(mut options: RemoteOptions) -> RemoteOptions {
    options.peers = PeerOptions {
        eject_after: u32::MAX,
        eject_share: f64::INFINITY,
        eject_ms: 500,
        eject_max_ms: 2_000,
        ..options.peers
    };
    options
}

fn remote(options: &RemoteOptions) -> Remote {
    Remote::new(options).unwrap()
}

async fn ask(remote: &Remote) -> Result<usize, CallError> {
    let client: Client<Ask> = Arc::new(remote.clone());
    client.call(Context::background().within(Duration::from_secs(20)), Ask).await
}

async fn order(remote: &Remote, within_ms: u64) -> Result<usize, CallError> {
    let client: Client<Order> = Arc::new(remote.clone());
    client.call(Context::background().within(Duration::from_millis(within_ms)), Order).await
}

fn status(remote: &Remote, address: SocketAddr) -> EndpointStatus {
    let all = remote.endpoints();
    all.into_iter().find(|status| status.address == address.to_string()).unwrap()
}

async fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[actix::test]
async fn calls_are_balanced() {
    let [a, b] = [1, 2].map(|number| serve(number, None, ANYWHERE));
    let remote = remote(&options(&[a.address, b.address]));
    for _ in 0..40 {
        ask(&remote).await.unwrap();
    }
    for served in [&a, &b] {
        assert!(served.replica.asked.load(Ordering::SeqCst) > 5);
    }
}

#[actix::test]
async fn an_unreachable_replica_is_ejected_and_restored() {
    let here = serve(1, None, ANYWHERE);
    let gone = nobody();
    let remote = remote(&options(&[here.address, gone]));
    for _ in 0..30 {
        assert_eq!(ask(&remote).await, Ok(1));
        assert_eq!(
            order(&remote, 20_000).await,
            Ok(1),
            "a failed connection is retried, as nothing was sent"
        );
    }
    let out = status(&remote, gone);
    assert!(out.ejected && out.ejections == 1, "{out:?}");
    assert_eq!((out.requests, out.failures), (3, 3));
    assert_eq!(status(&remote, here.address).retries, 3);
    let back = serve(2, None, &gone.to_string());
    wait_until("it is called again", || !status(&remote, gone).ejected).await;
    for _ in 0..30 {
        ask(&remote).await.unwrap();
    }
    assert!(back.replica.asked.load(Ordering::SeqCst) > 0);
}

#[actix::test]
async fn a_hanging_replica_is_hedged_then_ejected() {
    let [a, b] = [1, 2].map(|number| serve(number, None, ANYWHERE));
    let remote = remote(&hedged(&[a.address, b.address]));
    a.replica.stuck.store(true, Ordering::SeqCst);
    for _ in 0..30 {
        assert_eq!(ask(&remote).await, Ok(2));
    }
    let stuck = status(&remote, a.address);
    assert!(stuck.failures >= 3 && stuck.ejections > 0, "{stuck:?}");
    assert!(status(&remote, b.address).hedges >= 3);
    a.replica.stuck.store(false, Ordering::SeqCst);
    wait_until("it is called again", || !status(&remote, a.address).ejected).await;
}

#[actix::test]
async fn a_failed_hedge_is_followed_by_a_third_call() {
    let [a, b] = [1, 2].map(|number| serve(number, None, ANYWHERE));
    a.replica.stuck.store(true, Ordering::SeqCst);
    let addresses = [a.address, b.address, nobody()];
    let remote = remote(&never_ejecting(hedged(&addresses)));
    for _ in 0..30 {
        assert_eq!(ask(&remote).await, Ok(2));
    }
}

#[actix::test]
async fn calls_that_are_not_idempotent_are_sent_once() {
    let [a, b] = [1, 2].map(|number| serve(number, None, ANYWHERE));
    for served in [&a, &b] {
        served.replica.stuck.store(true, Ordering::SeqCst);
    }
    let remote = remote(&hedged(&[a.address, b.address]));
    let late = order(&remote, 300).await.unwrap_err();
    assert_eq!(late.code, ErrorCode::DeadlineExceeded);
    let asked = [&a, &b].map(|served| served.replica.asked.load(Ordering::SeqCst));
    assert_eq!(asked.iter().sum::<u64>(), 1);
}

#[actix::test]
async fn an_overloaded_replica_is_retried_elsewhere_without_a_failure() {
    let full = serve(1, Some(CallError::overloaded("full")), ANYWHERE);
    let free = serve(2, None, ANYWHERE);
    let remote = remote(&options(&[full.address, free.address]));
    for _ in 0..30 {
        assert_eq!(order(&remote, 20_000).await, Ok(2));
    }
    let status = status(&remote, full.address);
    assert!(status.requests > 0 && status.failures == 0 && !status.ejected, "{status:?}");
}

#[actix::test]
async fn a_failing_replica_is_ejected_while_another_is_healthy() {
    let broken = serve(1, Some(CallError::unavailable("no store")), ANYWHERE);
    let well = serve(2, None, ANYWHERE);
    let remote = remote(&options(&[broken.address, well.address]));
    for _ in 0..30 {
        assert_eq!(ask(&remote).await, Ok(2));
    }
    assert!(status(&remote, broken.address).ejections > 0);
    let alone = self::remote(&options(&[broken.address]));
    for _ in 0..30 {
        assert_eq!(ask(&alone).await, Err(CallError::unavailable("no store")));
    }
    assert!(!status(&alone, broken.address).ejected);
}

#[actix::test]
async fn without_a_reachable_replica_calls_fail_at_once() {
    let gone = nobody();
    let remote = remote(&options(&[gone]));
    for _ in 0..3 {
        assert_eq!(ask(&remote).await.unwrap_err().code, ErrorCode::Unavailable);
    }
    let before = status(&remote, gone).requests;
    let error = ask(&remote).await.unwrap_err();
    assert!(error.message.contains("no process of it can be reached"), "{error}");
    assert_eq!(status(&remote, gone).requests, before);
}

#[actix::test]
async fn retries_have_a_budget() {
    let here = serve(1, None, ANYWHERE);
    let gone = nobody();
    let mut none = never_ejecting(options(&[here.address, gone]));
    none.peers.extra_calls_share = 0.0;
    let remote = remote(&none);
    let mut failed = 0;
    for _ in 0..40 {
        failed += u64::from(ask(&remote).await.is_err());
    }
    assert_eq!(failed, status(&remote, gone).requests);
    assert!(failed > 0);

    // Ten a second over ten seconds are there from the start, and a tenth of the calls.
    let gone = [nobody(), nobody()];
    let remote = self::remote(&never_ejecting(options(&gone)));
    for _ in 0..300 {
        ask(&remote).await.unwrap_err();
    }
    let retries: u64 = remote.endpoints().iter().map(|status| status.retries).sum();
    assert!((100..=100 + 30).contains(&retries), "{retries}");
}

#[actix::test]
async fn a_notice_reaches_every_reachable_replica() {
    let [a, b] = [1, 2].map(|number| serve(number, None, ANYWHERE));
    let remote = remote(&options(&[a.address, b.address, nobody()]));
    let client: Client<Notice> = Arc::new(remote.clone());
    let within = || Context::background().within(Duration::from_secs(20));
    client.call(within(), Notice).await.unwrap();
    for served in [&a, &b] {
        assert_eq!(served.replica.noticed.load(Ordering::SeqCst), 1);
    }
    a.replica.stuck.store(true, Ordering::SeqCst);
    let begun = Instant::now();
    let mut untold = 0;
    while let Err(error) = client.call(within(), Notice).await {
        assert!(error.message.contains("did not take a notice"), "{error}");
        untold += 1;
    }
    assert_eq!(untold, 3, "then it is ejected");
    assert!(begun.elapsed() < Duration::from_secs(15), "an ejected replica is not waited for");
    a.handle.stop(false).await;
    b.handle.stop(false).await;
    // Their threads end by themselves, a little later.
    let refused = async {
        loop {
            match client.call(within(), Notice).await {
                Ok(()) => actix::clock::sleep(Duration::from_millis(10)).await,
                Err(error) => return error,
            }
        }
    };
    let error = actix::clock::timeout(Duration::from_secs(15), refused).await.unwrap();
    assert_eq!(error.code, ErrorCode::Unavailable, "{error}");
}
