//! Train-serve parity: the REST API's probabilities are the trained torch model's.

use std::fs;

use serde::Deserialize;
use serde_json::json;

use super::site::{Site, repository};

/// One test impression and the torch model's calibrated probability for it.
#[derive(Deserialize)]
struct Prediction {
    user_id: String,
    item_id: String,
    timestamp: i64,
    score: f64,
}

#[tokio::test]
async fn served_probabilities_equal_those_of_torch() {
    let text = fs::read_to_string(repository("models/simshop/predictions.json")).unwrap();
    let predictions: Vec<Prediction> = serde_json::from_str(&text).unwrap();
    assert!(predictions.len() >= 200, "only {} test impressions", predictions.len());
    let spread = |of: fn(f64, f64) -> f64| predictions.iter().map(|p| p.score).reduce(of).unwrap();
    assert!(spread(f64::max) - spread(f64::min) > 0.1, "the predictions hardly differ");

    let site = Site::start().await;
    let mut differences = Vec::new();
    for prediction in &predictions {
        let body = json!({
            "user_id": prediction.user_id,
            "k": 1,
            "candidates": [prediction.item_id],
            "context": {"timestamp": prediction.timestamp},
        });
        let reply = site.rank(body).await;
        let ctr = reply["items"][0]["ctr"].as_f64().unwrap();
        assert_eq!(reply["coverage"]["missing"], json!(0), "{reply}");
        let difference = (ctr - prediction.score).abs();
        // A taste is the solution of a linear system: it amplifies rounding differences between torch and ONNX
        // Runtime in the text and image encoders.
        assert!(
            difference <= 1e-3,
            "user {} item {}: served {ctr}, torch {}",
            prediction.user_id,
            prediction.item_id,
            prediction.score
        );
        differences.push(difference);
    }
    differences.sort_by(f64::total_cmp);
    let (middle, most) = (differences.len() / 2, differences.len() * 19 / 20);
    assert!(differences[middle] <= 1e-5 && differences[most] <= 1e-4, "{differences:?}");
    let worst = differences.last().unwrap();
    println!("{} impressions, largest difference {worst:.2e}", predictions.len());
}
