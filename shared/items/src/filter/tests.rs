use std::collections::BTreeMap;

use plugrank_contract::{Condition, FeatureValue, Filter, FilterValue, Item, ItemIndex};
use proptest::prelude::*;

use super::CompiledFilter;
use crate::{
    ItemTable, ItemsOptions,
    testing::{item, write},
};

fn any(field: &str, values: &[&str]) -> Condition {
    let any = Some(values.iter().map(|value| (*value).into()).collect());
    Condition { field: field.to_owned(), any, ..Condition::default() }
}

fn must(condition: Condition) -> Filter {
    Filter { must: vec![condition], ..Filter::default() }
}

fn with(id: &str, categories: &[&str], features: &[(&str, &str)]) -> Item {
    let features = features.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    Item { features, ..item(id, categories, None) }
}

fn matching(table: &ItemTable, filter: &Filter) -> Vec<ItemIndex> {
    let view = table.view();
    let compiled = view.compile(filter).unwrap();
    CompiledFilter::matching(&[compiled], &view).iter().collect()
}

fn pointers(table: &ItemTable, filter: &Filter) -> Vec<String> {
    let problems = table.view().compile(filter).unwrap_err();
    problems.into_iter().map(|problem| problem.pointer).collect()
}

#[test]
fn a_missing_value_meets_no_condition() {
    let table = ItemTable::new();
    write(&table, &with("a", &["x"], &[("brand", "b1")]));
    write(&table, &with("b", &["x", "y"], &[]));
    write(&table, &with("c", &[], &[("brand", "b2")]));
    assert_eq!(matching(&table, &must(any("brand", &["b1", "b3"]))), [0]);
    let not = Filter { must_not: vec![any("brand", &["b1"])], ..Filter::default() };
    assert_eq!(matching(&table, &not), [1, 2], "an item without a brand is not of that brand");
    let should = Filter {
        should: vec![any("brand", &["b2"]), any("categories", &["y"])],
        ..Filter::default()
    };
    assert_eq!(matching(&table, &should), [1, 2]);
    let nothing = Filter { should: vec![any("brand", &["b9"])], ..Filter::default() };
    assert_eq!(matching(&table, &nothing), [] as [u32; 0]);
    assert_eq!(matching(&table, &Filter::default()), [0, 1, 2]);
    let both = Condition { all: Some(vec!["y".into(), "x".into()]), ..any("categories", &[]) };
    assert_eq!(matching(&table, &must(Condition { any: None, ..both })), [1]);
    assert_eq!(matching(&table, &must(any("item_id", &["c", "a", "z"]))), [0, 2]);
}

#[test]
fn a_removed_value_is_missing_and_existing_views_are_unchanged() {
    let table = ItemTable::new();
    write(&table, &with("a", &["x"], &[("brand", "b1")]));
    let before = table.view();
    let brand = must(any("brand", &["b1"]));
    let compiled = before.compile(&brand).unwrap();
    write(&table, &with("a", &["x"], &[]));
    assert!(compiled.keeps(&before, 0) && !compiled.keeps(&table.view(), 0));
    let mut gone = with("b", &["x"], &[("brand", "b1")]);
    gone.available = false;
    write(&table, &gone);
    assert_eq!(matching(&table, &brand), [] as [u32; 0], "unavailable items match nothing");
    assert!(table.view().compile(&brand).unwrap().keeps(&table.view(), 1));
}

#[test]
fn numbers_and_lists_meet_bounds_and_values() {
    let table = ItemTable::new();
    let list = |json: &str| serde_json::from_str::<FeatureValue>(json).unwrap();
    for (id, value) in [
        ("a", list("19.99")),
        ("b", list("[5, 30]")),
        ("c", list("\"free\"")),
        ("d", list("[]")),
        ("e", list("-0.0")),
    ] {
        let features = [("price".to_owned(), value)].into();
        write(&table, &Item { features, ..item(id, &[], Some(1_000)) });
    }
    write(&table, &item("f", &[], None));
    let price = || Condition { any: None, ..any("price", &[]) };
    let some = |values: &[FilterValue]| Some(values.to_vec());
    for (condition, expected) in [
        (Condition { gte: Some(19.99), ..price() }, &[0u32, 1][..]),
        (Condition { gt: Some(19.99), ..price() }, &[1]),
        (Condition { lte: Some(19.99), ..price() }, &[0, 1, 4]),
        (Condition { lt: Some(19.99), gt: Some(0.0), ..price() }, &[1]),
        (Condition { lt: Some(0.0), ..price() }, &[]),
        (Condition { any: some(&[0.0.into(), 30.0.into()]), ..price() }, &[1, 4]),
        (Condition { any: some(&["free".into(), 19.99.into()]), ..price() }, &[0, 2]),
        (Condition { all: some(&[5.0.into(), 30.0.into()]), ..price() }, &[1]),
        (Condition { all: some(&[19.99.into()]), ..price() }, &[0]),
        (Condition { all: some(&[5.0.into(), "free".into()]), ..price() }, &[]),
        (
            Condition { gte: Some(1_000.0), ..Condition { field: "created_at".into(), ..price() } },
            &[0, 1, 2, 3, 4],
        ),
        (
            Condition {
                gt: Some(999.5),
                lt: Some(1_000.0),
                ..Condition { field: "created_at".into(), ..price() }
            },
            &[],
        ),
    ] {
        assert_eq!(matching(&table, &must(condition.clone())), expected, "{condition:?}");
        let restored = ItemTable::new();
        assert!(restored.restore(&table.saved()));
        assert_eq!(matching(&restored, &must(condition)), expected);
    }
}

#[test]
fn a_condition_that_no_column_can_answer_is_a_problem() {
    let table = ItemTable::new();
    write(&table, &with("a", &["x"], &[("brand", "b1")]));
    let range = |field: &str| Condition { any: None, gte: Some(5.0), ..any(field, &[]) };
    let filter = Filter {
        must: vec![any("brand", &["b1"]), any("brandt", &["b1"])],
        must_not: vec![range("brand"), range("item_id"), range("categories")],
        should: vec![
            any("created_at", &["1970"]),
            Condition { any: Some(vec!["b1".into(), 7.0.into()]), ..any("brand", &[]) },
        ],
    };
    let expected = [
        "/must/1/field",
        "/must_not/0",
        "/must_not/1",
        "/must_not/2",
        "/should/0",
        "/should/1/any/1",
    ];
    assert_eq!(pointers(&table, &filter), expected);
    let problem = &table.view().compile(&must(any("x", &["y"]))).unwrap_err()[0];
    assert!(problem.detail.contains("brand, categories, created_at, item_id"), "{problem:?}");
}

#[test]
fn settings_say_which_columns_are_kept() {
    let listed = ItemsOptions { columns: Some(vec!["b".to_owned()]), max_columns: 64 };
    let few = ItemsOptions { columns: None, max_columns: 1 };
    for (options, kept, left_out) in [(listed, "b", "a"), (few, "a", "b")] {
        let table = ItemTable::with_options(options);
        write(&table, &with("i", &[], &[("a", "1"), ("b", "1")]));
        assert_eq!(matching(&table, &must(any(kept, &["1"]))), [0]);
        assert_eq!(pointers(&table, &must(any(left_out, &["1"]))), ["/must/0/field"]);
        let columns = table.columns();
        assert_eq!(columns.left_out, [left_out]);
        let names: Vec<_> = columns.kept.iter().map(|column| &*column.name).collect();
        assert_eq!(names, ["categories", kept]);
        assert!(columns.kept[1].bytes > 2_048 && columns.kept[0].bytes == 0);
    }
}

#[test]
fn a_restored_table_filters_like_the_saved_one() {
    let table = ItemTable::new();
    for n in 0..1_500 {
        let brand = format!("b{}", n % 7);
        let tags: &[&str] = if n % 3 == 0 { &["x", "y"] } else { &["x"] };
        write(&table, &with(&format!("i{n}"), tags, &[("brand", &brand)]));
    }
    let restored = ItemTable::new();
    assert!(restored.restore(&table.saved()));
    let all =
        Condition { all: Some(vec!["x".into(), "y".into()]), any: None, ..any("categories", &[]) };
    let filter = Filter { must: vec![any("brand", &["b3"]), all], ..Filter::default() };
    assert_eq!(matching(&restored, &filter), matching(&table, &filter));
    assert_eq!(matching(&table, &filter).len(), 72, "one of 21, from the fourth on");
    write(&restored, &with("i3", &["x", "y"], &[("brand", "b0")]));
    assert!(!matching(&restored, &filter).contains(&3));
    let other = ItemTable::with_options(ItemsOptions { columns: None, max_columns: 5 });
    assert!(!other.restore(&table.saved()), "kept by other settings");
}

/// Values of an item by column: the reference for the table.
type Known = BTreeMap<String, Vec<String>>;

fn meets(condition: &Condition, known: &Known) -> bool {
    let Some(has) = known.get(&condition.field) else { return false };
    let is = |value: &FilterValue| has.iter().any(|one| FilterValue::Text(one.clone()) == *value);
    match (&condition.any, &condition.all) {
        (Some(any), _) => any.iter().any(is),
        (None, Some(all)) => all.iter().all(is),
        (None, None) => false,
    }
}

fn condition() -> impl Strategy<Value = Condition> {
    let field = prop::sample::select(vec!["brand", "categories", "item_id"]);
    let values = prop::collection::vec(0u8..6, 1..4);
    (field, values, any_bool()).prop_map(|(field, values, each)| {
        let text = |n: &u8| FilterValue::from(format!("{}{n}", &field[..1]).as_str());
        let values = Some(values.iter().map(text).collect());
        let (any, all) = if each { (None, values) } else { (values, None) };
        Condition { field: field.to_owned(), any, all, ..Condition::default() }
    })
}

fn any_bool() -> impl Strategy<Value = bool> {
    proptest::bool::ANY
}

proptest! {
    #[test]
    fn a_filter_equals_evaluating_each_item(
        items in prop::collection::vec((prop::option::of(0u8..6), 0u8..64, any_bool()), 1..1_200),
        must in prop::collection::vec(condition(), 0..3),
        must_not in prop::collection::vec(condition(), 0..2),
        should in prop::collection::vec(condition(), 0..3),
    ) {
        let table = ItemTable::new();
        let mut all = Vec::new();
        // So that the column is there.
        write(&table, &with("first", &[], &[("brand", "none")]));
        for (n, (brand, tags, available)) in items.iter().enumerate() {
            let tags: Vec<String> =
                (0..6).filter(|bit| tags >> bit & 1 == 1).map(|bit| format!("c{bit}")).collect();
            let brand = brand.map(|brand| format!("b{brand}"));
            let mut known = Known::from([
                ("item_id".to_owned(), vec![format!("i{n}")]),
                ("categories".to_owned(), tags.clone()),
            ]);
            known.extend(brand.clone().map(|brand| ("brand".to_owned(), vec![brand])));
            let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
            let brand: Vec<(&str, &str)> = brand.iter().map(|brand| ("brand", &**brand)).collect();
            let mut item = with(&format!("i{n}"), &tags, &brand);
            item.available = *available;
            write(&table, &item);
            all.push((known, *available));
        }
        let filter = Filter { must, must_not, should };
        let view = table.view();
        let compiled = view.compile(&filter).unwrap();
        let found = CompiledFilter::matching(std::slice::from_ref(&compiled), &view);
        for (index, (known, available)) in (1..).zip(&all) {
            let meets = |condition: &Condition| meets(condition, known);
            let expected = filter.must.iter().all(meets)
                && !filter.must_not.iter().any(meets)
                && (filter.should.is_empty() || filter.should.iter().any(meets));
            prop_assert_eq!(compiled.keeps(&view, index), expected);
            prop_assert_eq!(found.contains(index), expected && *available);
        }
        prop_assert_eq!(found.iter().count(), found.len());
    }
}
