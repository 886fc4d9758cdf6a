//! Whether two servers answer alike: a benchmark of servers that do different things means nothing.

use std::{collections::HashMap, net::SocketAddr, path::PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::{
    client::Connection,
    requests::{self, BUDGET_MS},
    tables::Tables,
};

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
    /// Requests, each for a user drawn anew.
    #[arg(long, default_value_t = 50)]
    requests: usize,
    /// Candidates of each, drawn anew too.
    #[arg(long, default_value_t = 100)]
    candidates: usize,
    /// Items asked for; all candidates when absent.
    #[arg(long)]
    k: Option<usize>,
    /// Compare the order too: at each place the same item, or one whose score differs by no more than the tolerance.
    #[arg(long)]
    order: bool,
}

#[derive(Deserialize)]
struct Answer {
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    item_id: String,
    ctr: Option<f64>,
    score: Option<f64>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let (expected, found) = (ask(args, args.reference)?, ask(args, args.other)?);
    let (mut largest, mut compared, mut misplaced) = (0.0f64, 0, 0);
    for (expected, found) in expected.iter().zip(&found) {
        let expected_ctr: HashMap<_, _> = by_id(expected).collect();
        for (item, ctr) in by_id(found) {
            let Some(expected) = expected_ctr.get(item) else { continue };
            largest = largest.max((ctr - expected).abs());
            compared += 1;
        }
        misplaced += usize::from(args.order && !same_order(expected, found, args.tolerance));
    }
    let asked = args.requests * items_asked(args);
    // Where only the first are asked for, two that score alike may list others at the end.
    let wanted = if args.k.is_some() { asked * 99 / 100 } else { asked };
    ensure!(
        compared >= wanted,
        "{} scored {compared} of {asked} candidates; is it overloaded?",
        args.other
    );
    if largest > args.tolerance {
        bail!("click probabilities of {} differ by up to {largest:.1e}", args.other);
    }
    println!("{compared} click probabilities differ by {largest:.1e} at most");
    if args.order {
        ensure!(misplaced == 0, "{} of {} lists are in another order", misplaced, args.requests);
        println!("{} lists are in the same order", args.requests);
    }
    Ok(())
}

fn items_asked(args: &Args) -> usize {
    args.k.unwrap_or(args.candidates).min(args.candidates)
}

/// The answers of a server, request by request.
fn ask(args: &Args, address: SocketAddr) -> Result<Vec<Answer>> {
    let about = Tables::describe(&args.tables)?;
    let what = (items_asked(args), BUDGET_MS);
    let requests = requests::draw(&about, address, args.candidates, what, args.requests, 3)?;
    let mut connection = Connection::open(address)?;
    let mut answers = Vec::with_capacity(requests.len());
    for request in &requests {
        let reply = connection.exchange(request)?;
        let text = || String::from_utf8_lossy(reply.body).chars().take(SHOWN).collect::<String>();
        ensure!(reply.status == 200, "{address} answered {}: {}", reply.status, text());
        answers.push(serde_json::from_slice(reply.body).with_context(text)?);
    }
    Ok(answers)
}

fn by_id(answer: &Answer) -> impl Iterator<Item = (&str, f64)> {
    answer.items.iter().filter_map(|item| Some((item.item_id.as_str(), item.ctr?)))
}

/// Whether both list the same items in the same order, but for those whose scores are as good as equal.
fn same_order(expected: &Answer, found: &Answer, tolerance: f64) -> bool {
    let alike = |(a, b): (&Item, &Item)| {
        let scores = a.score.zip(b.score);
        a.item_id == b.item_id || scores.is_some_and(|(a, b)| (a - b).abs() <= tolerance)
    };
    expected.items.len() == found.items.len() && expected.items.iter().zip(&found.items).all(alike)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(items: &[(&str, f64)]) -> Answer {
        let item = |(id, score): &(&str, f64)| Item {
            item_id: (*id).to_owned(),
            ctr: Some(*score),
            score: Some(*score),
        };
        Answer { items: items.iter().map(item).collect() }
    }

    #[test]
    fn only_items_of_equal_score_may_be_reordered() {
        let expected = answer(&[("a", 0.9), ("b", 0.5), ("c", 0.500_000_1)]);
        let same = |found: &[(&str, f64)]| same_order(&expected, &answer(found), 1e-5);
        assert!(same(&[("a", 0.9), ("c", 0.500_000_1), ("b", 0.5)]));
        assert!(!same(&[("b", 0.5), ("a", 0.9), ("c", 0.5)]));
        assert!(!same(&[("a", 0.9), ("b", 0.5)]), "one is missing");
    }
}
