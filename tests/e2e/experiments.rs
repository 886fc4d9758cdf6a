//! Experiments from start to conclusion, with simulated shoppers.

use plugrank_simshop::{Browsing, Conclusion, ShopServer, closed_loop, idrec_against_ppm};
use serde_json::{Value, json};

use super::site::{Site, plugrank, repository, stderr};

#[tokio::test(flavor = "multi_thread")]
async fn experiment_results_match_the_actions_of_simulated_shoppers() {
    let site = Site::start_with("experiments.forced_arms = true").await;
    let browsing = Browsing {
        server: ShopServer { url: site.url(""), key: None },
        experiment: "loop".to_owned(),
        definition: idrec_against_ppm(),
        runs: 2,
        seed: 1,
        shoppers: 60,
        before: 1,
        visits: 2,
        k: 5,
        threads: 4,
    };
    let dataset = repository("models/simshop/dataset");
    let browsed = tokio::task::spawn_blocking(move || closed_loop(&dataset, &browsing, |_| {}));
    let outcomes = browsed.await.unwrap().unwrap();
    assert_eq!(outcomes.len(), 2);
    for outcome in &outcomes {
        let lists: usize = outcome.truth.iter().map(|arm| arm.lists).sum();
        assert_eq!(lists, 120, "{outcome:?}");
        assert_ne!(outcome.conclusion, Conclusion::Hidden, "{outcome:?}");
        assert!(outcome.cuped, "shoppers came before it began: {outcome:?}");
        for arm in &outcome.truth {
            assert!(arm.lists > 20 && arm.served > 0.0 && arm.everyone.is_some(), "{outcome:?}");
        }
        let [low, high] = outcome.interval.unwrap();
        let lift = outcome.lift.unwrap();
        assert!(low < lift && lift < high, "{outcome:?}");
    }
    let shares = |at: usize| outcomes[at].truth[0].lists;
    let clicks = |at: usize| outcomes[at].truth[0].clicks;
    assert_ne!((shares(0), clicks(0)), (shares(1), clicks(1)), "each has its own split and clicks");
    let (status, list) = site.get("/v1/experiments").await;
    assert_eq!((status, &list["experiments"]), (200, &json!([])), "both are ended");
}

#[tokio::test]
async fn the_command_prints_results_of_a_server() {
    let site = Site::start().await;
    let experiment = json!({
        "layer": "ranking", "control": "idrec",
        "arms": [
            {"name": "idrec", "permille": 500, "settings": {"rung": "idrec"}},
            {"name": "ppm", "permille": 500},
        ],
        "guardrails": [{"metric": "late", "margin": 0.01}],
    });
    assert_eq!(site.put_json("/v1/experiments/ppm", &experiment).await.0, 200);
    for user in 1..=20 {
        site.rank_for(&format!("u{user}"), 5).await;
    }
    let asked = |more: &[&str]| {
        let url = site.url("");
        let mut command = plugrank(&["experiment", "ppm", "--url", &url]);
        let output = command.args(more).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let counted = |found: &Value| -> f64 {
        let arms = found["arms"].as_array().unwrap().iter();
        arms.map(|arm| arm["exposures"].as_f64().unwrap()).sum()
    };
    let mut found: Value = Value::Null;
    for _ in 0..100 {
        found = serde_json::from_str(&asked(&["--json"])).unwrap();
        if counted(&found) == 20.0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(counted(&found), 20.0, "{found}");
    let text = asked(&[]);
    for says in ["sample ratio: p", "idrec", "guardrail", "begun (request)"] {
        assert!(text.contains(says), "{text}");
    }
    let none = plugrank(&["experiment", "none", "--url", &site.url("")]).output().unwrap();
    assert!(stderr(&none).contains("there is no experiment"), "{}", stderr(&none));
}
