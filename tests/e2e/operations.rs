//! Which test shows what each call of the API does, over a real server.

use std::{collections::BTreeSet, fs};

use super::site::{Site, repository};

/// Calls by their names in `/openapi.json`, each with the tests of this folder that make it and judge the answer.
const SHOWN: &[(&str, &[&str])] = &[
    (
        "rank",
        &["rank::the_reply_says_what_happened", "filters::k_of_k_come_back_at_every_selectivity"],
    ),
    ("rankBatch", &["surfaces::a_batch_ranks_for_many_users"]),
    ("similarItems", &["surfaces::similar_items_are_of_the_same_kind"]),
    ("appendEvents", &["events::a_click_changes_the_next_ranking", "events::an_event_counts_once"]),
    ("putItem", &["items::an_item_is_written_listed_changed_and_removed"]),
    (
        "patchItem",
        &[
            "items::an_item_is_written_listed_changed_and_removed",
            "filters::a_price_changes_without_encoding_anything",
        ],
    ),
    ("getItem", &["rank::every_ranked_item_can_be_looked_up"]),
    ("getItemImage", &["rank::every_ranked_item_can_be_looked_up"]),
    ("deleteItem", &["items::an_item_is_written_listed_changed_and_removed"]),
    ("writeItems", &["items::many_items_come_line_by_line_and_a_wrong_line_is_named"]),
    ("putUser", &["users::a_user_is_written_changed_and_forgotten_to_the_last_byte"]),
    ("patchUser", &["users::a_user_is_written_changed_and_forgotten_to_the_last_byte"]),
    ("getUser", &["users::a_user_is_written_changed_and_forgotten_to_the_last_byte"]),
    ("deleteUser", &["users::a_user_is_written_changed_and_forgotten_to_the_last_byte"]),
    ("listModels", &["models::models_are_exchanged_under_requests_and_no_answer_mixes_two"]),
    ("loadModel", &["models::models_are_exchanged_under_requests_and_no_answer_mixes_two"]),
    ("activateModel", &["models::models_are_exchanged_under_requests_and_no_answer_mixes_two"]),
    (
        "deleteModel",
        &["models::a_removed_model_gives_its_threads_back_and_the_other_sees_new_items"],
    ),
    ("listExperiments", &["openapi::every_example_gets_an_answer"]),
    ("getExperiment", &["openapi::every_example_gets_an_answer"]),
    (
        "putExperiment",
        &["experiments::shoppers_browse_and_what_an_experiment_counts_is_what_they_did"],
    ),
    ("deleteExperiment", &["openapi::every_example_gets_an_answer"]),
    (
        "getExperimentResults",
        &["experiments::shoppers_browse_and_what_an_experiment_counts_is_what_they_did"],
    ),
    ("export", &["export::a_running_shop_is_exported_with_the_requests_that_showed_its_items"]),
    ("backup", &["export::a_store_is_backed_up_while_it_serves"]),
    ("liveness", &["rank::health_metrics_and_documents_are_served"]),
    ("readiness", &["rank::health_metrics_and_documents_are_served"]),
    ("metrics", &["rank::health_metrics_and_documents_are_served"]),
    ("openapi", &["rank::health_metrics_and_documents_are_served"]),
    ("docs", &["rank::health_metrics_and_documents_are_served"]),
    ("docsFile", &["rank::health_metrics_and_documents_are_served"]),
    ("playground", &["rank::health_metrics_and_documents_are_served"]),
    ("playgroundFile", &["rank::the_playground_offers_shoppers_and_its_files"]),
    ("playgroundShoppers", &["rank::the_playground_offers_shoppers_and_its_files"]),
];

#[tokio::test]
async fn every_call_is_made_by_a_test() {
    let site = Site::start().await;
    let (_, document) = site.get("/openapi.json").await;
    let paths = document["paths"].as_object().expect("paths");
    // The Open Inference Protocol has tests of its own (`open_inference`).
    let own = paths.iter().filter(|(path, _)| !path.starts_with("/v2"));
    let operations = own.flat_map(|(_, item)| item.as_object().expect("operations").values());
    let known: BTreeSet<&str> =
        operations.filter_map(|operation| operation["operationId"].as_str()).collect();
    let shown: BTreeSet<&str> = SHOWN.iter().map(|(call, _)| *call).collect();
    assert_eq!(known, shown, "a call without a test, or a test without a call");
    for (call, tests) in SHOWN {
        for test in *tests {
            let (module, name) = test.split_once("::").expect("module and name");
            let text = fs::read_to_string(repository(&format!("tests/e2e/{module}.rs")));
            let text = text.unwrap_or_else(|error| panic!("{call}: {module}.rs: {error}"));
            assert!(text.contains(&format!("fn {name}(")), "{call}: there is no test {test}");
        }
    }
}
