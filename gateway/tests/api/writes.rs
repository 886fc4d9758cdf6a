//! Writing users and items.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Server, problem};

async fn user(server: &Server, id: &str) -> Value {
    server.get(&format!("/v1/users/{id}")).await.json().await.unwrap()
}

async fn patch(server: &Server, path: &str, body: &Value) -> reqwest::Response {
    server.request(Method::PATCH, path).json(body).send().await.unwrap()
}

#[actix_web::test]
async fn a_profile_is_written_changed_and_deleted() {
    let server = Server::start();
    let profile = json!({"features": {"age": "25", "country": "nl", "none": null}});
    assert_eq!(server.put("/v1/users/u1", &profile).await.status(), StatusCode::NO_CONTENT);
    assert_eq!(user(&server, "u1").await["features"], json!({"age": "25", "country": "nl"}));
    let change = json!({"features": {"country": null, "city": "Delft"}});
    assert_eq!(patch(&server, "/v1/users/u1", &change).await.status(), StatusCode::NO_CONTENT);
    assert_eq!(user(&server, "u1").await["features"], json!({"age": "25", "city": "Delft"}));
    problem(patch(&server, "/v1/users/new", &change).await, 404).await;
    // This user has a history, but no profile.
    let click = json!({"event_id": "e0", "type": "click", "user_id": "new", "item_id": "i1"});
    server.post("/v1/events", &json!({"events": [click]})).await;
    assert_eq!(patch(&server, "/v1/users/new", &change).await.status(), StatusCode::NO_CONTENT);
    assert_eq!(user(&server, "new").await["features"], json!({"city": "Delft"}));
    assert_eq!(server.delete("/v1/users/new").await.status(), StatusCode::NO_CONTENT);

    let click = json!({"event_id": "e1", "type": "click", "user_id": "u1", "item_id": "i1"});
    server.post("/v1/events", &json!({"events": [click]})).await;
    server.rank(&json!({"user_id": "u1"})).await;
    assert_eq!(server.delete("/v1/users/u1").await.status(), StatusCode::NO_CONTENT);
    problem(server.get("/v1/users/u1").await, 404).await;
    assert!(server.store.events.lock().is_empty());
    // The list was served before, and written before it was forgotten.
    assert!(server.store.exposures.lock().is_empty());
    assert_eq!(server.delete("/v1/users/u1").await.status(), StatusCode::NO_CONTENT);
    // A late patch does not recreate a deleted user.
    problem(patch(&server, "/v1/users/u1", &change).await, 404).await;
    problem(server.get("/v1/users/u1").await, 404).await;
    for body in [json!({"features": {"a": {}}}), json!({"feature": {}})] {
        problem(server.put("/v1/users/u1", &body).await, 400).await;
        problem(patch(&server, "/v1/users/u1", &body).await, 400).await;
    }
    let many = json!({"features": {"a": vec![Value::Null; 1025]}});
    assert_eq!(
        problem(patch(&server, "/v1/users/u1", &many).await, 400).await["field"],
        "features.a"
    );
    let long = json!({"features": {"a": "x".repeat(300)}});
    assert_eq!(server.put("/v1/users/u1", &profile).await.status(), StatusCode::NO_CONTENT);
    let found = problem(patch(&server, "/v1/users/u1", &long).await, 400).await;
    assert_eq!(found["field"], "features.a");
}

#[actix_web::test]
async fn a_patch_changes_only_the_fields_it_names() {
    let server = Server::start();
    let item = json!({"title": "Lamp", "text": "Bright", "features": {"price": 5, "stock": 3}});
    server.put("/v1/items/i1", &item).await;
    let change = json!({"available": false, "features": {"price": 4.5, "stock": null}});
    let changed: Value = patch(&server, "/v1/items/i1", &change).await.json().await.unwrap();
    assert_eq!(changed["features"], json!({"price": 4.5}));
    assert_eq!((&changed["title"], &changed["available"]), (&json!("Lamp"), &json!(false)));
    let told: Vec<_> =
        server.refresh_items.calls().into_iter().map(|(_, call)| call.item_ids).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    problem(patch(&server, "/v1/items/none", &change).await, 404).await;
    let wrong = json!({"features": {"price": {}}});
    problem(patch(&server, "/v1/items/i1", &wrong).await, 400).await;
    let wrong = json!({"categories": [""]});
    let found = problem(patch(&server, "/v1/items/i1", &wrong).await, 400).await;
    assert_eq!(found["field"], "categories[0]");
}

#[actix_web::test]
async fn null_in_a_patch_clears_the_field() {
    let server = Server::start();
    let item = json!({"title": "Lamp", "text": "Bright"});
    server.put("/v1/items/i1", &item).await;
    let change = json!({"categories": ["Light"], "created_at": 5});
    assert_eq!(patch(&server, "/v1/items/i1", &change).await.status(), StatusCode::OK);
    let emptied = json!({"text": null, "categories": null, "created_at": null});
    let emptied: Value = patch(&server, "/v1/items/i1", &emptied).await.json().await.unwrap();
    let left = ["title", "text", "categories", "created_at"].map(|name| emptied[name].clone());
    assert_eq!(left, [json!("Lamp"), json!(""), json!([]), json!(null)]);
    let found = patch(&server, "/v1/items/i1", &json!({"available": null})).await;
    assert_eq!(problem(found, 400).await["field"], "available");
}

#[actix_web::test]
async fn a_bulk_write_has_a_result_for_each_line() {
    let server = Server::start();
    server.put("/v1/items/i2", &json!({"title": "Old"})).await;
    let lines = [
        json!({"item_id": "i1", "title": "One"}).to_string(),
        json!({"item_id": "i2", "title": "Two"}).to_string(),
        String::new(),
        "{".to_owned(),
        json!({"item_id": "", "title": "No id"}).to_string(),
        json!({"item_id": "i3", "title": "Three", "features": {"price": 3}}).to_string(),
    ];
    let request = server.request(Method::POST, "/v1/items");
    let request = request.header("content-type", "application/x-ndjson").body(lines.join("\n"));
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let text = response.text().await.unwrap();
    let results: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<_> = results
        .iter()
        .map(|one| (one["line"].as_u64().unwrap(), one["status"].as_str().unwrap()))
        .collect();
    let expected =
        [(1, "created"), (2, "replaced"), (4, "refused"), (5, "refused"), (6, "created")];
    assert_eq!(told, expected, "{text}");
    assert!(results[2]["problem"]["detail"].as_str().unwrap().contains("not JSON"), "{text}");
    let item: Value = server.get("/v1/items/i3").await.json().await.unwrap();
    assert_eq!(item["features"]["price"], 3);
    let wrong = server.post("/v1/items", &json!({})).await;
    problem(wrong, 415).await;
}
