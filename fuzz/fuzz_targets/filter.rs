//! Filters: any JSON is a filter or refused; one that compiles takes the same items one by one as all at
//! once.
#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use plugrank_contract::{FeatureValue, Filter, Item};
use plugrank_items::{CompiledFilter, ItemTable};

static TABLE: LazyLock<Arc<ItemTable>> = LazyLock::new(|| {
    let table = ItemTable::new();
    for number in 0..ITEMS {
        let mut features = plugrank_contract::FeatureValues::new();
        if number % 3 != 0 {
            features.insert("price".into(), FeatureValue::from(i64::from(number)));
        }
        if number % 4 != 0 {
            features.insert("brand".into(), FeatureValue::from(["a", "b"][number as usize % 2]));
        }
        let item = Item {
            item_id: format!("i{number}").as_str().into(),
            title: String::new(),
            text: String::new(),
            categories: vec![format!("c{}", number % 5)],
            created_at: (number % 7 != 0).then(|| i64::from(number)),
            available: number % 11 != 0,
            image_hash: None,
            features,
        };
        table.put([(&item, &[0; 32], Default::default())]);
    }
    table
});
/// Items of the table.
const ITEMS: u32 = 40;

fuzz_target!(|json: &[u8]| {
    let Ok(filter) = serde_json::from_slice::<Filter>(json) else { return };
    let view = TABLE.view();
    let Ok(compiled) = view.compile(&filter) else { return };
    let at_once: Vec<_> =
        CompiledFilter::matching(std::slice::from_ref(&compiled), &view).iter().collect();
    let one_by_one: Vec<_> =
        (0..ITEMS).filter(|index| index % 11 != 0 && compiled.keeps(&view, *index)).collect();
    assert_eq!(at_once, one_by_one);
    let written = serde_json::to_vec(&filter).expect("a filter can be written");
    serde_json::from_slice::<Filter>(&written).expect("and read again");
});
