//! What `demo --check` asks of the shipped shop and prints: whether its rankings are personal, by the clicks they
//! would truly get.

use std::collections::HashSet;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::truth::{Shopper, Truth};

/// Items asked for.
const K: usize = 20;
/// Shoppers, and of these those that are shown.
const SHOPPERS: usize = 100;
const SHOWN: usize = 3;
/// Titles of a list that are shown.
const TITLES: usize = 5;
/// Clicks of UniM over those of IDRec, all items.
const OVER_IDREC: f64 = 0.15;
/// How far UniM comes from popularity to the best possible, items that nobody has clicked.
const WAY_ON_FRESH: f64 = 0.40;
/// Share of the first 20 that two shoppers have in common.
const OVERLAP: f64 = 0.40;

/// Ways to order, in the order they are printed.
const WAYS: [&str; 4] = ["popularity", "IDRec", "UniM", "best possible"];
const IDREC: usize = 1;
const UNIM: usize = 2;
const BEST: usize = 3;

/// Lists of one way, by shopper, and what one took.
#[derive(Default)]
struct Lists {
    lists: Vec<Vec<usize>>,
    ms: Option<f64>,
}

/// Lists of all ways.
type Ways = [Lists; WAYS.len()];

/// Measures the shop that `url` serves and prints it; fails below the goals, unless `report_only`.
pub(crate) fn check(url: &str, truth: &Truth, report_only: bool) -> Result<()> {
    let all = everything(url, truth)?;
    let fresh = fresh(url, truth)?;
    side_by_side(url, truth, &all)?;
    let overlap = overlap(&all[UNIM].lists);
    let clicks = print(truth, "all items", truth.items.len(), &all);
    let over = clicks[UNIM] / clicks[IDREC] - 1.0;
    println!("  UniM over IDRec: {:+.1}% (goal: {:+.0}%)", 100.0 * over, 100.0 * OVER_IDREC);
    println!(
        "  overlap of two lists of {K}: {:.0}% (goal: below {:.0}%)",
        100.0 * overlap,
        100.0 * OVERLAP
    );
    let clicks = print(truth, "items that nobody has clicked", truth.fresh().len(), &fresh);
    let way = (clicks[UNIM] - clicks[0]) / (clicks[BEST] - clicks[0]);
    println!(
        "  UniM comes {:.0}% of the way from popularity to the best possible (goal: {:.0}%)\n",
        100.0 * way,
        100.0 * WAY_ON_FRESH
    );
    let missed: Vec<_> = [
        (over < OVER_IDREC, "UniM over IDRec"),
        (overlap >= OVERLAP, "overlap"),
        (way < WAY_ON_FRESH, "the way to the best possible on fresh items"),
    ]
    .into_iter()
    .filter_map(|(missed, goal)| missed.then_some(goal))
    .collect();
    ensure!(report_only || missed.is_empty(), "below the goal: {}", missed.join(", "));
    Ok(())
}

/// Lists of what the server retrieves, without what the shopper clicked before.
fn everything(url: &str, truth: &Truth) -> Result<Ways> {
    let mut ways = Ways::default();
    let every: Vec<usize> = (0..truth.items.len()).collect();
    for shopper in &truth.shoppers {
        let clicked = clicked(url, truth, shopper)?;
        let free: Vec<usize> =
            every.iter().copied().filter(|item| !clicked.contains(item)).collect();
        add(url, truth, shopper, &free, None, &mut ways)?;
    }
    Ok(ways)
}

/// Lists of the items that nobody has clicked, all of them being candidates.
fn fresh(url: &str, truth: &Truth) -> Result<Ways> {
    let mut ways = Ways::default();
    let items = truth.fresh();
    let ids: Vec<&str> = items.iter().map(|item| truth.items[*item].as_str()).collect();
    for shopper in &truth.shoppers {
        add(url, truth, shopper, &items, Some(&ids), &mut ways)?;
    }
    Ok(ways)
}

/// One shopper's list in each way.
fn add(
    url: &str,
    truth: &Truth,
    shopper: &Shopper,
    items: &[usize],
    candidates: Option<&[&str]>,
    ways: &mut Ways,
) -> Result<()> {
    let ask = |rung: Option<&str>| {
        let mut body = json!({"user_id": shopper.user_id, "k": K, "context": {"timestamp": truth.at}, "budget_ms": 500});
        if let Some(rung) = rung {
            body["rung"] = rung.into();
        }
        if let Some(candidates) = candidates {
            body["candidates"] = json!(candidates);
        }
        rank(url, truth, &body)
    };
    let (idrec, unim) = (ask(Some("idrec"))?, ask(None)?);
    let count = truth.shoppers.len() as f64;
    let known = [truth.by_popularity(items), idrec.0, unim.0, truth.best(shopper, items)];
    for (way, mut list) in ways.iter_mut().zip(known) {
        list.truncate(K);
        way.lists.push(list);
    }
    for (way, ms) in [(IDREC, idrec.1), (UNIM, unim.1)] {
        ways[way].ms = Some(ways[way].ms.unwrap_or(0.0) + ms / count);
    }
    Ok(())
}

/// Places of the answer, and what it took.
fn rank(url: &str, truth: &Truth, body: &Value) -> Result<(Vec<usize>, f64)> {
    let mut answer =
        ureq::post(format!("{url}/v1/rank")).send_json(body).context("POST /v1/rank")?;
    let reply: Value = answer.body_mut().read_json()?;
    let degraded = reply["degraded"].as_array().into_iter().flatten();
    let late: Vec<_> = degraded.filter(|one| one["cause"] != "asked").collect();
    ensure!(late.is_empty(), "{body} was answered degraded: {late:?}");
    let items = reply["items"].as_array().context("it has no items")?;
    let ids: Vec<&str> = items.iter().filter_map(|item| item["item_id"].as_str()).collect();
    ensure!(!ids.is_empty(), "{body} was answered without items");
    Ok((truth.places(ids.into_iter()), reply["budget"]["spent_ms"].as_f64().unwrap_or(f64::NAN)))
}

/// What the shopper clicked before the moment.
fn clicked(url: &str, truth: &Truth, shopper: &Shopper) -> Result<HashSet<usize>> {
    let query = format!("clicks=1000&impressions=0&before={}", truth.at);
    let user: Value = ureq::get(format!("{url}/v1/users/{}?{query}", shopper.user_id))
        .call()
        .with_context(|| format!("GET /v1/users/{}", shopper.user_id))?
        .body_mut()
        .read_json()?;
    let history = user["history"].as_array().context("it has no history")?;
    let ids = history.iter().filter_map(|entry| entry["item_id"].as_str());
    Ok(truth.places(ids).into_iter().collect())
}

fn side_by_side(url: &str, truth: &Truth, all: &Ways) -> Result<()> {
    for place in truth.contrasting(SHOWN) {
        let shopper = &truth.shoppers[place];
        println!("\n{} likes {}", shopper.user_id, shopper.taste());
        for (way, lists) in WAYS.iter().zip(all) {
            let titles: Vec<String> = lists.lists[place]
                .iter()
                .take(TITLES)
                .map(|item| title(url, &truth.items[*item]))
                .collect::<Result<_>>()?;
            println!("  {way:<14} {}", titles.join("; "));
        }
    }
    Ok(())
}

fn title(url: &str, id: &str) -> Result<String> {
    let item: Value = ureq::get(format!("{url}/v1/items/{id}")).call()?.body_mut().read_json()?;
    Ok(item["title"].as_str().with_context(|| format!("item {id} has no title"))?.to_owned())
}

/// Prints a table; the expected clicks of each way.
fn print(truth: &Truth, what: &str, items: usize, ways: &Ways) -> [f64; WAYS.len()] {
    println!(
        "\n{what} ({items}), {} shoppers: true expected clicks of the first 10",
        truth.shoppers.len()
    );
    let mut clicks = [0.0; WAYS.len()];
    for ((name, way), mean) in WAYS.iter().zip(ways).zip(&mut clicks) {
        let pairs = truth.shoppers.iter().zip(&way.lists);
        let sum: f64 = pairs.map(|(shopper, list)| truth.expected_clicks(shopper, list)).sum();
        *mean = sum / truth.shoppers.len().max(1) as f64;
        let distinct: HashSet<_> = way.lists.iter().flatten().collect();
        let ms = way.ms.map_or_else(String::new, |ms| format!(", {ms:.2} ms a list"));
        println!(
            "  {name:<14} {mean:.3}  {:>4} distinct items, mean overlap {:>3.0}%{ms}",
            distinct.len(),
            100.0 * overlap(&way.lists)
        );
    }
    clicks
}

/// Mean share of items that two lists have in common.
fn overlap(lists: &[Vec<usize>]) -> f64 {
    let sets: Vec<HashSet<usize>> =
        lists.iter().map(|list| list.iter().copied().collect()).collect();
    let longest = sets.iter().map(HashSet::len).max().unwrap_or(0).max(1) as f64;
    let (mut sum, mut pairs) = (0.0, 0.0);
    for (place, one) in sets.iter().enumerate() {
        for other in &sets[place + 1..] {
            sum += one.intersection(other).count() as f64 / longest;
            pairs += 1.0;
        }
    }
    if pairs > 0.0 { sum / pairs } else { 0.0 }
}

/// The shop's truth, for as many shoppers as the check asks about.
pub(crate) fn truth(dataset: &std::path::Path) -> Result<Truth> {
    Truth::of_shop(dataset, SHOPPERS)
}

#[cfg(test)]
mod tests {
    use super::overlap;

    #[test]
    fn overlap_is_of_pairs() {
        assert_eq!(overlap(&[vec![1, 2], vec![2, 3], vec![4, 5]]), 0.5 / 3.0);
        assert_eq!(overlap(&[vec![1]]), 0.0);
    }
}
