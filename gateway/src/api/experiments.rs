//! `/v1/experiments`.

use std::{borrow::Cow, collections::BTreeMap};

use plugrank_experiments::Experiment;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        RefOr, Schema,
        schema::{
            AdditionalProperties, ArrayBuilder, ArrayItems, Object, ObjectBuilder, SchemaType, Type,
        },
    },
};

/// The experiments in force.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ExperimentList {
    /// How often they were written; 0 when there never was one.
    pub revision: u64,
    /// Layers. A user takes part in at most one experiment of a layer.
    #[schema(value_type = Vec<Object>)]
    pub layers: Vec<Value>,
    /// Experiments.
    pub experiments: Vec<ExperimentView>,
}

/// An experiment.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ExperimentView {
    /// Its name.
    pub name: String,
    /// Its definition, as it was written with defaults filled in.
    #[schema(value_type = Object)]
    pub definition: Value,
    /// Share of the experiment's units each arm gets at the present step of its ramp.
    pub shares: BTreeMap<String, f64>,
}

impl ExperimentView {
    pub(crate) fn new(experiment: &Experiment) -> Self {
        let names = experiment.arms.iter().map(|arm| arm.name.clone());
        Self {
            name: experiment.name.clone(),
            definition: json!(experiment),
            shares: names.zip(experiment.shares()).collect(),
        }
    }
}

/// An [`Experiment`] in the API's documents.
#[derive(Debug)]
pub enum ExperimentSchema {}

/// Names of experiments, layers and arms.
const NAME: &str = "^[A-Za-z0-9._-]{1,64}$";

fn plain(kind: Type, description: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(kind).description(Some(description))
}

fn or_null(kind: Type, description: &str) -> ObjectBuilder {
    let kinds = SchemaType::from_iter([kind, Type::Null]);
    ObjectBuilder::new().schema_type(kinds).description(Some(description))
}

fn named(description: &str) -> ObjectBuilder {
    plain(Type::String, description).pattern(Some(NAME))
}

fn object(properties: Vec<(&str, Schema)>, required: &[&str]) -> Object {
    let object = ObjectBuilder::new()
        .schema_type(Type::Object)
        .additional_properties(Some(AdditionalProperties::FreeForm(false)));
    let object =
        properties.into_iter().fold(object, |object, (name, schema)| object.property(name, schema));
    required.iter().fold(object, |object, name| object.required(*name)).build()
}

fn list(of: impl Into<RefOr<Schema>>, least: usize, description: &str) -> Schema {
    let list = ArrayBuilder::new()
        .items(ArrayItems::RefOrSchema(Box::new(of.into())))
        .description(Some(description));
    Schema::Array(if least > 0 { list.min_items(Some(least)) } else { list }.build())
}

fn arm() -> Object {
    let share = |description| or_null(Type::Integer, description).minimum(Some(1));
    object(
        vec![
            ("name", named("Unique within the experiment.").into()),
            (
                "permille",
                share(
                    "Its share; either every arm has one, together 1,000, or every arm a weight.",
                )
                .maximum(Some(1000))
                .into(),
            ),
            ("weight", share("Its share against the other weights.").maximum(Some(65_535)).into()),
            ("stopped", plain(Type::Boolean, "Its units get the control.").into()),
            ("forced", list(plain(Type::String, "A user."), 0, "Users who always get this arm.")),
            (
                "settings",
                plain(Type::Object, "What it changes: `bundle`, `surface`, `rung`.").into(),
            ),
        ],
        &["name"],
    )
}

impl PartialSchema for ExperimentSchema {
    fn schema() -> RefOr<Schema> {
        let part = |description| Schema::from(plain(Type::Object, description));
        let any = |description| plain(Type::Object, description);
        let experiment = object(
            vec![
                ("name", plain(Type::String, "That of the path, or left out.").into()),
                ("layer", named("The layer it belongs to; made when there is none.").into()),
                (
                    "salt",
                    or_null(Type::String, "What the split is salted with; the name by default.")
                        .into(),
                ),
                ("slots", part("Its part of the layer: `from`, `to`.")),
                ("target", part("Whom it is for: `must`, `must_not`.")),
                ("control", named("The arm that the others are compared with.").into()),
                (
                    "ramp",
                    or_null(Type::Object, "How far it is let in: `steps`, `at`, `every_ms`.")
                        .into(),
                ),
                ("plan", part("What was planned: `alpha`, `power`, `lift`, `units`.")),
                ("guardrails", list(any("`metric`, `margin`."), 0, "What must not get worse.")),
                ("arms", list(arm(), 2, "At least two; the control is one of them.")),
                ("history", list(any("A change."), 0, "Kept by the server.")),
            ],
            &["layer", "control", "arms"],
        );
        RefOr::T(Schema::Object(experiment))
    }
}

impl ToSchema for ExperimentSchema {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Experiment")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use plugrank_experiments::Arm;

    use super::*;

    /// Fields that a type accepts, read from the error about an unknown one.
    fn accepted_fields<T: serde::de::DeserializeOwned>() -> BTreeSet<String> {
        let error = serde_json::from_value::<T>(json!({"?": 1})).err().unwrap().to_string();
        error.split('`').skip(3).step_by(2).map(ToOwned::to_owned).collect()
    }

    #[test]
    fn the_schema_lists_every_field() {
        let schema = serde_json::to_value(ExperimentSchema::schema()).unwrap();
        let names = |schema: &Value| -> BTreeSet<String> {
            schema["properties"].as_object().unwrap().keys().cloned().collect()
        };
        assert_eq!(names(&schema), accepted_fields::<Experiment>());
        assert_eq!(names(&schema["properties"]["arms"]["items"]), accepted_fields::<Arm>());
    }
}
