//! The end-to-end test of each operation of the API.

use std::{collections::BTreeSet, fs};

use super::site::{Site, repository};

/// Calls by their names in `/openapi.json`, each with the tests of this folder that make it and judge the answer.
const SHOWN: &[(&str, &[&str])] = &[
    (
        "rank",
        &[
            "rank::the_reply_reports_stages_and_timing",
            "filters::k_items_are_returned_at_every_filter_selectivity",
        ],
    ),
    ("rankBatch", &["surfaces::a_batch_ranks_for_many_users"]),
    ("similarItems", &["surfaces::similar_items_are_of_the_same_kind"]),
    ("appendEvents", &["events::a_click_changes_the_next_ranking", "events::an_event_counts_once"]),
    ("putItem", &["items::an_item_is_written_listed_changed_and_deleted"]),
    (
        "patchItem",
        &[
            "items::an_item_is_written_listed_changed_and_deleted",
            "filters::a_price_change_encodes_nothing",
        ],
    ),
    ("getItem", &["rank::every_ranked_item_can_be_looked_up"]),
    ("getItemImage", &["rank::every_ranked_item_can_be_looked_up"]),
    ("deleteItem", &["items::an_item_is_written_listed_changed_and_deleted"]),
    ("writeItems", &["items::bulk_items_are_read_by_line_and_invalid_lines_named"]),
    ("putUser", &["users::a_deleted_user_leaves_no_byte_in_the_store"]),
    ("patchUser", &["users::a_deleted_user_leaves_no_byte_in_the_store"]),
    ("getUser", &["users::a_deleted_user_leaves_no_byte_in_the_store"]),
    ("deleteUser", &["users::a_deleted_user_leaves_no_byte_in_the_store"]),
    ("listModels", &["models::activation_under_load_never_mixes_two_models"]),
    ("loadModel", &["models::activation_under_load_never_mixes_two_models"]),
    ("activateModel", &["models::activation_under_load_never_mixes_two_models"]),
    ("deleteModel", &["models::a_removed_model_ends_its_threads_and_the_other_sees_new_items"]),
    ("listExperiments", &["openapi::every_example_gets_an_answer"]),
    ("getExperiment", &["openapi::every_example_gets_an_answer"]),
    ("putExperiment", &["experiments::experiment_results_match_the_actions_of_simulated_shoppers"]),
    ("deleteExperiment", &["openapi::every_example_gets_an_answer"]),
    (
        "getExperimentResults",
        &["experiments::experiment_results_match_the_actions_of_simulated_shoppers"],
    ),
    ("export", &["export::a_running_shop_is_exported_with_its_served_lists"]),
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
async fn every_operation_has_an_end_to_end_test() {
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
