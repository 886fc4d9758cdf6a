//! Items over the API: written, changed and deleted while lists are served.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use super::site::{Site, ids};

/// Whether a list of all that meets the filter has the item.
async fn is_listed(site: &Site, id: &str) -> bool {
    let filter = json!({"must": [{"field": "item_id", "any": [id]}]});
    let reply = site.rank(json!({"user_id": "nobody", "k": 5, "filter": filter})).await;
    ids(reply["items"].as_array().expect("items")).contains(&id)
}

async fn call(site: &Site, method: Method, id: &str, body: &Value) -> (u16, Value) {
    let request = site.http.request(method, site.url(&format!("/v1/items/{id}"))).json(body);
    let answer = request.send().await.expect("an answer");
    let (status, text) = (answer.status().as_u16(), answer.text().await.expect("a body"));
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

#[tokio::test]
async fn an_item_is_written_listed_changed_and_deleted() {
    let site = Site::start().await;
    let mug = json!({"title": "Blue mug", "categories": ["kitchen"], "features": {"price": 12.5, "brand": "Acme"}});
    let begun = Instant::now();
    let (status, written) = site.put_json("/v1/items/mug-1", &mug).await;
    assert_eq!(status, 201, "{written}");
    assert!(is_listed(&site, "mug-1").await);
    let took = begun.elapsed();
    println!("encoded, cached and retrieved after {took:?}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert_eq!(site.put_json("/v1/items/mug-1", &mug).await.0, 200, "replaced");

    let (status, changed) =
        call(&site, Method::PATCH, "mug-1", &json!({"features": {"price": null, "stock": 3}}))
            .await;
    assert_eq!((status, &changed["title"]), (200, &json!("Blue mug")), "{changed}");
    assert_eq!(changed["features"], json!({"brand": "Acme", "stock": 3}));
    let cheap =
        json!({"must": [{"field": "item_id", "any": ["mug-1"]}, {"field": "price", "gte": 0}]});
    let reply = site.rank(json!({"user_id": "nobody", "filter": cheap})).await;
    assert_eq!(reply["items"], json!([]), "a missing value meets no condition");
    let (status, _) = call(&site, Method::PATCH, "mug-1", &json!({"available": false})).await;
    assert!(status == 200 && !is_listed(&site, "mug-1").await);
    let (status, _) = call(&site, Method::PATCH, "mug-1", &json!({"available": true})).await;
    assert!(status == 200 && is_listed(&site, "mug-1").await);
    assert_eq!(call(&site, Method::PATCH, "no-such", &json!({"available": true})).await.0, 404);

    assert_eq!(call(&site, Method::DELETE, "mug-1", &json!({})).await.0, 204);
    assert!(!is_listed(&site, "mug-1").await);
    assert_eq!(site.get("/v1/items/mug-1").await.0, 404);
    assert_eq!(
        call(&site, Method::DELETE, "mug-1", &json!({})).await.0,
        204,
        "a repeated DELETE is no error"
    );
}

#[tokio::test]
async fn bulk_items_are_read_by_line_and_invalid_lines_named() {
    let site = Site::start().await;
    let line = |n: usize| json!({"item_id": format!("new-{n}"), "title": format!("Item {n}")});
    let mut lines: Vec<String> = (0..300).map(|n| line(n).to_string()).collect();
    lines[7] = json!({"item_id": "new-7", "title": 7}).to_string();
    lines[200] = "{".to_owned();
    let request = site.post("/v1/items").header("content-type", "application/x-ndjson");
    let answer = request.body(lines.join("\n")).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    let text = answer.text().await.expect("a body");
    let results: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("a result")).collect();
    assert_eq!(results.len(), 300);
    for (at, result) in results.iter().enumerate() {
        let wrong = [7, 200].contains(&at);
        assert_eq!(result["line"], json!(at + 1), "{result}");
        assert_eq!(result["status"], json!(if wrong { "refused" } else { "created" }), "{result}");
        assert_eq!(result["problem"].is_object(), wrong, "{result}");
    }
    assert!(is_listed(&site, "new-299").await && !is_listed(&site, "new-7").await);
}
