//! From columns to ids.

use std::collections::BTreeMap;

use plugrank_contract::{Item, ItemId, User, UserId};
use serde_json::json;

use crate::bundle_copy::{BundleCopy, small};

fn item(id: &str, categories: &[&str]) -> Item {
    Item {
        item_id: ItemId::from(id),
        title: String::new(),
        text: String::new(),
        categories: categories.iter().map(|&category| category.to_owned()).collect(),
        created_at: None,
        available: true,
        image_hash: None,
        features: BTreeMap::new(),
    }
}

#[test]
fn values_become_ids_from_2() {
    let encoder = small().feature_encoder().unwrap();
    let ids = |id: &str, categories: &[&str]| encoder.item(&item(id, categories)).to_vec();
    assert_eq!(ids("i1", &["toys", "books"]), [2, 2, 4]);
    assert_eq!(ids("i6", &["books"]), [7, 4, 0], "padded with missing");
    assert_eq!(ids("i6", &["shoes", "books", "toys"]), [7, 3, 4], "cut");
    assert_eq!(ids("i7", &["boats", "", "toys"]), [1, 1, 0], "unknown, then empty");
    assert_eq!(ids("i2", &[]), [3, 0, 0]);
}

#[test]
fn slots_say_where_a_feature_is() {
    let encoder = small().feature_encoder().unwrap();
    let slots: Vec<_> =
        encoder.item_slots().iter().map(|s| (s.name.as_str(), s.offset, s.length)).collect();
    assert_eq!(slots, [("item_id", 0, 1), ("categories", 1, 2)]);
    assert_eq!(encoder.user_slots().len(), 1);
}

#[test]
fn a_missing_item_has_its_id_only() {
    let encoder = small().feature_encoder().unwrap();
    assert_eq!(*encoder.missing_item(&ItemId::from("i3")), [4, 0, 0]);
    assert_eq!(*encoder.missing_item(&ItemId::from("i99")), [1, 0, 0]);
}

#[test]
fn users_may_be_unknown_or_without_a_profile() {
    let copy = BundleCopy::new().write("vocab/gender.txt", b"f\nm\n").edit(|manifest| {
        let gender =
            json!({ "name": "sex", "column": "gender", "vocab": "vocab/gender.txt", "length": 1 });
        manifest["features"]["user"].as_array_mut().unwrap().push(gender);
    });
    let encoder = copy.open().unwrap().feature_encoder().unwrap();
    let id = |id: &str| UserId::from(id);
    let user = |gender: &str| User {
        user_id: id("u2"),
        features: BTreeMap::from([("gender".to_owned(), gender.into())]),
    };
    assert_eq!(*encoder.user(&id("u2"), Some(&user("m"))), [3, 3]);
    assert_eq!(*encoder.user(&id("u2"), Some(&user("x"))), [3, 1]);
    assert_eq!(*encoder.user(&id("u2"), Some(&user(""))), [3, 0]);
    assert_eq!(*encoder.user(&id("u9"), None), [1, 0]);
}

#[test]
fn a_vocabulary_that_repeats_a_value_is_refused() {
    let copy = BundleCopy::new().write("vocab/item_id.txt", b"i1\ni2\ni1\n");
    let error = copy.open().unwrap().feature_encoder().unwrap_err();
    assert_eq!(error.to_string(), "vocab/item_id.txt: line 3 repeats `i1` of line 1");
}
