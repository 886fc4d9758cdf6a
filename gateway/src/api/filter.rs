//! How the API's documents describe filters.

use std::borrow::Cow;

use plugrank_contract::Filter;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

/// A [`Filter`] in the API's documents: its schema is that of the type that is read.
#[derive(Debug)]
pub enum FilterSchema {}

impl PartialSchema for FilterSchema {
    fn schema() -> RefOr<Schema> {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.inline_subschemas = true;
            settings.meta_schema = None;
        });
        let schema = settings.into_generator().into_root_schema_for::<Filter>();
        let mut schema = schema.to_value();
        if let Value::Object(schema) = &mut schema {
            schema.insert("example".to_owned(), example());
        }
        // A schema that cannot be described as one is described by its example.
        serde_json::from_value(schema).unwrap_or_else(|_| RefOr::T(Schema::default()))
    }
}

impl ToSchema for FilterSchema {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Filter")
    }
}

fn example() -> Value {
    json!({ "must_not": [{ "field": "categories", "any": ["c1"] }] })
}
