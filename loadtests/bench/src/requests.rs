//! Rank requests, drawn beforehand.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use rand::{RngExt, SeedableRng, seq::index};
use rand_chacha::ChaCha8Rng;

use crate::tables::Description;

/// Items asked for.
pub(crate) const K: usize = 20;

/// Latency budget of a request unless said otherwise, the largest one that Plugrank's defaults allow:
/// on a busy machine it must not answer with less, which would be quicker.
pub(crate) const BUDGET_MS: u32 = 2000;

/// Whole HTTP requests for random users, each with `candidates` distinct items; with none, the server
/// retrieves.
pub(crate) fn draw(
    about: &Description,
    address: SocketAddr,
    candidates: usize,
    (k, budget_ms): (usize, u32),
    count: usize,
    seed: u64,
) -> Result<Vec<Vec<u8>>> {
    ensure!(
        candidates <= about.items.len() && !about.users.is_empty(),
        "the data set has {} items and {} users, too few for {candidates} candidates",
        about.items.len(),
        about.users.len()
    );
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut requests = Vec::with_capacity(count);
    for _ in 0..count {
        let user = &about.users[random.random_range(0..about.users.len())];
        let mut body = serde_json::json!({ "user_id": user, "k": k, "budget_ms": budget_ms });
        if candidates > 0 {
            let rows = index::sample(&mut random, about.items.len(), candidates);
            body["candidates"] = rows.iter().map(|row| about.items[row].as_str()).collect();
        }
        requests.push(post(address, &body.to_string()));
    }
    Ok(requests)
}

fn post(address: SocketAddr, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST /v1/rank HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}
