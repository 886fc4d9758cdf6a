//! Settings as text: the settings file, the table of the documentation, the schema of the chart.

use std::fmt::Write;

use serde_json::{Map, Value, json};
use toml::Value as Toml;

use crate::{Section, schema};

/// Columns of a comment.
const WIDTH: usize = 100;

/// A settings file with every key and what it means. Keys without a value and absent sections are commented out.
#[must_use]
pub fn settings_file<S: Section>(settings: &S) -> String {
    let values = Toml::try_from(settings).unwrap_or(Toml::Boolean(false));
    let mut text = String::new();
    write_table(&mut text, "", &schema::section_schema::<S>(), Some(&values));
    text.trim_start().to_owned()
}

fn write_table(text: &mut String, name: &str, node: &Value, values: Option<&Toml>) {
    let keys = || schema::keys(node).into_iter().flatten();
    if !name.is_empty() {
        text.push('\n');
        write_comment(text, &schema::description(node));
        // A section that is absent is not the same as one of defaults.
        let absent = if values.is_none() { "# " } else { "" };
        _ = writeln!(text, "{absent}[{name}]");
    }
    let value_of = |key: &str| values.and_then(|values| values.get(key));
    // Names of sections of which there are none are shown as a single setting is.
    let is_line = |key: &str, node: &Value| {
        is_setting(node) || (schema::entry(node).is_some() && value_of(key).is_none_or(is_empty))
    };
    for (key, node) in keys().filter(|(key, node)| is_line(key, node)) {
        write_comment(text, &full_description(node));
        match value_of(key).filter(|value| !is_empty(value)) {
            Some(value) => _ = writeln!(text, "{key} = {value}"),
            None => _ = writeln!(text, "# {key} = {}", example(node)),
        }
    }
    for (key, node) in keys().filter(|(_, node)| schema::keys(node).is_some()) {
        let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
        write_table(text, &name, node, value_of(key));
    }
    for (key, node, entry) in
        keys().filter_map(|(key, node)| Some((key, node, schema::entry(node)?)))
    {
        let entries = value_of(key).and_then(Toml::as_table).filter(|entries| !entries.is_empty());
        let Some(entries) = entries else { continue };
        text.push('\n');
        write_comment(text, &schema::description(node));
        for (named, values) in entries {
            let key = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
            write_table(text, &format!("{key}.{named}"), entry, Some(values));
        }
    }
}

/// Whether a key is a single setting, and no section or names of sections.
fn is_setting(node: &Value) -> bool {
    schema::keys(node).is_none() && schema::entry(node).is_none()
}

/// An empty list or table is how a key without a value is held.
fn is_empty(value: &Toml) -> bool {
    value.as_array().is_some_and(Vec::is_empty)
        || value.as_table().is_some_and(toml::Table::is_empty)
}

fn write_comment(text: &mut String, comment: &str) {
    let mut line = String::from("#");
    for word in comment.split(' ').filter(|word| !word.is_empty()) {
        if line.len() + 1 + word.len() > WIDTH {
            _ = writeln!(text, "{line}");
            line.truncate(1);
        }
        line.push(' ');
        line.push_str(word);
    }
    if line.len() > 1 {
        _ = writeln!(text, "{line}");
    }
}

/// What a key means, its values or its range, and what stands for it where it is absent.
fn full_description(node: &Value) -> String {
    let description = schema::description(node);
    match allowed(node) {
        Some(allowed) => format!("{description} Allowed: {allowed}."),
        None => description,
    }
}

/// The values a key may have, in words.
fn allowed(node: &Value) -> Option<String> {
    let choices = schema::choices(node);
    if choices.is_empty() {
        return schema::Range::from_schema(node).text();
    }
    let one = |(value, meaning): (&str, String)| match meaning.trim_end_matches('.') {
        "" => format!("\"{value}\""),
        meaning => format!("\"{value}\": {meaning}"),
    };
    Some(choices.into_iter().map(one).collect::<Vec<_>>().join("; "))
}

/// A value to show for a key that has none.
fn example(node: &Value) -> String {
    let example = &node["examples"][0];
    Toml::try_from(example).map_or_else(|_| example.to_string(), |example| example.to_string())
}

/// The table of the documentation: every key of every section, its default, its values, what it means.
#[must_use]
pub fn markdown<S: Section>() -> String {
    let values = Toml::try_from(S::default()).unwrap_or(Toml::Boolean(false));
    let mut text = String::new();
    write_section(&mut text, "", &schema::section_schema::<S>(), Some(&values));
    text
}

fn write_section(text: &mut String, name: &str, node: &Value, values: Option<&Toml>) {
    let keys = || schema::keys(node).into_iter().flatten();
    if !name.is_empty() {
        _ = write!(text, "\n## `[{name}]`\n{}\n\n", schema::description(node));
        text.push_str("| key | default | values | |\n| --- | --- | --- | --- |\n");
    }
    for (key, node) in keys().filter(|(_, node)| is_setting(node)) {
        let value = values.and_then(|values| values.get(key)).filter(|value| !is_empty(value));
        let value = value.map_or_else(|| "absent".to_owned(), |value| format!("`{value}`"));
        let allowed = allowed(node).or_else(|| kind(node).map(str::to_owned)).unwrap_or_default();
        let cells = [allowed, schema::description(node)].map(|cell| cell.replace('|', "\\|"));
        _ = writeln!(text, "| `{key}` | {value} | {} | {} |", cells[0], cells[1]);
    }
    for (key, node) in keys().filter(|(_, node)| schema::keys(node).is_some()) {
        let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
        write_section(text, &name, node, values.and_then(|values| values.get(key)));
    }
    for (key, node, entry) in
        keys().filter_map(|(key, node)| Some((key, node, schema::entry(node)?)))
    {
        let defaults = schema::keys(entry).into_iter().flatten();
        let defaults = defaults.filter_map(|(key, node)| {
            Some((key.clone(), Toml::try_from(node.get("default")?).ok()?))
        });
        let defaults = Toml::Table(defaults.collect());
        let described = Value::Object(Map::from_iter([
            ("description".to_owned(), json!(schema::description(node))),
            ("properties".to_owned(), entry["properties"].clone()),
        ]));
        let key = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
        write_section(text, &format!("{key}.NAME"), &described, Some(&defaults));
    }
}

/// The type of a key, in words.
fn kind(node: &Value) -> Option<&'static str> {
    let mut types = types(node);
    types.retain(|kind| kind != "null");
    match types.first()?.as_str() {
        "boolean" => Some("true or false"),
        "integer" => Some("whole number"),
        "number" => Some("number"),
        "array" => Some("list"),
        "object" => Some("table"),
        _ => Some("text"),
    }
}

fn types(node: &Value) -> Vec<String> {
    match &node["type"] {
        Value::String(one) => vec![one.clone()],
        Value::Array(several) => {
            several.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        }
        _ => Vec::new(),
    }
}

/// The schema of a section in the Helm chart's values. A list may be given as text with commas, as in
/// the environment.
#[must_use]
pub fn chart_schema<S: Section>() -> Value {
    chart_node(&schema::section_schema::<S>())
}

fn chart_node(node: &Value) -> Value {
    let mut made = Map::new();
    if let Some(keys) = schema::keys(node) {
        made.insert("type".to_owned(), json!("object"));
        made.insert("additionalProperties".to_owned(), json!(false));
        let keys = keys.iter().map(|(key, node)| (key.clone(), chart_node(node)));
        made.insert("properties".to_owned(), Value::Object(keys.collect()));
        return Value::Object(made);
    }
    if let Some(entry) = schema::entry(node) {
        return json!({ "type": "object", "additionalProperties": chart_node(entry) });
    }
    let choices = schema::choices(node);
    if !choices.is_empty() {
        let values: Vec<&str> = choices.into_iter().map(|(value, _)| value).collect();
        return json!({ "enum": values });
    }
    let mut types = types(node);
    types.retain(|kind| kind != "null");
    if types == ["array"] {
        let items = chart_node(&node["items"]);
        return json!({ "type": ["array", "string"], "items": items });
    }
    // One of several forms has no type of its own: the program itself says what is wrong with it.
    if let Some(kind) = types.first() {
        made.insert("type".to_owned(), json!(kind));
    }
    for bound in ["minimum", "exclusiveMinimum", "maximum"] {
        if let Some(value) = node.get(bound) {
            made.insert(bound.to_owned(), value.clone());
        }
    }
    Value::Object(made)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use garde::Validate;
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "snake_case")]
    enum Speed {
        /// As it comes.
        #[default]
        Slow,
        Fast,
    }

    /// All there is.
    #[derive(Default, Serialize, Deserialize, JsonSchema, Validate)]
    #[serde(default, deny_unknown_fields)]
    struct All {
        /// The engine.
        #[garde(dive)]
        engine: Engine,
    }

    #[derive(Default, Serialize, Deserialize, JsonSchema, Validate)]
    #[serde(default, deny_unknown_fields)]
    struct Engine {
        /// How fast.
        #[garde(skip)]
        speed: Speed,
        /// Gears. Absent: as many as fit.
        #[garde(range(min = 1, max = 6))]
        #[schemars(example = 5)]
        gears: Option<u8>,
        /// Names.
        #[garde(skip)]
        #[schemars(extend("examples" = [["a", "b"]]))]
        names: Vec<String>,
        /// Places of parts.
        #[garde(skip)]
        #[schemars(extend("examples" = [{ "pump": { "row": 1 } }]))]
        places: BTreeMap<String, Place>,
    }

    #[derive(Default, Serialize, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Place {
        /// Which row.
        row: u8,
    }

    #[test]
    fn the_settings_file_documents_each_key_and_comments_out_unset_ones() {
        let file = "\
# The engine.
[engine]
# How fast. Allowed: \"fast\"; \"slow\": As it comes.
speed = \"slow\"
# Gears. Absent: as many as fit. Allowed: 1 to 6.
# gears = 5
# Names.
# names = [\"a\", \"b\"]
# Places of parts.
# places = { pump = { row = 1 } }
";
        assert_eq!(settings_file(&All::default()), file);
    }

    #[test]
    fn the_documentation_table_has_a_line_for_each_key() {
        let table = markdown::<All>();
        assert!(table.contains("## `[engine]`\nThe engine.\n"), "{table}");
        let line = "| `gears` | absent | 1 to 6 | Gears. Absent: as many as fit. |";
        assert!(table.lines().any(|found| found == line), "{table}");
        let names = "## `[engine.places.NAME]`\nPlaces of parts.\n";
        assert!(table.contains(names), "{table}");
        let line = "| `row` | absent | 0 to 255 | Which row. |";
        assert!(table.lines().any(|found| found == line), "{table}");
    }

    #[test]
    fn the_schema_accepts_lists_as_text_and_refuses_unknown_keys() {
        let schema = chart_schema::<All>();
        let engine = &schema["properties"]["engine"];
        assert_eq!(engine["additionalProperties"], false);
        assert_eq!(engine["properties"]["speed"], json!({ "enum": ["fast", "slow"] }));
        let gears = json!({ "type": "integer", "minimum": 1, "maximum": 6 });
        assert_eq!(engine["properties"]["gears"], gears);
        let names = json!({ "type": ["array", "string"], "items": { "type": "string" } });
        assert_eq!(engine["properties"]["names"], names);
        let place = &engine["properties"]["places"]["additionalProperties"];
        assert_eq!(place["properties"]["row"]["type"], "integer");
        assert_eq!(place["additionalProperties"], false);
    }

    #[test]
    fn one_more_setting_is_one_field() {
        /// A pump.
        #[derive(Debug, Serialize, Deserialize, JsonSchema, Validate)]
        #[serde(default, deny_unknown_fields)]
        struct Pump {
            /// Litres a minute.
            #[garde(range(min = 1, max = 60))]
            flow: u32,
        }

        impl Default for Pump {
            fn default() -> Self {
                Self { flow: 12 }
            }
        }

        let file = settings_file(&Pump::default());
        assert_eq!(file, "# Litres a minute. Allowed: 1 to 60.\nflow = 12\n");
        assert!(markdown::<Pump>().contains("| `flow` | `12` | 1 to 60 | Litres a minute. |"));
        assert_eq!(chart_schema::<Pump>()["properties"]["flow"]["maximum"], 60);
        let read = |flow: &str| -> Result<Pump, crate::SettingsError> {
            crate::from_sources(None, [("PLUGRANK__FLOW".to_owned(), flow.to_owned())].into())
        };
        assert_eq!(read("7").unwrap().flow, 7);
        let error = read("70").unwrap_err().to_string();
        assert!(error.contains("`flow` is 70; it must be 1 to 60"), "{error}");
    }
}
