//! The JSON Schema of a section, and what is read out of it.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

use crate::Section;

/// The schema of a section, without references.
pub(crate) fn section_schema<S: Section>() -> Value {
    let settings = SchemaSettings::draft07().with(|with| with.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<S>().to_value()
}

/// The keys of a section, in the order of its fields; `None` for a single setting.
pub(crate) fn keys(node: &Value) -> Option<&Map<String, Value>> {
    node.get("properties")?.as_object()
}

/// What each entry of a section is whose keys are names of the operator's choice; `None` for any other.
pub(crate) fn entry(node: &Value) -> Option<&Value> {
    node.get("additionalProperties").filter(|entry| keys(entry).is_some())
}

/// Every single setting: its dotted name and its schema.
pub(crate) fn leaves(node: &Value) -> Vec<(String, &Value)> {
    let mut found = Vec::new();
    collect(node, "", &mut found);
    found
}

fn collect<'a>(node: &'a Value, prefix: &str, found: &mut Vec<(String, &'a Value)>) {
    for (key, node) in keys(node).into_iter().flatten() {
        let name = format!("{prefix}{key}");
        match keys(node) {
            Some(_) => collect(node, &format!("{name}."), found),
            None => found.push((name, node)),
        }
    }
}

/// The schema of a key.
pub(crate) fn at<'a>(node: &'a Value, key: &str) -> Option<&'a Value> {
    key.split('.').try_fold(node, |node, part| keys(node)?.get(part))
}

/// Whether a value may hold a secret, which is not shown.
pub(crate) fn is_secret(node: &Value) -> bool {
    node["writeOnly"] == true
}

/// The description as one line.
pub(crate) fn description(node: &Value) -> String {
    let text = node["description"].as_str().unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The smallest and the largest number, with whether the smallest itself is left out.
#[derive(Clone, Copy)]
pub(crate) struct Range<'a> {
    min: Option<&'a Value>,
    above: Option<&'a Value>,
    max: Option<&'a Value>,
}

impl<'a> Range<'a> {
    pub(crate) fn from_schema(node: &'a Value) -> Self {
        let bound = |name| node.get(name).filter(|bound: &&Value| bound.is_number());
        Self { min: bound("minimum"), above: bound("exclusiveMinimum"), max: bound("maximum") }
    }

    pub(crate) fn contains(&self, number: f64) -> bool {
        let holds = |bound: Option<&Value>, test: fn(f64, f64) -> bool| {
            bound.and_then(Value::as_f64).is_none_or(|bound| test(number, bound))
        };
        holds(self.min, |number, bound| number >= bound)
            && holds(self.above, |number, bound| number > bound)
            && holds(self.max, |number, bound| number <= bound)
    }

    /// The range in words; `None` where there is no upper bound.
    pub(crate) fn text(&self) -> Option<String> {
        let max = number(self.max?);
        Some(match (self.above, self.min) {
            (Some(above), _) => format!("above {} and at most {max}", number(above)),
            (None, Some(min)) => format!("{} to {max}", number(min)),
            (None, None) => format!("at most {max}"),
        })
    }
}

/// A bound as a person writes it.
fn number(bound: &Value) -> String {
    match (bound.as_i64(), bound.as_f64()) {
        (None, Some(float)) => float.to_string(),
        _ => bound.to_string(),
    }
}

/// The values of a choice, each with what it means.
pub(crate) fn choices(node: &Value) -> Vec<(&str, String)> {
    let plain = node["enum"].as_array().into_iter().flatten();
    let plain = plain.filter_map(|value| Some((value.as_str()?, String::new())));
    let documented = ["oneOf", "anyOf"].into_iter().filter_map(|name| node[name].as_array());
    let documented = documented.flatten().flat_map(|one| match one["const"].as_str() {
        Some(value) => vec![(value, description(one))],
        None => choices(one),
    });
    plain.chain(documented).collect()
}
