//! The contract tests of [`plugrank_store::Store`], on the embedded store.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{path::Path, sync::Arc};

use plugrank_store::contract_tests::{
    self, AnyStore, Opened, every_change_is_followed_from_any_position, run,
};
use plugrank_store_embedded::{EmbeddedOptions, EmbeddedStore};

fn open(dir: &Path, options: EmbeddedOptions) -> AnyStore {
    Arc::new(EmbeddedStore::open(&dir.join("store.redb"), options).unwrap())
}

macro_rules! on_a_file {
    ($($test:ident),+ $(,)?) => {
        $(
            #[test]
            fn $test() {
                let dir = tempfile::tempdir().unwrap();
                run(contract_tests::$test(open(dir.path(), EmbeddedOptions::default())));
            }
        )+
    };
}
plugrank_store::for_each_contract_test!(on_a_file);

#[test]
fn every_change_is_in_the_change_log() {
    let dir = tempfile::tempdir().unwrap();
    let open = async |kept| -> Opened {
        let options = EmbeddedOptions { changes_kept: kept, ..EmbeddedOptions::default() };
        let store = open(dir.path(), options);
        (Arc::clone(&store), store)
    };
    run(every_change_is_followed_from_any_position(open));
}
