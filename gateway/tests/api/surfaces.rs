//! Surfaces, and the pages of a list.

use std::{collections::HashSet, time::Duration};

use plugrank_contract::ItemId;
use plugrank_gateway::SurfaceParts;
use serde_json::{Value, json};

use crate::{
    stages::CATALOG,
    support::{Server, Setup, problem},
};

fn server() -> Server {
    let home = SurfaceParts {
        name: "home".into(),
        k: Some(3),
        budget: Some(Duration::from_millis(900)),
        candidates: Some(77),
        ..SurfaceParts::default()
    };
    let cart = SurfaceParts { name: "cart".into(), ..SurfaceParts::default() };
    Server::start_as(Setup { surfaces: vec![home, cart], ..Setup::default() }, |_, _| {})
}

#[actix_web::test]
async fn a_surface_supplies_what_the_request_leaves_out() {
    let server = server();
    let reply = server.rank(&json!({"user_id": "u1", "surface": "home"})).await;
    assert_eq!(reply["surface"], "home");
    assert_eq!(reply["items"].as_array().unwrap().len(), 3);
    assert_eq!(reply["budget"]["total_ms"], 900.0);
    let own = json!({"user_id": "u1", "surface": "home", "k": 5, "budget_ms": 800});
    let reply = server.rank(&own).await;
    assert_eq!(reply["items"].as_array().unwrap().len(), 5);
    assert_eq!(reply["budget"]["total_ms"], 800.0);
    let reply = server.rank(&json!({"user_id": "u1", "surface": "cart"})).await;
    assert_eq!(reply["items"].as_array().unwrap().len(), 20);
    let reply = server.rank(&json!({"user_id": "u1"})).await;
    assert_eq!(reply.get("surface"), None);
    let asked: Vec<(String, u32)> = server
        .retrieve
        .calls()
        .iter()
        .map(|(_, call)| (call.surface.to_string(), call.limit))
        .collect();
    let expected = |name: &str, limit| (name.to_owned(), limit);
    assert_eq!(
        asked,
        [expected("home", 77), expected("home", 77), expected("cart", 300), expected("", 300)]
    );
    let page = server.metrics().await;
    for (surface, count) in [("home", 2), ("cart", 1), ("none", 1)] {
        let line = format!("plugrank_surface_answers_total{{surface=\"{surface}\"}} {count}");
        assert!(page.contains(&line), "{line} not in {page}");
    }
}

#[actix_web::test]
async fn an_arm_ranks_by_another_surface_where_the_list_is_shown() {
    let server = server();
    let arms = json!([
        {"name": "as_is", "weight": 1},
        {"name": "new", "weight": 1, "settings": {"surface": "home"}},
    ]);
    let experiment = json!({"layer": "page", "control": "as_is", "arms": arms});
    assert_eq!(server.put("/v1/experiments/page", &experiment).await.status(), 200);
    let mut met = HashSet::new();
    for user in 0..20 {
        let body = json!({"user_id": format!("u{user}"), "surface": "cart"});
        let reply = server.rank(&body).await;
        let (surface, limit) = {
            let call = server.retrieve.calls().pop().unwrap().1;
            (call.surface.to_string(), call.limit)
        };
        let arm = reply["experiments"]["page"].as_str().unwrap().to_owned();
        let (by, candidates, items) =
            if arm == "new" { ("home", 77, 3) } else { ("cart", 300, 20) };
        assert_eq!((&*surface, limit), (by, candidates), "{reply}");
        let reranked = server.rerank.calls().pop().unwrap().1;
        assert_eq!(&*reranked.surface, by);
        assert_eq!(reply["items"].as_array().unwrap().len(), items);
        assert_eq!(reply["surface"], "cart", "the reply has the surface of the request");
        assert_ne!(
            reply["budget"]["total_ms"], 900.0,
            "the budget is that of the request's surface"
        );
        met.insert(arm);
    }
    assert_eq!(met.len(), 2);
    let page = server.metrics().await;
    assert!(page.contains("plugrank_surface_answers_total{surface=\"cart\"} 20"), "{page}");
    let unknown = json!({"layer": "page", "control": "as_is", "arms": [
        {"name": "as_is", "weight": 1},
        {"name": "new", "weight": 1, "settings": {"surface": "hom"}},
    ]});
    let refused = problem(server.put("/v1/experiments/page", &unknown).await, 400).await;
    assert_eq!(refused["field"], "arms[1].settings.surface");
    assert!(refused["detail"].as_str().unwrap().contains("there are home, cart"), "{refused}");
}

#[actix_web::test]
async fn an_unknown_surface_is_refused_with_the_list_of_surfaces() {
    let server = server();
    let refused = server.post("/v1/rank", &json!({"user_id": "u", "surface": "hom"})).await;
    let refused = problem(refused, 400).await;
    assert_eq!(refused["field"], "surface");
    let detail = refused["detail"].as_str().unwrap();
    assert!(detail.contains("there are home, cart"), "{detail}");
    assert!(
        !server.metrics().await.contains("surface=\"hom\""),
        "unknown surfaces add no metric series"
    );
}

#[actix_web::test]
async fn later_pages_exclude_what_earlier_pages_showed() {
    let server = server();
    let mut body = json!({"user_id": "u1", "surface": "home"});
    let mut shown: HashSet<u32> = HashSet::new();
    for page in 0..4 {
        let reply = server.rank(&body).await;
        let call = server.retrieve.calls().pop().unwrap().1;
        assert_eq!(call.shown.iter().copied().collect::<HashSet<u32>>(), shown);
        assert!(call.shown.is_sorted());
        for (place, item) in reply["items"].as_array().unwrap().iter().enumerate() {
            assert_eq!(item["rank"], page * 3 + place + 1, "ranks count over all pages");
            shown.insert(ItemId::from(item["item_id"].as_str().unwrap()).fingerprint());
        }
        body["cursor"] = reply["cursor"].clone();
    }
    let all = server.rank(&json!({"user_id": "u1", "k": CATALOG + 1})).await;
    assert_eq!(all.get("cursor"), None, "a page that is not full is the last");
}

#[actix_web::test]
async fn a_cursor_is_valid_for_its_own_list_only() {
    let server = server();
    let reply = server.rank(&json!({"user_id": "u1", "surface": "home"})).await;
    let cursor = reply["cursor"].as_str().unwrap();
    let mut changed = cursor.to_owned();
    changed.replace_range(8..9, if &cursor[8..9] == "A" { "B" } else { "A" });
    let bad: [Value; 6] = [
        json!({"user_id": "u2", "surface": "home", "cursor": cursor}),
        json!({"user_id": "u1", "surface": "cart", "cursor": cursor}),
        json!({"user_id": "u1", "cursor": cursor}),
        json!({"user_id": "u1", "surface": "home", "cursor": changed}),
        json!({"user_id": "u1", "surface": "home", "cursor": "no cursor"}),
        json!({"user_id": "u1", "surface": "home", "cursor": "A".repeat(20_000)}),
    ];
    for body in bad {
        assert_eq!(problem(server.post("/v1/rank", &body).await, 400).await["field"], "cursor");
    }
}
