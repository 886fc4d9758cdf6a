//! Feature values as callers write them.

use std::collections::BTreeMap;

use plugrank_contract::{FeatureValue, FeatureValues};

use utoipa::openapi::{
    RefOr, Schema,
    schema::{AnyOfBuilder, ArrayBuilder, ObjectBuilder, SchemaType, Type},
};

/// From here on a number is rounded to infinity as a 32-bit float: 2^128 - 2^103.
const F32_END: f64 = 3.402_823_567_797_336_6e38;

/// The schema of features by name.
pub(crate) fn features_schema() -> RefOr<Schema> {
    let plain = |kind: Type| ObjectBuilder::new().schema_type(kind);
    let any_of = |kinds: &[Type]| {
        ObjectBuilder::new().schema_type(SchemaType::from_iter(kinds.iter().cloned()))
    };
    // Entries that are null are left out of a list; a value that is null is missing. `true` and `false` are
    // texts, in a list too.
    let text_entry = || any_of(&[Type::String, Type::Boolean, Type::Null]);
    let number_entry = || any_of(&[Type::Number, Type::Null]);
    let text = |kind: ObjectBuilder| kind.max_length(Some(256));
    let number = |kind: ObjectBuilder| {
        kind.exclusive_minimum(Some(-F32_END)).exclusive_maximum(Some(F32_END))
    };
    let list = |entry: ObjectBuilder| {
        ArrayBuilder::new().items(entry).max_items(Some(FeatureValue::MAX_ENTRIES))
    };
    // An empty list is both a list of texts and a list of numbers.
    let value = AnyOfBuilder::new()
        .item(text(text_entry()))
        .item(number(plain(Type::Number)))
        .item(list(text(text_entry())))
        .item(list(number(number_entry())));
    let features = ObjectBuilder::new()
        .schema_type(Type::Object)
        .property_names(Some(plain(Type::String).min_length(Some(1)).max_length(Some(256))))
        .description(Some(
            "By name: a text, a number, a list of either, true or false (the same as these texts); null \
             is missing. \
             A number is finite as a 32-bit float; whole numbers keep all their digits where a model \
             reads them as a category.",
        ))
        .additional_properties(Some(Schema::from(value)))
        .examples([serde_json::json!({ "brand": "Acme", "price": 12.5, "tags": ["new", "blue"] })]);
    RefOr::T(Schema::Object(features.build()))
}

/// Changes of features: a value that is null takes one away.
pub(crate) type FeatureChanges = BTreeMap<String, Option<FeatureValue>>;

/// The values that changes write.
pub(crate) fn written(changes: &FeatureChanges) -> FeatureValues {
    let given = changes.iter().filter_map(|(name, value)| Some((name.clone(), value.clone()?)));
    given.collect()
}

/// Features with changes over them.
pub(crate) fn changed(features: &FeatureValues, changes: FeatureChanges) -> FeatureValues {
    let mut features = features.clone();
    for (name, value) in changes {
        match value {
            Some(value) => features.insert(name, value),
            None => features.remove(&name),
        };
    }
    features
}
