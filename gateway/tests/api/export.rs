//! `GET /v1/export`, while rankings are served.

use arrow_array::{
    RecordBatch,
    cast::AsArray,
    types::{Int8Type, Int32Type},
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use plugrank_gateway::{EventTypeOptions, EventsOptions};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Server, Setup, problem};

/// The rows of a table.
async fn table(server: &Server, query: &str) -> RecordBatch {
    let response = server.get(&format!("/v1/export?{query}")).await;
    assert_eq!(response.status(), StatusCode::OK, "{query}");
    assert_eq!(response.headers()["content-type"], "application/vnd.apache.parquet");
    let bytes = response.bytes().await.unwrap();
    let mut reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap();
    let schema = arrow_array::RecordBatchReader::schema(&reader);
    reader.next().map_or_else(|| RecordBatch::new_empty(schema), Result::unwrap)
}

fn texts(batch: &RecordBatch, column: &str) -> Vec<Option<String>> {
    let column = batch.column_by_name(column).unwrap().as_string::<i32>();
    column.iter().map(|text| text.map(ToOwned::to_owned)).collect()
}

#[actix_web::test]
async fn exported_clicks_have_request_and_position() {
    let mut events = EventsOptions::default();
    let purchase = EventTypeOptions { task: Some("purchase".to_owned()), ..Default::default() };
    events.types.0.insert("purchase".to_owned(), purchase);
    let server = Server::start_as(Setup { events, ..Setup::default() }, |_, _| {});
    for id in ["i1", "i2", "i3"] {
        server
            .put(&format!("/v1/items/{id}"), &json!({"title": id, "features": {"price": 5}}))
            .await;
    }
    server.put("/v1/users/u1", &json!({"features": {"age": "25"}})).await;
    let ask = json!({"user_id": "u1", "candidates": ["i1", "i2", "i3"],
        "context": {"features": {"hour": 7, "label": "x"}}});
    let reply = server.rank(&ask).await;
    let shown: Vec<&str> = reply["items"].as_array().unwrap().iter().map(id).collect();
    let event = |n: u32, kind: &str, item: &str| {
        json!({"event_id": format!("e{n}"), "type": kind, "user_id": "u1", "item_id": item,
            "request_id": reply["request_id"], "timestamp": 1_700_000_000_000_i64 + i64::from(n)})
    };
    let events = [
        event(1, "impression", shown[0]),
        event(2, "click", shown[1]),
        event(3, "purchase", shown[2]),
    ];
    server.post("/v1/events", &json!({"events": events})).await;

    let rows = table(&server, "what=interactions").await;
    assert_eq!(
        texts(&rows, "item_id"),
        [shown[0], shown[1], shown[2]].map(|id| Some(id.to_owned()))
    );
    let request = reply["request_id"].as_str().unwrap().to_owned();
    assert_eq!(texts(&rows, "request_id"), vec![Some(request.clone()); 3]);
    let positions = rows.column_by_name("position").unwrap().as_primitive::<Int32Type>();
    assert_eq!(positions.values(), &[0, 1, 2]);
    let bought = rows.column_by_name("label_purchase").unwrap().as_primitive::<Int8Type>();
    assert_eq!(bought.iter().collect::<Vec<_>>(), [Some(0), Some(0), Some(1)]);
    assert!(rows.column_by_name("hour").is_some());
    let from = table(&server, "what=interactions&from=1700000000003").await;
    assert_eq!(texts(&from, "item_id"), [Some(shown[2].to_owned())]);

    let lists = table(&server, "what=exposures").await;
    assert_eq!(
        texts(&lists, "item_id"),
        [shown[0], shown[1], shown[2]].map(|id| Some(id.to_owned()))
    );
    assert_eq!(texts(&lists, "request_id"), vec![Some(request); 3]);
    let features: Value =
        serde_json::from_str(texts(&lists, "request_features")[0].as_ref().unwrap()).unwrap();
    assert_eq!(features, json!({"hour": 7, "label": "x"}));
    assert_eq!(table(&server, "what=items").await.num_rows(), 3);
    assert_eq!(texts(&table(&server, "what=users").await, "age"), [Some("25".to_owned())]);
    let about: Value = server.get("/v1/export?what=dataset").await.json().await.unwrap();
    assert_eq!(about, json!({"name": "export", "time": "ms", "negatives": "logged"}));
    let head = server.request(Method::HEAD, "/v1/export?what=users").send().await.unwrap();
    assert_eq!(head.status(), StatusCode::OK);
}

fn id(item: &Value) -> &str {
    item["item_id"].as_str().unwrap()
}

#[actix_web::test]
async fn export_errors_come_before_the_body_begins() {
    let server = Server::start();
    let found = problem(server.get("/v1/export?what=things").await, 400).await;
    assert_eq!(found["field"], "what");
    server.store.gone.store(true, std::sync::atomic::Ordering::Relaxed);
    for what in ["interactions", "exposures", "items", "users", "dataset"] {
        problem(server.get(&format!("/v1/export?what={what}")).await, 503).await;
    }
}
