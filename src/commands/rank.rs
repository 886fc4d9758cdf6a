//! `plugrank rank`.

use std::fmt::Write as _;

use anyhow::Result;
use serde_json::{Map, Value, json};

use crate::{cli::RankArgs, server_client::ServerClient};

/// Columns of a title.
const TITLE: usize = 34;
/// Items left out that are printed.
const DROPPED: usize = 20;

pub(super) fn run(args: &RankArgs) -> Result<()> {
    let server = ServerClient::new(&args.server)?;
    let reply = server.post("/v1/rank", &question(args))?;
    if args.json {
        println!("{reply:#}");
        return Ok(());
    }
    let items = reply["items"].as_array().map_or(&[][..], Vec::as_slice);
    // A title is a help for people: an item that has none, or is gone by now, has its id.
    let titles = items.iter().map(|item| {
        let about = server.get(&format!("/v1/items/{}", text(&item["item_id"]))).ok();
        about.and_then(|about| Some(about["title"].as_str()?.to_owned())).unwrap_or_default()
    });
    print!("{}", table(&reply, &titles.collect::<Vec<_>>()));
    Ok(())
}

fn question(args: &RankArgs) -> Value {
    let mut question = Map::new();
    question.insert("user_id".to_owned(), json!(args.user));
    question.insert("k".to_owned(), json!(args.k));
    for (name, ids) in [("candidates", &args.candidates), ("exclude", &args.exclude)] {
        if !ids.is_empty() {
            question.insert(name.to_owned(), json!(ids));
        }
    }
    if let Some(ms) = args.budget_ms {
        question.insert("budget_ms".to_owned(), json!(ms));
    }
    if args.explain {
        question.insert("explain".to_owned(), json!(true));
    }
    question.into()
}

fn table(reply: &Value, titles: &[String]) -> String {
    let mut out = String::new();
    let items = reply["items"].as_array().map_or(&[][..], Vec::as_slice);
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "{:>4}  {:<12} {:<TITLE$} {:>7} {:>7}  sources",
        "rank", "item", "title", "score", "ctr"
    );
    for (item, title) in items.iter().zip(titles) {
        let title: String = title.chars().take(TITLE).collect();
        let sources = item["sources"].as_array().map_or(&[][..], Vec::as_slice);
        let sources: Vec<&str> = sources.iter().map(text).collect();
        let _ = writeln!(
            out,
            "{:>4}  {:<12} {title:<TITLE$} {:>7} {:>7}  {}",
            item["rank"].to_string(),
            text(&item["item_id"]),
            probability(&item["score"]),
            probability(&item["ctr"]),
            sources.join(", ")
        );
    }
    let (budget, coverage) = (&reply["budget"], &reply["coverage"]);
    let _ = writeln!(
        out,
        "\n{} of {} candidates in {} of {} ms, rung {}, model {}",
        items.len(),
        coverage["candidates"],
        budget["spent_ms"],
        budget["total_ms"],
        text(&reply["rung"]),
        reply["model"].as_str().unwrap_or("none")
    );
    for degraded in reply["degraded"].as_array().into_iter().flatten() {
        let (stage, detail) = (text(&degraded["stage"]), text(&degraded["detail"]));
        let _ = writeln!(out, "degraded: {stage} {}: {detail}", text(&degraded["cause"]));
    }
    if coverage["unknown"].as_u64().unwrap_or(0) > 0 {
        let _ = writeln!(out, "{} candidates are not in the catalog", coverage["unknown"]);
    }
    let dropped = reply["explain"]["dropped"].as_array().map_or(&[][..], Vec::as_slice);
    for item in dropped.iter().take(DROPPED) {
        let _ = writeln!(out, "left out: {} ({})", text(&item["item_id"]), text(&item["reason"]));
    }
    if dropped.len() > DROPPED {
        let _ = writeln!(out, "and {} more", dropped.len() - DROPPED);
    }
    out
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("?")
}

fn probability(value: &Value) -> String {
    value.as_f64().map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unscored_and_dropped_items_are_reported() {
        let reply = json!({
            "items": [{"item_id": "i1", "rank": 1, "score": null, "ctr": null, "sources": ["caller"]}],
            "coverage": {"candidates": 1, "unknown": 1},
            "budget": {"spent_ms": 1.5, "total_ms": 50.0},
            "rung": "retrieval_order", "model": null,
            "degraded": [{"stage": "scoring", "cause": "cut", "detail": "too late"}],
            "explain": {"dropped": [{"item_id": "x", "reason": "unknown"}]},
        });
        let table = table(&reply, &["Desk lamp".to_owned()]);
        for said in [
            "   1  i1           Desk lamp ",
            "       -       -  caller",
            "1 of 1 candidates in 1.5 of 50.0 ms, rung retrieval_order, model none",
            "degraded: scoring cut: too late",
            "1 candidates are not in the catalog",
            "left out: x (unknown)",
        ] {
            assert!(table.contains(said), "{said}\n{table}");
        }
    }
}
