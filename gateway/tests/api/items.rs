//! `/v1/items/{id}`: write, read, delete.

use std::io::Cursor;

use base64::{Engine, engine::general_purpose::STANDARD};
use plugrank_contract::{ErrorCode, ItemId};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    stages::Act,
    support::{Server, problem},
};

#[actix_web::test]
async fn an_item_with_a_feature_of_the_wrong_type_is_refused() {
    let server = Server::start();
    let put = async |price: Value| {
        let content = json!({"title": "Mug", "features": {"brand": 7, "price": price}});
        server.put("/v1/items/mug", &content).await
    };
    for price in [json!("12.5"), json!(["cheap"])] {
        let problem = problem(put(price).await, 400).await;
        assert_eq!(problem["errors"][0]["pointer"], json!("/features/price"), "{problem}");
        let detail = problem["errors"][0]["detail"].as_str().unwrap();
        assert!(detail.contains("the model reads a number"), "{detail}");
    }
    assert_eq!(server.get("/v1/items/mug").await.status(), 404);
    server.check_features.next(Act::Fail(ErrorCode::Unavailable));
    problem(put(json!(12.5)).await, 503).await;
    assert_eq!(server.get("/v1/items/mug").await.status(), 404, "nothing was written");
    assert_eq!(put(json!(12.5)).await.status(), 201);
    assert_eq!(put(json!(null)).await.status(), 200, "null is a missing value");
}

#[actix_web::test]
async fn features_of_the_wrong_type_are_refused_by_every_write() {
    let server = Server::start();
    server.put("/v1/items/mug", &json!({"title": "Mug", "features": {"price": 3}})).await;
    let patch = async |path: &str, body: Value| {
        server.request(Method::PATCH, path).json(&body).send().await.unwrap()
    };
    let wrong = || json!({"features": {"price": "cheap"}});
    for refused in [
        patch("/v1/items/mug", wrong()).await,
        patch("/v1/users/u", wrong()).await,
        server.put("/v1/users/u", &wrong()).await,
    ] {
        let problem = problem(refused, 400).await;
        assert_eq!(problem["errors"][0]["pointer"], json!("/features/price"), "{problem}");
    }
    assert_eq!(server.get("/v1/users/u").await.status(), 404, "nothing was written");
    let lines = [
        json!({"item_id": "a", "title": "A", "features": {"price": "cheap"}}),
        json!({"item_id": "b", "title": "B", "features": {"price": 4}}),
    ];
    let body = lines.map(|line| line.to_string()).join("\n");
    let bulk =
        server.request(Method::POST, "/v1/items").header("content-type", "application/x-ndjson");
    let text = bulk.body(body).send().await.unwrap().text().await.unwrap();
    let results: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(results[0]["status"], "refused", "{text}");
    assert_eq!(results[0]["problem"]["errors"][0]["pointer"], "/features/price", "{text}");
    assert_eq!(results[1]["status"], "created", "{text}");
    assert_eq!(server.get("/v1/items/a").await.status(), 404);
    // No feature changes: the model is not asked.
    server.check_features.next(Act::Fail(ErrorCode::Unavailable));
    assert_eq!(patch("/v1/items/mug", json!({"available": false})).await.status(), 200);
}

#[actix_web::test]
async fn an_item_is_written_read_and_deleted() {
    let server = Server::start();
    let path = "/v1/items/mug%201";
    problem(server.get(path).await, 404).await;

    let mut image = Vec::new();
    image::RgbImage::new(3, 2)
        .write_to(&mut Cursor::new(&mut image), image::ImageFormat::Png)
        .unwrap();
    let content = json!({
        "title": "Blue mug",
        "text": "Holds coffee",
        "categories": ["kitchen", "mugs"],
        "features": {
            "brand": "Acme", "price": 12.5, "code": 9_007_199_254_740_993_i64, "new": true,
            "tags": ["a", "b"], "sizes": [1, 2.5], "gone": null,
        },
        "image": STANDARD.encode(&image),
    });
    let response = server.put(path, &content).await;
    assert_eq!(response.status(), 201);
    let item: Value = response.json().await.unwrap();
    assert_eq!(item["item_id"], "mug 1");
    assert_eq!(item["categories"], json!(["kitchen", "mugs"]));
    let features = json!({
        "brand": "Acme", "code": 9_007_199_254_740_993_i64, "new": "true", "price": 12.5,
        "sizes": [1, 2.5], "tags": ["a", "b"],
    });
    assert_eq!(item["features"], features);
    assert_eq!((&item["available"], &item["has_image"]), (&json!(true), &json!(true)));
    assert_eq!(item["stats"], json!({"impressions": 0, "clicks": 0}));
    assert_eq!(item["content"].as_str().unwrap().len(), 64);
    let created_at = item["created_at"].clone();
    assert!(created_at.as_i64().unwrap() > 1_600_000_000_000);

    let told = ItemId::from("mug 1");
    assert_eq!(server.invalidate.calls()[0].1.item_ids[..], [told]);
    assert_eq!(server.refresh_items.calls()[0].1.item_ids, server.invalidate.calls()[0].1.item_ids);

    let shown = server.get("/v1/items/mug%201/image").await;
    assert_eq!(shown.headers()["content-type"], "image/png");
    assert_eq!(shown.bytes().await.unwrap(), image);

    let response = server.put(path, &json!({"title": "Red mug", "available": false})).await;
    assert_eq!(response.status(), 200);
    let item: Value = response.json().await.unwrap();
    assert_eq!((&item["title"], &item["text"]), (&json!("Red mug"), &json!("")));
    assert_eq!(item["created_at"], created_at, "a rewrite keeps the creation time");
    assert_eq!((&item["available"], &item["has_image"]), (&json!(false), &json!(false)));
    problem(server.get("/v1/items/mug%201/image").await, 404).await;

    for _ in 0..2 {
        let removed = server.request(Method::DELETE, path).send().await.unwrap();
        assert_eq!(removed.status(), 204);
    }
    problem(server.get(path).await, 404).await;
    assert_eq!(server.refresh_items.calls().len(), 4);
}

#[actix_web::test]
async fn invalid_content_is_named_and_not_written() {
    let server = Server::start();
    for (content, field) in [
        (json!({"text": "no title"}), "title"),
        (json!({"title": 5}), "title"),
        (json!({"title": "t", "categories": [1]}), "categories[0]"),
        (json!({"title": "t", "features": {"brand": {}}}), "features.brand"),
        (json!({"title": "t", "features": {"price": 1e39}}), "features.price"),
        (json!({"title": "t", "features": {"tags": ["a", ["b"]]}}), "features.tags[1]"),
        (json!({"title": "t", "features": {"tags": ["a", 1]}}), "features.tags"),
        (json!({"title": "t", "price": 1}), "price"),
        (json!({"title": "t", "image": "bm8gaW1hZ2U="}), "image"),
    ] {
        let found = problem(server.put("/v1/items/i1", &content).await, 400).await;
        assert_eq!(found["field"], field, "{found}");
    }
    problem(server.get("/v1/items/i1").await, 404).await;
    assert!(server.refresh_items.calls().is_empty());
}

#[actix_web::test]
async fn an_item_change_that_retrieval_did_not_take_is_an_error() {
    let server = Server::start();
    server.refresh_items.next(Act::Fail(ErrorCode::Unavailable));
    let content = json!({"title": "Mug"});
    let found = problem(server.put("/v1/items/i1", &content).await, 503).await;
    assert!(found["detail"].as_str().unwrap().contains("send it again"));
    assert_eq!(server.put("/v1/items/i1", &content).await.status(), 200);
}
