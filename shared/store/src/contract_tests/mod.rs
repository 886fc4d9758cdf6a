//! The tests of the guarantees of [`Store`]: every implementation runs all of them.
//!
//! Each is an async function that takes a fresh store; [`for_each_contract_test`](crate::for_each_contract_test)
//! names them, so that an implementation makes a `#[test]` of each.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(missing_docs, reason = "a test's name says what it tests")]

mod changes;
mod concurrency;
mod documents;
pub mod fixtures;
pub mod logs;
pub mod migration;
mod model;
mod reads_and_writes;
mod vectors;
mod views;

use std::sync::Arc;

pub use self::changes::{Opened, every_change_is_followed_from_any_position, follow};
use crate::Store;

/// A store whose kind the tests do not know.
pub type AnyStore = Arc<dyn Store>;

/// Runs a test on a runtime of its own.
pub fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("runtime")
        .block_on(test)
}

/// Calls the macro `$each` with the names of all contract tests, with commas between.
#[macro_export]
macro_rules! for_each_contract_test {
    ($each:ident) => {
        $each! {
            items_read_back_as_written,
            an_item_is_replaced_whole,
            the_last_of_repeated_items_is_stored,
            deleted_items_are_gone,
            a_scan_sees_every_item_once,
            users_read_back_and_are_replaced,
            an_event_counts_once,
            an_event_id_belongs_to_one_event_of_a_user,
            a_click_takes_the_place_of_its_impression,
            a_click_may_come_first,
            requests_items_and_users_are_separate,
            events_without_request_are_separate,
            history_is_cut_strictly_before,
            action_and_value_come_from_the_event_of_greatest_weight,
            history_keeps_clicks_among_many_impressions,
            history_orders_equal_times_by_id,
            history_accepts_any_time_and_id,
            bulk_history_is_idempotent,
            all_histories_are_scanned,
            events_are_read_by_time,
            exposures_are_read_by_time,
            exposures_of_the_previous_format_are_read,
            popularity_weighs_by_type_and_decays,
            expired_events_are_deleted,
            a_deleted_user_leaves_no_data,
            an_update_keeps_the_image,
            known_items_are_reported,
            statistics_are_replaced_and_extended,
            neighbours_read_back,
            vector_spaces_never_mix,
            vectors_are_scanned_in_the_order_of_keys,
            documents_are_replaced_by_compare_and_swap,
            one_of_many_concurrent_document_writers_wins,
            empty_calls_are_no_error,
            concurrent_events_are_all_counted,
            concurrent_repeats_are_new_once,
            readers_see_every_confirmed_write,
            views_include_every_confirmed_write,
            a_view_is_profile_and_history,
            a_view_has_every_earlier_write,
            a_view_has_the_requested_number_of_entries,
            a_view_ends_before_its_time,
            a_follower_is_woken,
            history_agrees_with_the_model,
        }
    };
}

mod all {
    pub use super::{
        changes::*, concurrency::*, documents::*, logs::*, model::*, reads_and_writes::*,
        vectors::*, views::*,
    };
}

/// Exports what is named above and nothing else, so that the compiler tells of a test that is not run.
macro_rules! export {
    ($($test:ident),+ $(,)?) => { pub use self::all::{$($test),+}; };
}
crate::for_each_contract_test!(export);
