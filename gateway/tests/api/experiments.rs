//! Experiments over the API: definition, assignment, application, results.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use plugrank_contract::{ErrorCode, FeatureValue, User, scoring::ModelKind};
use plugrank_gateway::ExperimentsOptions;
use plugrank_store::Store;
use serde_json::{Value, json};

use crate::{
    stages::Act,
    support::{Server, Setup, problem, wait_until},
};

/// Half of the users at the rung of the ID-based model.
fn experiment() -> Value {
    json!({
        "layer": "ranking",
        "control": "idrec",
        "arms": [
            {"name": "idrec", "permille": 500, "settings": {"rung": "idrec"}},
            {"name": "ppm", "permille": 500},
        ],
    })
}

async fn put(server: &Server, name: &str, experiment: &Value) -> Value {
    let response = server.put(&format!("/v1/experiments/{name}"), experiment).await;
    let status = response.status();
    let reply: Value = response.json().await.unwrap();
    assert_eq!(status, 200, "{reply}");
    reply
}

async fn arm(server: &Server, user: usize) -> Option<String> {
    let reply = server.rank(&json!({"user_id": format!("u{user}"), "k": 3})).await;
    reply["experiments"]["ranking"].as_str().map(str::to_owned)
}

#[actix_web::test]
async fn users_keep_their_arm_and_arms_change_the_ranking() {
    let server = Server::start();
    let reply = put(&server, "ppm", &experiment()).await;
    assert_eq!(reply["shares"], json!({"idrec": 0.5, "ppm": 0.5}));
    let mut counted = BTreeMap::new();
    for user in 0..100 {
        let given = arm(&server, user).await.unwrap();
        assert_eq!(arm(&server, user).await.as_ref(), Some(&given));
        let model = server.score.calls().last().unwrap().1.model;
        assert_eq!(model == ModelKind::Idrec, given == "idrec");
        *counted.entry(given).or_insert(0) += 1;
    }
    // Of 100 fair coins 30 to 70 show heads with probability 1 - 1/30,000.
    assert!((30..=70).contains(&counted["ppm"]), "{counted:?}");
    let reply = server.rank(&json!({"user_id": "u0"})).await;
    let rung = match reply["experiments"]["ranking"].as_str() {
        Some("idrec") => ("idrec", json!("experiment")),
        _ => ("full", Value::Null),
    };
    assert_eq!((reply["rung"].as_str().unwrap(), reply["degraded"][0]["cause"].clone()), rung);
    assert_eq!(server.delete("/v1/experiments/ppm").await.status(), 204);
    assert_eq!(arm(&server, 0).await, None);
    problem(server.delete("/v1/experiments/ppm").await, 404).await;
    problem(server.get("/v1/experiments/ppm").await, 404).await;
}

#[actix_web::test]
async fn an_arm_does_not_raise_a_rung_that_the_ladder_lowered() {
    let server = Server::start_with(|_, budget| {
        budget.ladder.pin = Some("retrieval_order".parse().unwrap());
    });
    put(&server, "ppm", &experiment()).await;
    for user in 0..10 {
        let reply = server.rank(&json!({"user_id": format!("u{user}")})).await;
        assert_eq!(
            (&reply["rung"], &reply["degraded"][0]["cause"]),
            (&json!("retrieval_order"), &json!("pinned"))
        );
    }
}

#[actix_web::test]
async fn all_problems_of_a_definition_name_their_path_in_the_body() {
    let server = Server::start();
    let wrong = json!({
        "layer": "ranking", "control": "none",
        "arms": [
            {"name": "a", "permille": 400, "settings": {"rung": "best"}},
            {"name": "b", "permille": 500, "settings": {"rung": "full"}},
        ],
    });
    let refused = problem(server.put("/v1/experiments/e", &wrong).await, 400).await;
    let fields: Vec<&str> = refused["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["field"].as_str().unwrap())
        .collect();
    assert_eq!(fields, ["control", "arms"], "{refused}");
    let mut wrong = experiment();
    wrong["arms"][0]["settings"] = json!({"rung": "best"});
    let refused = problem(server.put("/v1/experiments/e", &wrong).await, 400).await;
    assert_eq!(refused["errors"][0]["field"], "arms[0].settings.rung", "{refused}");
    assert!(refused["errors"][0]["detail"].as_str().unwrap().contains("missing_vectors"));
    wrong = experiment();
    wrong["arms"][1]["settings"] = json!({"surface": "hom"});
    let refused = problem(server.put("/v1/experiments/e", &wrong).await, 400).await;
    assert_eq!(refused["errors"][0]["field"], "arms[1].settings.surface", "{refused}");
    let mut other = experiment();
    other["name"] = json!("another");
    assert_eq!(problem(server.put("/v1/experiments/e", &other).await, 400).await["field"], "name");
    let list: Value = server.get("/v1/experiments").await.json().await.unwrap();
    assert_eq!(list, json!({"revision": 0, "layers": [], "experiments": []}));
}

#[actix_web::test]
async fn a_change_that_moves_users_between_arms_is_refused() {
    let server = Server::start();
    let three = |shares: [u16; 3]| {
        let names = ["control", "a", "b"];
        let arm = |(name, share): (&str, u16)| json!({"name": name, "permille": share});
        let arms: Vec<Value> = names.into_iter().zip(shares).map(arm).collect();
        json!({"layer": "l", "control": "control", "arms": arms})
    };
    put(&server, "e", &three([400, 300, 300])).await;
    let refused = server.put("/v1/experiments/e", &three([400, 100, 500])).await;
    let detail = problem(refused, 409).await["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("some units"), "{detail}");
    let mut stopped = three([400, 300, 300]);
    stopped["arms"][2]["stopped"] = json!(true);
    let reply = put(&server, "e", &stopped).await;
    assert_eq!(reply["shares"]["b"], 0.0, "{reply}");
}

#[actix_web::test]
async fn gateways_of_one_store_share_their_definitions() {
    let one = Server::start();
    let experiments = ExperimentsOptions { follow_ms: 100, ..ExperimentsOptions::default() };
    let setup = Setup { store: Arc::clone(&one.store), experiments, ..Setup::default() };
    let two = Server::start_as(setup, |_, _| {});
    assert_eq!(arm(&two, 1).await, None);
    put(&one, "ppm", &experiment()).await;
    let given = arm(&one, 1).await;
    assert!(given.is_some());
    for _ in 0..200 {
        if arm(&two, 1).await == given {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the second gateway did not take up the definition");
}

/// A server whose settings define an experiment at a step of its ramp.
fn defining(store: &Server, step: u8) -> Server {
    let setup =
        Setup { store: Arc::clone(&store.store), experiments: defined(step), ..Setup::default() };
    Server::start_as(setup, |_, _| {})
}

fn defined(step: u8) -> ExperimentsOptions {
    let mut experiment = experiment();
    experiment["name"] = json!("ppm");
    experiment["ramp"] = json!({"steps": [5, 25, 50], "at": step});
    let layers = vec![json!({"name": "ranking", "salt": "of the settings"})];
    ExperimentsOptions {
        follow_ms: 100,
        layers,
        defined: vec![experiment],
        ..ExperimentsOptions::default()
    }
}

async fn share(server: &Server) -> f64 {
    let view: Value = server.get("/v1/experiments/ppm").await.json().await.unwrap();
    view["shares"]["ppm"].as_f64().unwrap_or_else(|| panic!("{view}"))
}

#[actix_web::test]
async fn experiments_of_the_settings_are_written_once_per_version() {
    let store = Server::start();
    let server = defining(&store, 5);
    wait_until("the experiment of the settings is written", async || {
        server.get("/v1/experiments/ppm").await.status() == 200
    })
    .await;
    assert_eq!(share(&server).await, 0.05);
    let list: Value = server.get("/v1/experiments").await.json().await.unwrap();
    assert_eq!(list["layers"][0]["salt"], "of the settings", "{list}");
    let view: Value = server.get("/v1/experiments/ppm").await.json().await.unwrap();
    assert_eq!(view["definition"]["history"][0]["cause"], "settings", "{view}");
    let mut further = view["definition"].clone();
    further["ramp"]["at"] = json!(25);
    put(&server, "ppm", &further).await;
    // Unchanged settings after a restart: changes by the API stay.
    let again = defining(&store, 5);
    for _ in 0..10 {
        again.rank(&json!({"user_id": "u", "k": 3})).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(share(&again).await, 0.25);
    // Changed settings are applied without a restart.
    let mut options = again.live.borrow().clone();
    options.experiments = defined(50);
    again.live.send(options).unwrap();
    wait_until("the changed ramp is applied", async || share(&again).await == 0.5).await;
    // A change that would move users between arms is not applied.
    let mut options = again.live.borrow().clone();
    options.experiments.defined[0]["salt"] = json!("another");
    again.live.send(options).unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let view: Value = again.get("/v1/experiments/ppm").await.json().await.unwrap();
    assert_eq!(view["definition"].get("salt"), None, "{view}");
    assert_eq!(again.delete("/v1/experiments/ppm").await.status(), 204);
    let last = defining(&store, 50);
    tokio::time::sleep(Duration::from_millis(300)).await;
    problem(last.get("/v1/experiments/ppm").await, 404).await;
}

#[actix_web::test]
async fn arms_can_be_forced_only_where_the_settings_allow_it() {
    let body = json!({"user_id": "u", "arms": {"ppm": "idrec"}});
    let server = Server::start();
    put(&server, "ppm", &experiment()).await;
    let refused = problem(server.post("/v1/rank", &body).await, 400).await;
    assert_eq!(refused["field"], "arms");
    assert!(refused["detail"].as_str().unwrap().contains("experiments.forced_arms"));
    let experiments = ExperimentsOptions { forced_arms: true, ..ExperimentsOptions::default() };
    let server = Server::start_as(Setup { experiments, ..Setup::default() }, |_, _| {});
    put(&server, "ppm", &experiment()).await;
    for arm in ["idrec", "ppm"] {
        let reply = server.rank(&json!({"user_id": "u", "arms": {"ppm": arm}})).await;
        assert_eq!(reply["experiments"], json!({"ranking": arm}), "{reply}");
    }
    let unknown = json!({"user_id": "u", "arms": {"ppm": "none"}});
    problem(server.post("/v1/rank", &unknown).await, 400).await;
}

#[actix_web::test]
async fn a_target_reads_features_of_the_user_profile() {
    let server = Server::start();
    let user = |id: &str, country: &str| User {
        user_id: id.into(),
        features: [("country".into(), FeatureValue::Text(country.into()))].into(),
    };
    server.store.put_users(vec![user("u1", "de"), user("u2", "fr")]).await.unwrap();
    let mut experiment = experiment();
    experiment["target"] = json!({"must": [{"feature": "country", "any": ["de"]}]});
    put(&server, "ppm", &experiment).await;
    assert!(arm(&server, 1).await.is_some());
    assert_eq!(arm(&server, 2).await, None);
    assert_eq!(arm(&server, 3).await, None, "an unknown user");
}

#[actix_web::test]
async fn a_profile_is_read_after_admission_and_within_the_budget() {
    let server = Server::start_with(|server, _| server.max_in_flight = 1);
    let mut targeted = experiment();
    targeted["target"] = json!({"must": [{"feature": "country", "any": ["de"]}]});
    put(&server, "ppm", &targeted).await;
    server.store.users_hang.store(true, Ordering::Relaxed);
    let reply = server.rank(&json!({"user_id": "u", "k": 3})).await;
    let spent = reply["budget"]["spent_ms"].as_f64().unwrap();
    assert!(spent >= 5.0, "reading the profile counts as time spent: {reply}");
    let reads = || server.store.user_reads.load(Ordering::Relaxed);
    assert_eq!(reads(), 1);
    server.score.next(Act::Hang);
    let body = json!({"user_id": "u", "budget_ms": 900});
    let (_, refused) = tokio::join!(server.rank(&body), async {
        wait_until("the first request is scored", async || server.score.calls().len() >= 2).await;
        server.post("/v1/rank", &body).await
    });
    problem(refused, 429).await;
    assert_eq!(reads(), 2, "a refused request reads nothing");
}

/// The results, once they count this number of lists.
async fn results(server: &Server, name: &str, lists: usize) -> Value {
    for _ in 0..500 {
        let response = server.get(&format!("/v1/experiments/{name}/results")).await;
        assert_eq!(response.status(), 200);
        let results: Value = response.json().await.unwrap();
        let arms = results["arms"].as_array().unwrap();
        let counted: f64 = arms.iter().map(|arm| arm["exposures"].as_f64().unwrap()).sum();
        if counted >= lists as f64 {
            assert_eq!(counted, lists as f64, "{results}");
            return results;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the results never counted {lists} lists");
}

#[actix_web::test]
async fn results_count_exposures_and_outcomes_by_user() {
    let experiments = ExperimentsOptions { forced_arms: true, ..ExperimentsOptions::default() };
    let server = Server::start_as(Setup { experiments, ..Setup::default() }, |_, _| {});
    problem(server.get("/v1/experiments/ppm/results").await, 404).await;
    let mut guarded = experiment();
    guarded["guardrails"] = json!([{"metric": "degraded", "margin": 0.01}]);
    put(&server, "ppm", &guarded).await;
    let mut events = Vec::new();
    let mut event = |user: &str, request: &Value, item: &str, number: usize| {
        events.push(json!({
            "event_id": format!("{user}-{number}"), "type": "click", "user_id": user, "item_id": item,
            "request_id": request, "value": 2.5,
        }));
    };
    let (mut users, mut clicks) = (BTreeMap::<String, usize>::new(), 0);
    for number in 0..60 {
        let user = format!("u{number}");
        for _ in 0..2 {
            let reply = server.rank(&json!({"user_id": user, "k": 3})).await;
            let given = reply["experiments"]["ranking"].as_str().unwrap();
            if number % 3 == 0 && given == "ppm" {
                event(&user, &reply["request_id"], "i1", clicks);
                clicks += 1;
                // A task counts once per impression.
                event(&user, &reply["request_id"], "i1", 1000 + clicks);
            }
            *users.entry(given.to_owned()).or_default() += 1;
        }
    }
    event("a stranger", &json!("r"), "i1", 1);
    assert_eq!(server.post("/v1/events", &json!({"events": events})).await.status(), 202);
    server.rank(&json!({"user_id": "u1", "k": 3, "arms": {"ppm": "ppm"}})).await;
    let results = results(&server, "ppm", 120).await;
    assert_eq!(results["control"], "idrec");
    assert_eq!((&results["hidden"], &results["crossed"]), (&Value::Null, &json!(0)), "{results}");
    for arm in results["arms"].as_array().unwrap() {
        let lists = users[arm["name"].as_str().unwrap()];
        assert_eq!((&arm["units"], &arm["exposures"]), (&json!(lists / 2), &json!(lists as f64)));
        let expected = if arm["name"] == "ppm" { clicks } else { 0 };
        assert_eq!(
            (arm["outcomes"].as_array().unwrap().len(), &arm["outcomes"][0]["task"]),
            (1, &json!("click"))
        );
        // Compared with a tolerance: the last bits depend on the order of the sums.
        let sum = arm["outcomes"][0]["sum"].as_f64().unwrap();
        assert!((sum - expected as f64).abs() < 1e-9, "{sum}, not {expected}");
    }
    let metrics = results["metrics"].as_array().unwrap();
    let value = metrics.iter().find(|one| one["metric"] == "value/unit").unwrap();
    let per_unit = 2.5 * clicks as f64 / (users["ppm"] / 2) as f64;
    assert!((value["plain"]["arm"].as_f64().unwrap() - per_unit).abs() < 1e-9, "{value}");
    let now = results["over_time"].as_array().unwrap().last().unwrap();
    assert_eq!((&now["at"], &now["units"]), (&results["to"], &json!(60)), "{now}");
    let lifts = now["lifts"].as_array().unwrap();
    assert_eq!(lifts.len(), metrics.len());
    for (lift, metric) in lifts.iter().zip(metrics) {
        assert_eq!((&lift["metric"], &lift["arm"]), (&metric["metric"], &metric["arm"]));
        let adjusted = if metric["cuped"].is_null() { &metric["plain"] } else { &metric["cuped"] };
        assert_eq!(lift["lift"], adjusted["lift"]);
        assert_eq!(lift["interval"], adjusted["always_valid_lift_interval"]);
    }
    let history = results["history"].as_array().unwrap();
    assert_eq!((&history[0]["change"], &history[0]["cause"]), (&json!("begun"), &json!("request")));
    assert_eq!(results["guardrails"][0]["verdict"], "unknown", "too few users");
    let mut stopped = guarded;
    stopped["arms"][1]["stopped"] = json!(true);
    stopped["history"] = json!([{"change": "mine"}]);
    let reply = put(&server, "ppm", &stopped).await;
    let history = reply["definition"]["history"].as_array().unwrap();
    assert_eq!(history.len(), 2, "it is the server's: {history:?}");
    assert_eq!(history[1]["change"], "arm ppm stopped");
    problem(server.get("/v1/experiments/ppm/results").await, 409).await;
}

#[actix_web::test]
async fn a_failed_ranking_counts_as_an_error_of_its_arm() {
    let server = Server::start();
    put(&server, "ppm", &experiment()).await;
    server.retrieve.next(Act::Fail(ErrorCode::Unavailable));
    problem(server.post("/v1/rank", &json!({"user_id": "u1"})).await, 503).await;
    let found = results(&server, "ppm", 1).await;
    assert_eq!(found["arms"].as_array().unwrap().len(), 2);
    let logged = server.store.exposures.lock().clone();
    assert!(logged[0].failed && logged[0].items.is_empty(), "{logged:?}");
    assert_eq!(logged[0].arms[0].experiment, "ppm");
}
