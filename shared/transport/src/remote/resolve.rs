//! Keeps a pool's endpoints what its addresses resolve to.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::time::{sleep, timeout};

use super::{address::Address, pool::Pool};

/// Longest wait for a name to be resolved.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Shortest time between two rounds.
const SHORTEST: Duration = Duration::from_millis(500);

/// The system's resolver, hosts file and search domains included.
pub(crate) async fn system(name: String, port: u16) -> io::Result<Vec<SocketAddr>> {
    Ok(tokio::net::lookup_host((name, port)).await?.collect())
}

/// Resolves `addresses` now, again every so often, and when an endpoint fails, until the pool is
/// gone. A name that does not resolve keeps what it resolved to before.
pub(crate) async fn keep<F>(
    pool: Weak<Pool>,
    addresses: Vec<Address>,
    every: Duration,
    lookup: impl Fn(String, u16) -> F,
) where
    F: Future<Output = io::Result<Vec<SocketAddr>>>,
{
    let mut last: Vec<Vec<SocketAddr>> = vec![Vec::new(); addresses.len()];
    loop {
        let Some(role) = pool.upgrade().map(|pool| pool.name) else { return };
        for (address, last) in addresses.iter().zip(&mut last) {
            let Some((name, port)) = address.name() else { continue };
            match timeout(TIMEOUT, lookup(name.to_owned(), port)).await {
                Ok(Ok(found)) if !found.is_empty() => *last = usable(found),
                Ok(Err(error)) => tracing::warn!(role, name, %error, "a name does not resolve"),
                Ok(Ok(_)) | Err(_) => tracing::warn!(role, name, "a name does not resolve"),
            }
        }
        let Some(known) = pool.upgrade() else { return };
        let found = addresses.iter().zip(&last).flat_map(|(address, sockets)| {
            let named = sockets.iter().map(|socket| address.at(*socket));
            address.fixed().into_iter().chain(named)
        });
        known.update(found.collect());
        let resolved = addresses.iter().zip(&last);
        let all =
            resolved.clone().all(|(address, found)| address.name().is_none() || !found.is_empty());
        drop(known);
        sleep(SHORTEST).await;
        let wait = if all { every.saturating_sub(SHORTEST) } else { Duration::ZERO };
        sleep_or_ejection(&pool, wait).await;
    }
}

async fn sleep_or_ejection(pool: &Weak<Pool>, wait: Duration) {
    let Some(pool) = pool.upgrade() else { return };
    let ejected = async { pool.ejected.notified().await };
    // The pool is held meanwhile: it ends at most one wait later than its last client.
    let _either = timeout(wait, ejected).await;
}

/// A service listens on one kind of address; where a name has both, IPv4 is the one that every
/// listener of ours takes by default.
fn usable(found: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let v4: Vec<_> = found.iter().copied().filter(SocketAddr::is_ipv4).collect();
    if v4.is_empty() { found } else { v4 }
}

/// Waits until the pool has an endpoint.
pub(crate) async fn first(pool: &Arc<Pool>) {
    loop {
        let changed = pool.changed.notified();
        if !pool.endpoints().is_empty() {
            return;
        }
        changed.await;
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use parking_lot::Mutex;

    use super::*;
    use crate::remote::{PeerOptions, http::HttpClient, probe::Probe};

    type Answer = io::Result<Vec<SocketAddr>>;

    fn sockets(list: &[&str]) -> Vec<SocketAddr> {
        list.iter().map(|socket| socket.parse().unwrap()).collect()
    }

    fn known(pool: &Pool) -> Vec<String> {
        pool.endpoints().iter().map(|endpoint| endpoint.target.socket.to_string()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn endpoints_follow_dns_and_survive_a_failing_resolver() {
        let pool = Pool::new(
            "test",
            Arc::new(PeerOptions::default()),
            Probe::of_role(HttpClient::plain()),
        );
        let addresses = ["http://10.0.0.9:80", "http://name:80"];
        let addresses = addresses.map(|url| Address::parse(url).unwrap()).to_vec();
        let answer: Arc<Mutex<fn() -> Answer>> =
            Arc::new(Mutex::new(|| Err(io::ErrorKind::NotFound.into())));
        let told = Arc::clone(&answer);
        let every = Duration::from_secs(5);
        tokio::spawn(keep(Arc::downgrade(&pool), addresses, every, move |name, port| {
            assert_eq!((name.as_str(), port), ("name", 80));
            ready((told.lock())())
        }));
        let after = async |ms: u64, now: fn() -> Answer| {
            *answer.lock() = now;
            sleep(Duration::from_millis(ms)).await;
            known(&pool)
        };
        first(&pool).await;
        assert_eq!(known(&pool), ["10.0.0.9:80"]);
        let found = after(600, || Ok(sockets(&["[::1]:80", "10.0.0.2:80", "10.0.0.1:80"]))).await;
        assert_eq!(found, ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.9:80"], "tried again soon");
        let kept = Arc::clone(&pool.endpoints()[1]);
        let found = after(5100, || Ok(sockets(&["10.0.0.2:80", "10.0.0.3:80"]))).await;
        assert_eq!(found, ["10.0.0.2:80", "10.0.0.3:80", "10.0.0.9:80"]);
        assert!(Arc::ptr_eq(&kept, &pool.endpoints()[0]), "what is known about it is kept");
        let found = after(5100, || Err(io::ErrorKind::NotFound.into())).await;
        assert_eq!(found.len(), 3);
        pool.ejected.notify_one();
        let found = after(600, || Ok(sockets(&["10.0.0.4:80"]))).await;
        assert_eq!(found, ["10.0.0.4:80", "10.0.0.9:80"], "an ejection hurries it");
    }
}
