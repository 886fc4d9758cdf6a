//! The value formula, from the settings to the reply.

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    site::{Site, ids, repository, stderr},
    typed::{NIGHT, dataset},
};

const BUNDLE: &str = "shared/bundle/tests/fixtures/typed";
/// Re-ranking that keeps the order of the values.
const PLAIN: &str = "reranking.lambda = 1.0\nreranking.exploration_share = 0.0\n";

async fn site(formula: &str) -> Site {
    let folder = TempDir::new().expect("a temporary folder");
    dataset(folder.path());
    let more = format!("{PLAIN}scoring.value = {formula:?}");
    Site::start_on_with(&repository(BUNDLE), folder.path(), &more).await
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[tokio::test]
async fn items_sort_by_the_value_formula() {
    const FORMULA: &str =
        "click * purchase * coalesce(item.price, 1) + candidate.bid - request.temperature * 0.1";
    let site = site(FORMULA).await;
    let ask = json!({
        "user_id": "u1",
        "candidates": [
            {"item_id": "i1", "features": {"bid": 0.25}},
            {"item_id": "i2", "features": {"bid": 4}},
            {"item_id": "i3", "features": {"bid": 0.5}},
        ],
        "context": {"timestamp": NIGHT, "features": {"temperature": -4}},
        "explain": true,
    });
    let reply = site.rank(ask.clone()).await;
    assert_eq!((&reply["rung"], &reply["degraded"]), (&json!("full"), &json!([])), "{reply}");
    let items = reply["items"].as_array().expect("items");
    assert_eq!(ids(items)[0], "i2", "the greatest bid: {reply}");
    let explain = &reply["explain"];
    assert_eq!(explain["value"], json!(FORMULA));
    let placements = explain["placements"].as_array().expect("placements");
    for (item, placement) in items.iter().zip(placements) {
        let explained = |name: &str| &placement["value"][name];
        for task in ["click", "purchase"] {
            assert_eq!(explained(task), &item["scores"][task], "{placement}");
        }
        let price = match item["item_id"].as_str() {
            Some("i1") => 9.5,
            Some("i2") => 0.25,
            // This item has no price.
            _ => {
                assert_eq!(explained("item.price"), &Value::Null);
                1.0
            }
        };
        let worth = number(explained("click")) * number(explained("purchase")) * price
            + number(explained("candidate.bid"))
            - number(explained("request.temperature")) * 0.1;
        assert!((number(&item["score"]) - worth).abs() < 1e-5, "{item}: {worth}");
        assert_eq!(item["ctr"], item["scores"]["click"]);
    }

    // A text is no bid. A request without bids is answered, with a note that no value can be computed.
    let mut wrong = ask.clone();
    wrong["candidates"][1]["features"]["bid"] = json!("much");
    let (status, problem) = site.post_json("/v1/rank", &wrong).await;
    assert_eq!(
        (status, &problem["field"]),
        (400, &json!("candidates[1].features.bid")),
        "{problem}"
    );
    let reply = site.rank(json!({"user_id": "u1", "candidates": ["i1", "i2"]})).await;
    assert_eq!(reply["items"].as_array().map(Vec::len), Some(2), "{reply}");
    let degraded = &reply["degraded"][0];
    assert_eq!((&degraded["rung"], &reply["rung"]), (&json!("without_value"), &json!("full")));
    let detail = degraded["detail"].as_str().expect("a detail");
    assert!(detail.contains("2 of 2 items") && detail.contains("candidate.bid"), "{detail}");
}

#[tokio::test]
async fn an_item_without_a_value_sorts_last_until_it_is_written() {
    let site = site("-1 / item.price").await;
    let candidates = json!(["i3", "i2", "i1"]);
    let reply = site.rank(json!({"user_id": "u1", "candidates": candidates})).await;
    let items = reply["items"].as_array().expect("items");
    assert_eq!(ids(items), ["i1", "i2", "i3"], "{reply}");
    let detail = reply["degraded"][0]["detail"].as_str().expect("a detail");
    assert!(detail.contains("coalesce(item.price, 0)") && detail.contains("1 of 3"), "{detail}");
    let content = json!({"title": "New", "features": {"price": 100}});
    let (status, written) = site.put_json("/v1/items/i3", &content).await;
    assert!(status < 300, "{written}");
    let reply = site.rank(json!({"user_id": "u1", "candidates": candidates})).await;
    let items = reply["items"].as_array().expect("items");
    assert_eq!((ids(items), &reply["degraded"]), (vec!["i3", "i1", "i2"], &json!([])));
}

#[tokio::test]
async fn a_surface_can_have_its_own_formula() {
    let folder = TempDir::new().expect("a temporary folder");
    dataset(folder.path());
    let more = format!(
        "{PLAIN}scoring.value = \"coalesce(item.price, 0)\"\nsurfaces.deals.value = \"-coalesce(item.price, 99)\"\n\
         surfaces.home.k = 3"
    );
    let site = Site::start_on_with(&repository(BUNDLE), folder.path(), &more).await;
    let ask = async |surface: Option<&str>| {
        let candidates = json!(["i1", "i2", "i3"]);
        let body = json!({
            "user_id": "u1", "candidates": candidates, "surface": surface, "explain": true,
        });
        site.rank(body).await
    };
    for (surface, formula, order) in [
        (None, "coalesce(item.price, 0)", ["i1", "i2", "i3"]),
        (Some("home"), "coalesce(item.price, 0)", ["i1", "i2", "i3"]),
        (Some("deals"), "-coalesce(item.price, 99)", ["i2", "i1", "i3"]),
    ] {
        let reply = ask(surface).await;
        assert_eq!(reply["explain"]["value"], json!(formula), "{reply}");
        assert_eq!(ids(reply["items"].as_array().expect("items")), order, "{reply}");
    }
    let wrong = "surfaces.deals.value = \"click * item.pirce\"";
    let output = Site::refused_on(&repository(BUNDLE), folder.path(), wrong);
    let told = stderr(&output);
    assert!(
        !output.status.success() && told.contains("surfaces.deals.value: `item.pirce`"),
        "{told}"
    );
}

#[test]
fn a_formula_with_unknown_names_is_refused_before_a_port_is_bound() {
    let folder = TempDir::new().expect("a temporary folder");
    dataset(folder.path());
    for (formula, said) in [
        ("click *", "scoring.value"),
        ("clicks * item.price", "`clicks` is no task of bundle"),
        (
            "click * item.pirce",
            "`item.pirce`: no item has such a feature; columns of numbers are: ",
        ),
        ("click * request.device", "`request.device` is a category"),
        ("click * request.hours", "whose numbers are: hour, temperature"),
    ] {
        let more = format!("scoring.value = {formula:?}");
        let output = Site::refused_on(&repository(BUNDLE), folder.path(), &more);
        assert!(!output.status.success(), "{formula}");
        let told = stderr(&output);
        assert!(told.contains(said), "{formula}: {told}");
    }
}
