//! What `demo --check` asks and prints.

use std::{collections::HashSet, time::Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

/// Items asked for per user.
const K: usize = 20;
/// Items of each answer that are printed.
const SHOWN: usize = 3;
/// Times every user is asked, so that percentiles mean something.
const ROUNDS: usize = 10;

/// Ranks for `users`, checks the answers, prints them, and measures.
pub(crate) fn check(url: &str, users: &[String]) -> Result<()> {
    let mut lists = HashSet::new();
    println!("{:<10} {:<34} {:>6} {:>6}  sources", "user", "title", "score", "ctr");
    for user in users {
        let reply = rank(url, user)?;
        let items = verified(&reply).with_context(|| format!("the answer for user {user}"))?;
        for (position, item) in items.iter().enumerate() {
            let title = title(url, text(&item["item_id"]))?;
            if position < SHOWN {
                print_item(if position == 0 { user } else { "" }, &title, item);
            }
        }
        println!("{:<10} {}", "", timings(&reply));
        lists
            .insert(items.iter().map(|item| text(&item["item_id"]).to_owned()).collect::<Vec<_>>());
    }
    println!(
        "\n{} users, {} different lists of {K} distinct items, every title found",
        users.len(),
        lists.len()
    );
    ensure!(users.len() < 2 || lists.len() > users.len() / 2, "most users got the same list");
    latency(url, users)
}

fn rank(url: &str, user: &str) -> Result<Value> {
    let reply = ureq::post(format!("{url}/v1/rank")).send_json(json!({"user_id": user, "k": K}));
    Ok(reply.with_context(|| format!("ranking for user {user}"))?.body_mut().read_json()?)
}

/// The answer's items: `K` distinct ones, in falling order of score.
fn verified(reply: &Value) -> Result<&Vec<Value>> {
    let items = reply["items"].as_array().context("it has no items")?;
    ensure!(items.len() == K, "it has {} items instead of {K}", items.len());
    let ids: HashSet<_> = items.iter().map(|item| text(&item["item_id"])).collect();
    ensure!(ids.len() == K, "it names an item twice");
    let scores: Vec<f64> = items.iter().filter_map(|item| item["score"].as_f64()).collect();
    ensure!(
        scores.len() == K && scores.is_sorted_by(|a, b| a >= b),
        "its order is not that of its scores"
    );
    Ok(items)
}

fn title(url: &str, id: &str) -> Result<String> {
    let item: Value = ureq::get(format!("{url}/v1/items/{id}")).call()?.body_mut().read_json()?;
    Ok(item["title"].as_str().with_context(|| format!("item {id} has no title"))?.to_owned())
}

fn print_item(user: &str, title: &str, item: &Value) {
    let short: String = title.chars().take(34).collect();
    let sources = item["sources"].as_array().map_or_else(String::new, |sources| {
        sources.iter().map(text).collect::<Vec<_>>().join(", ")
    });
    println!(
        "{user:<10} {short:<34} {:>6.3} {:>6.3}  {sources}",
        number(&item["score"]),
        number(&item["ctr"])
    );
}

fn timings(reply: &Value) -> String {
    let budget = &reply["budget"];
    let stages = budget["stages"].as_array().map_or_else(Vec::new, |stages| {
        stages
            .iter()
            .map(|stage| {
                let (spent, allotted) = (number(&stage["spent_ms"]), number(&stage["allotted_ms"]));
                format!("{} {spent:.1}/{allotted:.0} ms", text(&stage["stage"]))
            })
            .collect()
    });
    let total =
        format!("{:.1} of {:.0} ms", number(&budget["spent_ms"]), number(&budget["total_ms"]));
    format!("{total} ({})", stages.join(", "))
}

/// Asks every user `ROUNDS` times, one request at a time, and compares with the budget.
fn latency(url: &str, users: &[String]) -> Result<()> {
    let mut times_ms = Vec::with_capacity(ROUNDS * users.len());
    let (mut budget_ms, mut degraded) = (f64::NAN, 0);
    for user in std::iter::repeat_n(users, ROUNDS).flatten() {
        let begun = Instant::now();
        let reply = rank(url, user)?;
        times_ms.push(begun.elapsed().as_secs_f64() * 1e3);
        budget_ms = number(&reply["budget"]["total_ms"]);
        degraded += usize::from(reply["degraded"].as_array().is_some_and(|list| !list.is_empty()));
    }
    times_ms.sort_by(f64::total_cmp);
    let at = |share: f64| {
        times_ms.get(((times_ms.len() as f64 * share) as usize).min(times_ms.len() - 1)).copied()
    };
    let (Some(p50), Some(p99)) = (at(0.5), at(0.99)) else { bail!("no users to ask") };
    println!(
        "{} requests: p50 {p50:.1} ms, p99 {p99:.1} ms, budget {budget_ms:.0} ms, degraded {degraded}",
        times_ms.len()
    );
    ensure!(p99 <= budget_ms, "p99 is over the budget");
    Ok(())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("?")
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}
