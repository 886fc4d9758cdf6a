//! Whether two servers score alike: a benchmark of servers that do different things means nothing.

use std::{collections::HashMap, net::SocketAddr, path::PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::{
    client::Connection,
    requests::{self, BUDGET_MS},
    tables::Tables,
};

/// Users asked about.
const REQUESTS: usize = 50;
/// Candidates of each.
const CANDIDATES: usize = 100;
/// Characters of an answer that are shown where it is wrong.
const SHOWN: usize = 300;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// File written by `prepare`.
    #[arg(long)]
    tables: PathBuf,
    /// Address of the server that is held to be right.
    #[arg(long)]
    reference: SocketAddr,
    /// Address of the other.
    #[arg(long)]
    other: SocketAddr,
    /// Largest difference of a click probability.
    #[arg(long, default_value_t = 1e-4)]
    tolerance: f64,
}

#[derive(Deserialize)]
struct Answer {
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    item_id: String,
    ctr: Option<f64>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let about = Tables::describe(&args.tables)?;
    let candidates = CANDIDATES.min(about.items.len());
    let ask = |address: SocketAddr| {
        let requests =
            requests::draw(&about, address, candidates, (candidates, BUDGET_MS), REQUESTS, 3)?;
        let mut connection = Connection::open(address)?;
        let mut answers = Vec::with_capacity(requests.len());
        for request in &requests {
            let reply = connection.exchange(request)?;
            let text =
                || String::from_utf8_lossy(reply.body).chars().take(SHOWN).collect::<String>();
            ensure!(reply.status == 200, "{address} answered {}: {}", reply.status, text());
            let answer: Answer = serde_json::from_slice(reply.body).with_context(text)?;
            let of_item = answer.items.into_iter();
            let of_item = of_item.filter_map(|item| Some((item.item_id, item.ctr?)));
            answers.push(of_item.collect::<HashMap<_, _>>());
        }
        Ok(answers)
    };
    let (expected, found) = (ask(args.reference)?, ask(args.other)?);
    let (mut largest, mut compared) = (0.0f64, 0);
    for (expected, found) in expected.iter().zip(&found) {
        for (item, ctr) in found {
            let Some(expected) = expected.get(item) else { continue };
            largest = largest.max((ctr - expected).abs());
            compared += 1;
        }
    }
    ensure!(
        compared >= REQUESTS * candidates,
        "{} scored {compared} of {} candidates; is it overloaded?",
        args.other,
        REQUESTS * candidates
    );
    if largest > args.tolerance {
        bail!("click probabilities of {} differ by up to {largest:.1e}", args.other);
    }
    println!("{compared} click probabilities differ by {largest:.1e} at most");
    Ok(())
}
