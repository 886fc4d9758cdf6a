//! The roles in processes of their own, Redis behind them, answer like one process.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::fleet::{Fleet, peers};

const REQUESTS: usize = 1000;
/// Requests at a time.
const PARALLEL: usize = 4;
/// The index is filled by one thread, since several fill it in an order of chance; and a batch
/// holds one user, since sums of floats depend on the batch's shape in their last digit.
const ALIKE: &str = r#"
retrieval.ann.threads = 1
scoring.user_buckets = [1]
embedding.user_buckets = [1]
surfaces.home.k = 15
surfaces.home.filter.must_not = [{ field = "categories", any = ["bags"] }]
surfaces.home.rules = [
  { rule = "boost", filter.must = [{ field = "categories", any = ["garden", "textiles"] }], factor = 1.5 },
  { rule = "cap", column = "brand", max = 2, window = 5 },
  { rule = "min_share", filter.must = [{ field = "categories", any = ["lighting"] }], min = 1, window = 6 },
  { rule = "exploration", share = 0.2, max_impressions = 500, draw = "thompson" },
]
surfaces.cart.sources = { ann = 0.6, co_visitation = 0.6 }
"#;

/// What an answer says, without what differs from run to run.
fn substance(mut reply: Value) -> Value {
    for key in ["request_id", "trace_id", "budget"] {
        reply[key] = Value::Null;
    }
    // Which tier a vector was in goes by who asked before.
    let coverage = &mut reply["coverage"];
    let tier = |tier: &str| coverage[tier].as_u64().unwrap();
    let at_hand = tier("memory") + tier("store") + tier("encoded");
    for tier in ["memory", "store", "encoded"] {
        coverage[tier] = json!(at_hand);
    }
    reply
}

/// Takes scores, probabilities and propensities out of a reply, by item: their last digit depends on what was computed
/// beside them.
fn scores(reply: &mut Value) -> HashMap<String, [f64; 3]> {
    let items = reply["items"].as_array_mut().unwrap().iter_mut();
    let of = |item: &mut Value| {
        let values = ["score", "ctr", "propensity"].map(|name| match item.get_mut(name) {
            Some(value) => value.take().as_f64().unwrap(),
            None => f64::NAN,
        });
        (item["item_id"].as_str().unwrap().to_owned(), values)
    };
    items.map(of).collect()
}

/// Where two replies differ, as JSON pointers with both values.
fn differences(at: &str, one: &Value, other: &Value, found: &mut Vec<String>) {
    match (one, other) {
        (Value::Object(left), Value::Object(right)) if left.keys().eq(right.keys()) => {
            for (key, value) in left {
                differences(&format!("{at}/{key}"), value, &right[key], found);
            }
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            for (place, (value, beside)) in left.iter().zip(right).enumerate() {
                differences(&format!("{at}/{place}"), value, beside, found);
            }
        }
        _ if one == other => {}
        _ => found.push(format!("{at}: {one} and {other}")),
    }
}

/// Requests of every kind.
fn request(number: usize) -> Value {
    let moment = 4_000_000_000_000_i64;
    let user = match number % 10 {
        0 => format!("stranger-{number}"),
        _ => format!("u{}", number * 7 % 500 + 1),
    };
    let k = [1, 5, 20, 20, 60, 150][number % 6];
    let mut body =
        json!({"user_id": user, "k": k, "budget_ms": 20_000, "context": {"timestamp": moment}});
    let item = |step: usize| format!("i{}", (number * 13 + step * 31) % 1500 + 1);
    if number.is_multiple_of(3) {
        let named: Vec<String> = (0..5 + number % 90).map(item).collect();
        body["candidates"] = json!(named);
    }
    if number.is_multiple_of(21) {
        body["candidates"] = json!(["i1", "no-such-item", "i2", "i3", "i2"]);
    }
    if number.is_multiple_of(4) {
        let unwanted: Vec<String> = (0..number % 40).map(item).collect();
        body["exclude"] = json!(unwanted);
    }
    match number % 8 {
        3 => body["surface"] = json!("home"),
        5 => {
            body["surface"] = json!("cart");
            body["context"]["items"] = json!([item(1), item(2)]);
        }
        7 => {
            let click = |step: usize| json!({"item_id": item(step)});
            body["user"] = json!({"recent": (0..number % 30).map(click).collect::<Vec<_>>()});
        }
        _ => {}
    }
    if number.is_multiple_of(5) {
        // Before anything happened, so that nobody has a history.
        body["context"]["timestamp"] = json!(1);
    }
    body
}

#[tokio::test]
async fn five_processes_answer_like_one() {
    let fleet = Fleet::start().await;
    let embedding = fleet.start_role("embedding", ALIKE).await;
    let near = format!("{ALIKE}{}", peers(&[&embedding]));
    let parts = ["retrieval", "scoring", "reranking"].map(|role| fleet.spawn(role, &near));
    for part in &parts {
        part.ready(&fleet.http).await;
    }
    let [retrieval, scoring, reranking] = &parts;
    let all = peers(&[&embedding, retrieval, scoring, reranking]);
    let gateway = fleet.start_role("gateway", &format!("{ALIKE}{all}")).await;
    // On the same store: a record's last digit depends on what else was encoded beside it.
    let one = fleet.start_role("all", ALIKE).await;

    let rank = async |url: String, number: usize, body: &Value| -> Value {
        let id = uuid(number);
        let request = fleet.http.post(url).header("x-request-id", id).json(body);
        let reply: Value = request.send().await.unwrap().json().await.unwrap();
        assert_eq!(reply["degraded"], json!([]), "{body} -> {reply}");
        substance(reply)
    };
    let compare = async |first: usize| {
        let mut items = 0;
        let mut reordered = Vec::new();
        for number in (first..REQUESTS).step_by(PARALLEL) {
            let body = request(number);
            let mut together = rank(one.url("/v1/rank"), number, &body).await;
            let mut apart = rank(gateway.url("/v1/rank"), number, &body).await;
            let [mut here, mut there] = [&mut together, &mut apart].map(scores);
            items += here.len();
            let mut found = Vec::new();
            differences("", &together, &apart, &mut found);
            if !found.is_empty() {
                // Two items whose scores differ by a last digit may change places, and a rule may then choose another
                // item: nothing outside the list differs, and no item's score.
                assert!(found.iter().all(|path| path.starts_with("/items/")), "{found:#?}: {body}");
                reordered.push(format!("{} of {body}", found[0]));
                here.retain(|item, _| there.contains_key(item));
                there.retain(|item, _| here.contains_key(item));
            }
            for (item, values) in &here {
                for (one, other) in values.iter().zip(&there[item]) {
                    let near = (one - other).abs() < 1e-5 || one.is_nan() && other.is_nan();
                    assert!(near, "{item}: {one} {other}: {body}");
                }
            }
        }
        (items, reordered)
    };
    let (first, second, third, fourth) =
        tokio::join!(compare(0), compare(1), compare(2), compare(3));
    let compared = [first, second, third, fourth];
    let items: usize = compared.iter().map(|(items, _)| items).sum();
    let reordered: Vec<String> = compared.into_iter().flat_map(|(_, lists)| lists).collect();
    println!("{REQUESTS} requests, {items} ranked items, {reordered:#?} in another order");
    assert!(items > 10 * REQUESTS, "{items}");
    // Each kind of request is more than that.
    assert!(reordered.len() <= REQUESTS / 100, "{reordered:#?}");
    let metrics = fleet.http.get(gateway.url("/metrics")).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    let counted = format!(
        "plugrank_peer_requests_total{{role=\"scoring\",endpoint=\"127.0.0.1:{}\"}} ",
        scoring.port
    );
    assert!(metrics.contains(&counted), "{metrics}");
    assert_eq!(metrics.matches("# TYPE plugrank_peer_requests_total counter").count(), 1);
}

fn uuid(number: usize) -> String {
    format!("018f3f2e-7b1a-7c3d-9e4f-{number:012x}")
}
