//! The admin port.

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::site::Site;

async fn site_with_admin(more: &str) -> (Site, String) {
    let address = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    let site = Site::start_with(&format!("admin.bind = \"{address}\"\n{more}")).await;
    (site, format!("http://{address}"))
}

async fn recent(site: &Site, admin: &str) -> Value {
    let request = site.http.get(format!("{admin}/debug/requests"));
    let response = request.header("accept", "application/json").send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/json");
    response.json().await.unwrap()
}

#[tokio::test]
async fn recent_requests_show_their_waterfall() {
    let (site, admin) = site_with_admin("").await;
    let reply = site.rank(json!({"user_id": "u1", "k": 5})).await;
    let document = recent(&site, &admin).await;
    assert_eq!(document["noted"], json!([]));
    let request = &document["slowest"][0];
    assert_eq!(request["trace_id"], reply["trace_id"]);
    assert_eq!(request["name"], "POST /v1/rank");
    assert_eq!(request["budget_ms"], reply["budget"]["total_ms"]);
    let spans = request["spans"].as_array().unwrap();
    assert_eq!(spans[0]["name"], "POST /v1/rank");
    for stage in reply["budget"]["stages"].as_array().unwrap() {
        let name = format!("rank.{}", stage["stage"].as_str().unwrap());
        let at = spans.iter().position(|span| span["name"] == name.as_str()).unwrap();
        let span = &spans[at];
        assert_eq!(span["depth"], 1);
        for key in ["allotted_ms", "spent_ms", "outcome"] {
            assert_eq!(span[key], stage[key], "{name}.{key}");
        }
        assert_eq!(spans[at + 1]["depth"], 2, "its service's call stands below it");
        assert!(span["start_ms"].as_f64().unwrap() >= 0.0);
    }
    let batch = spans.iter().find(|span| span["name"] == "score-unified batch");
    assert!(batch.is_some(), "the batch its rows ran in is part of it");
}

#[tokio::test]
async fn degraded_requests_are_kept_and_shown_as_a_page() {
    let (site, admin) = site_with_admin("budget.ladder.pin = \"idrec\"\n").await;
    let request = site.post("/v1/rank").header("user-agent", "<script>alert(1)</script>");
    let request = request.json(&json!({"user_id": "u1", "k": 5}));
    let reply: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(reply["degraded"][0]["cause"], "pinned", "{reply}");
    let degraded = reply["trace_id"].as_str().unwrap().to_owned();
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let document = recent(&site, &admin).await;
        let noted = document["noted"].as_array().unwrap();
        if let Some(request) = noted.iter().find(|one| one["trace_id"] == degraded.as_str()) {
            assert_ne!(request["cause"], Value::Null);
            break;
        }
        assert!(Instant::now() < deadline, "{document}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let page = site.http.get(format!("{admin}/")).header("accept", "text/html,*/*");
    let page = page.send().await.unwrap();
    assert_eq!(page.url().path(), "/debug/requests");
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("default-src 'none'"));
    let page = page.text().await.unwrap();
    assert!(page.contains(&degraded) && page.contains("rank.retrieval"), "{page}");
    assert!(
        !page.contains("<script>") && page.contains("&lt;script&gt;"),
        "text of callers is escaped"
    );
    let json = site.http.get(format!("{admin}/debug/requests.json")).send().await.unwrap();
    assert_eq!(json.headers()["content-type"], "application/json");
}

#[tokio::test]
async fn requests_that_are_not_sampled_show_their_stages() {
    let (site, admin) = site_with_admin("telemetry.sample_share = 0.0\n").await;
    let reply = site.rank(json!({"user_id": "u1", "k": 5})).await;
    let document = recent(&site, &admin).await;
    let request = &document["slowest"][0];
    assert_eq!(request["trace_id"], reply["trace_id"]);
    assert_eq!(request["budget_ms"], reply["budget"]["total_ms"]);
    let spans = request["spans"].as_array().unwrap();
    let names: Vec<&str> = spans.iter().map(|span| span["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["POST /v1/rank", "rank.retrieval", "rank.scoring", "rank.reranking"]);
    for (span, stage) in spans[1..].iter().zip(reply["budget"]["stages"].as_array().unwrap()) {
        for key in ["allotted_ms", "spent_ms", "outcome"] {
            assert_eq!(span[key], stage[key], "{key}");
        }
        assert_eq!((&span["depth"], &span["rung"]), (&json!(1), &json!("full")));
    }
}

#[tokio::test]
async fn admin_pages_require_a_key_where_keys_are_configured() {
    let digest = |key: &str| plugrank_access::Digest::of_key(key);
    let keys = format!(
        "access.keys.ops = {{ scopes = [\"admin\"], sha256 = \"{}\" }}\n\
         access.keys.shop = {{ scopes = [\"rank\"], sha256 = \"{}\" }}\n",
        digest("for-ops"),
        digest("for-shop"),
    );
    let (site, admin) = site_with_admin(&keys).await;
    let ask = || site.http.get(format!("{admin}/debug/requests"));
    let answer = ask().send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 401);
    let challenges: Vec<_> = answer.headers().get_all("www-authenticate").iter().collect();
    assert!(challenges[0].to_str().unwrap().starts_with("Bearer"), "{challenges:?}");
    assert!(challenges[1].to_str().unwrap().starts_with("Basic"), "{challenges:?}");
    assert_eq!(ask().bearer_auth("for-shop").send().await.unwrap().status().as_u16(), 403);
    assert_eq!(ask().bearer_auth("for-ops").send().await.unwrap().status().as_u16(), 200);
    let browser = ask().basic_auth("anybody", Some("for-ops")).send().await.unwrap();
    assert_eq!(browser.status().as_u16(), 200);
    let wrong = ask().basic_auth("anybody", Some("guess")).send().await.unwrap();
    assert_eq!(wrong.status().as_u16(), 401);
}

#[tokio::test]
async fn admin_pages_are_not_on_the_public_port() {
    let (site, _) = site_with_admin("").await;
    assert_eq!(site.get("/debug/requests").await.0, 404);
}

#[tokio::test]
async fn the_log_level_is_shown_and_changed() {
    let (site, admin) = site_with_admin("").await;
    let url = format!("{admin}/debug/log-level");
    let shown = async || site.http.get(&url).send().await.unwrap().text().await.unwrap();
    let before = shown().await;
    assert!(before.contains("info"), "{before}");
    let put = |level: &'static str| site.http.put(&url).body(level).send();
    let wrong = put("plugrank=loud").await.unwrap();
    assert_eq!(wrong.status(), 400, "{}", wrong.text().await.unwrap());
    assert_eq!(shown().await, before);
    let changed = put("warn,plugrank_gateway=debug").await.unwrap();
    assert_eq!(changed.text().await.unwrap().trim(), "warn,plugrank_gateway=debug");
    let other = site.http.post(&url).send().await.unwrap();
    assert_eq!(
        (other.status().as_u16(), &other.headers()["allow"]),
        (405, &"GET, HEAD, PUT".parse().unwrap())
    );
}
